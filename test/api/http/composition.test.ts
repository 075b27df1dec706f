// The app as its settings put it together, with nothing in another's place but the log.
import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { buildApp, buildStdioServer } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { silentLog } from '../../../src/log/log.js';
import { calmGauge } from '../../support/app.js';
import { recordingLog } from '../../support/recording-log.js';

let app: FastifyInstance | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});
const INLINE = {
  SANDBOX: 'true',
  EXCHANGE_WORKERS: '0',
  REDIS_ENABLED: 'false',
  ENABLED_EXCHANGES: 'binance',
};
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

test('SANDBOX=true needs nothing else: simulated venues answer, and every answer says that they are', async () => {
  app = await buildApp(loadConfig(INLINE), { log: silentLog, loadGauge: calmGauge });
  const response = await app.inject(TICKER);
  expect(response.statusCode).toBe(200);
  expect(response.headers['data-source']).toBe('sandbox; via=rest');
  expect(response.json()).toMatchObject({
    exchange: 'binance',
    symbol: 'BTC/USDT',
    last: expect.any(Number),
  });
});

test('a Redis that cannot be reached is a warning and a degraded readiness, not a failed start', async () => {
  const log = recordingLog();
  const env = { ...INLINE, REDIS_ENABLED: 'true', REDIS_URL: 'redis://127.0.0.1:1/0' };
  app = await buildApp(loadConfig(env), { log, loadGauge: calmGauge });
  await expect.poll(() => log.warnings().length).toBeGreaterThan(0);
  const ready = await app.inject('/v1/health/ready');
  expect(ready.statusCode).toBe(200);
  expect(ready.json()).toMatchObject({ status: 'degraded', checks: { cache: { state: 'degraded' } } });
  expect((await app.inject(TICKER)).statusCode).toBe(200);
});

test('with a key, CoinMarketCap stands in for a venue that has never answered, and says so', async () => {
  const env = {
    ...INLINE,
    ENABLED_EXCHANGES: 'binance,kraken',
    CMC_API_KEY: 'sandbox-key',
    MAX_RETRIES: '0',
  };
  const config = loadConfig({ ...env, UPSTREAM_TIMEOUT: '1', REQUEST_TIMEOUT: '8' });
  const { startSandbox } = await import('../../../src/sandbox/sandbox.js');
  const sandbox = await startSandbox();
  sandbox.control.setFault({ venue: 'binance', fault: { type: 'status', status: 503 } });
  app = await buildApp({ ...config, sandbox: sandbox.url }, { log: silentLog, loadGauge: calmGauge });
  const response = await app.inject(TICKER);
  expect(response.statusCode).toBe(200);
  expect(response.json()).toMatchObject({ exchange: 'coinmarketcap', bid: null, ask: null });
  await app.close();
  app = undefined;
  await sandbox.close();
});

test('over stdio the same services speak MCP, and end with their client', async () => {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const server = await buildStdioServer(loadConfig(INLINE), {
    log: silentLog,
    loadGauge: calmGauge,
    stdin,
    stdout,
  });
  let received = '';
  stdout.on('data', (chunk: Buffer) => (received += chunk.toString()));
  const params = {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'test', version: '1.0.0' },
  };
  stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })}\n`);
  await expect.poll(() => received).toContain('"mcp-crypto-data-server"');
  stdin.end();
  await server.closed;
  await server.close();
});
