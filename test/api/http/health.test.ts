import { afterEach, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { health, readiness } from '../../../src/schemas/health.js';
import { START, startTestApp, type TestApp } from '../../support/app.js';

let running: TestApp | undefined;
const start = async (...args: Parameters<typeof startTestApp>): Promise<TestApp> => {
  running = await startTestApp(...args);
  return running;
};
afterEach(async () => {
  await running?.app.close();
  running = undefined;
});

test('health tells status, uptime in seconds and the version of package.json, and is never cached', async () => {
  const { app } = await start();
  const response = await app.inject('/v1/health');
  expect(response.statusCode).toBe(200);
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')));
  const body = health.strict().parse(response.json());
  expect(body).toMatchObject({ status: 'ok', version });
  expect(body.uptime).toBeGreaterThanOrEqual(0);
  expect(response.headers['cache-control']).toBe('no-store');
});

test('ready names the cache and each enabled exchange under its name, with state and since', async () => {
  const { app } = await start();
  const response = await app.inject('/v1/health/ready');
  expect(response.statusCode).toBe(200);
  const body = readiness.strict().parse(response.json());
  expect(body.status).toBe('ready');
  expect(Object.keys(body.checks)).toEqual(['cache', 'store', 'bus', 'binance', 'kraken', 'coinbasepro']);
  expect(body.checks['cache']).toMatchObject({ state: 'disabled', since: START });
  expect(body.checks['coinbasepro']).toMatchObject({ state: 'ok', since: 0, circuit: 'closed' });
});

test('ready is a 503 with Retry-After while no exchange can be asked', async () => {
  const { app, venue } = await start();
  venue.healthOf = { coolDownUntil: START + 60_000 };
  const response = await app.inject('/v1/health/ready');
  expect(response.statusCode).toBe(503);
  expect(response.headers['retry-after']).toBe('5');
  expect(response.json()).toMatchObject({
    status: 'unavailable',
    checks: { kraken: { state: 'cooling_down' } },
  });
});

test('ready says so while the venues are simulated', async () => {
  const { app } = await start({ SANDBOX: 'http://127.0.0.1:9' });
  expect((await app.inject('/v1/health/ready')).json()).toMatchObject({ sandbox: true });
});

test('draining turns readiness off and closes connections, while health and markets still answer', async () => {
  const { app } = await start();
  app.lifeCycle.beginDraining();
  const ready = await app.inject('/v1/health/ready');
  expect(ready.statusCode).toBe(503);
  expect(ready.json()).toMatchObject({ status: 'unavailable', draining: true });
  expect((await app.inject('/v1/health')).statusCode).toBe(200);
  const ticker = await app.inject('/v1/markets/ticker?exchange=binance&symbol=BTC/USDT');
  expect(ticker.statusCode).toBe(200);
  expect(ticker.headers.connection).toBe('close');
});

test('probes are answered whatever they accept', async () => {
  const { app } = await start();
  for (const url of ['/v1/health', '/v1/health/ready'])
    for (const accept of ['text/plain', 'text/html', 'application/json;q=0', 'nonsense'])
      expect((await app.inject({ url, headers: { accept } })).statusCode, `${url} ${accept}`).toBe(200);
});

test('in the sandbox the list of exchanges and of markets say so with the way', async () => {
  const { app } = await start({ SANDBOX: 'http://127.0.0.1:9' });
  for (const url of ['/v1/exchanges', '/v1/markets?exchange=binance'])
    expect((await app.inject(url)).headers['data-source'], url).toBe('sandbox; via=rest');
});
