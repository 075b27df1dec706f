// Why an exchange fails, as its operator reads it: over CCXT itself, in the log and in the health that readiness shows.
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createCcxtClient } from '../../../src/exchanges/ccxt/ccxt-client.js';
import { freePort } from '../../support/free-port.js';
import { recordingLog } from '../../support/recording-log.js';
import { selfSigned } from '../../support/self-signed.js';
import { clientOptions, startVenues } from './venue-fixture.js';

const TICKER = { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Asks Binance at `url` for a ticker, which fails. */
const failing = async (url: string) => {
  const log = recordingLog();
  const client = createCcxtClient({ ...clientOptions(url), log });
  closers.push(() => client.close());
  const deadline = performance.timeOrigin + performance.now() + 20_000;
  const error: unknown = await client
    .fetch(TICKER, { deadline, priority: 'caller' })
    .catch((thrown: unknown) => thrown);
  const health = client.health().find(({ exchange }) => exchange === 'binance');
  const warnings = log.lines.filter(({ level }) => level === 'warn').map(({ details }) => details);
  return { error, health, warnings, client, log };
};

const listening = async (server: Server): Promise<number> => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closers.push(() => new Promise((closed) => server.close(closed)));
  return (server.address() as AddressInfo).port;
};
const venue = async (answer: RequestListener): Promise<string> =>
  `http://127.0.0.1:${await listening(createServer(answer))}`;

test('a venue that is not there: the log and its health say who refused the connection, the caller does not hear it', async () => {
  const port = await freePort();
  const { error, health, warnings } = await failing(`http://127.0.0.1:${port}`);
  const cause = `connect ECONNREFUSED 127.0.0.1:${port}`;
  expect(health?.lastError).toEqual({ code: 'upstream_unavailable', detail: cause, at: expect.any(Number) });
  expect(warnings).toContainEqual(expect.objectContaining({ exchange: 'binance', cause }));
  expect(error).toMatchObject({ code: 'upstream_unavailable', diagnosis: cause });
  expect((error as Error).message).not.toContain('ECONNREFUSED');
});

test('a certificate that nobody vouches for: OpenSSL’s reason and the host', async () => {
  const port = await listening(createTlsServer(selfSigned()));
  const { health } = await failing(`https://127.0.0.1:${port}`);
  expect(health?.lastError?.detail).toBe(
    `127.0.0.1:${port}: self-signed certificate (DEPTH_ZERO_SELF_SIGNED_CERT)`,
  );
});

test('a page in place of an answer: its status and its words', async () => {
  const url = await venue((_request, response) => {
    response
      .writeHead(503, { 'content-type': 'text/html' })
      .end(
        `<html><head><title>503</title></head><body><h1>Back at noon</h1>${'<p>x</p>'.repeat(5_000)}</body></html>`,
      );
  });
  const { health, warnings } = await failing(url);
  expect(health?.lastError?.detail).toMatch(/^HTTP 503: 503 Back at noon x x .{170,190}…$/);
  expect(warnings).toContainEqual(expect.objectContaining({ status: 503, cause: health?.lastError?.detail }));
});

test('a refusal in JSON: its status and its text, cut', async () => {
  const url = await venue((_request, response) => {
    response
      .writeHead(500, { 'content-type': 'application/json' })
      .end('{"code":-1000,"msg":"An unknown\\nerror"}');
  });
  const { health } = await failing(url);
  expect(health?.lastError?.detail).toBe('HTTP 500: {"code":-1000,"msg":"An unknown\\nerror"}');
});

test('no answer in time: who was waited for, and how long', async () => {
  const url = await venue(() => undefined);
  const log = recordingLog();
  const client = createCcxtClient({ ...clientOptions(url), upstreamTimeoutMs: 100, log });
  closers.push(() => client.close());
  const deadline = performance.timeOrigin + performance.now() + 20_000;
  await client.fetch(TICKER, { deadline, priority: 'caller' }).catch(() => undefined);
  expect(client.health()[0]?.lastError).toMatchObject({
    code: 'upstream_timeout',
    detail: `${new URL(url).host} did not answer within 100 ms`,
  });
});

test.each([
  { status: 429, until: '2026-01-14T06:15:45.250Z' },
  { status: 418, until: '2026-01-14T06:15:45.250Z' },
])(
  'a venue that limits requests ($status): one warning says until when, and health tells its words while not one request leaves',
  async ({ status, until }) => {
    const log = recordingLog();
    const rig = await startVenues({ log });
    closers.push(() => rig.close());
    await rig.ask(TICKER);
    const headers = { 'retry-after': '30' };
    const body = '{"code":-1003,"msg":"Too much request weight used"}';
    rig.sandbox.control.setFault({
      venue: 'binance',
      match: 'ticker',
      fault: { type: 'status', status, headers, body },
    });
    for (let asked = 0; asked < 3; asked += 1)
      expect(await rig.refusal(TICKER)).toMatchObject({ code: 'upstream_rate_limited' });
    expect(rig.venues.health()[0]?.lastError).toEqual({
      code: 'upstream_rate_limited',
      detail: `HTTP ${status}: ${body}`,
      at: expect.any(Number),
    });
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        details: { exchange: 'binance', status, cause: `HTTP ${status}: ${body}` },
        message: `the exchange limits requests; none is sent until ${until}`,
      },
    ]);
  },
);
