import { spotMarket } from '../../support/markets.js';
import { expect, test } from 'vitest';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { AppError } from '../../../src/errors.js';
import { silentLog } from '../../../src/log/log.js';
import { createFakeExchangeClient, venueAnswer } from '../../support/fake-exchange-client.js';

const start = async (settings: Record<string, string> = {}) => {
  const exchangeClient = createFakeExchangeClient(Date.now);
  const market = spotMarket('BTC/USDT');
  exchangeClient.list = () => Promise.resolve({ markets: [market], loadedAt: Date.now() });
  exchangeClient.answer = (request) => Promise.resolve(venueAnswer(request, Date.now()));
  const config = loadConfig({ REDIS_ENABLED: 'false', MAX_RETRIES: '1', INITIAL_BACKOFF: '0', ...settings });
  const app = await buildApp(config, { exchangeClient, log: silentLog });
  return { app, exchangeClient };
};
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

test('a cached answer is counted on the shortest way too, by its route and never its URL', async () => {
  const { app } = await start({ TICKER_CACHE_TTL: '60' });
  for (let round = 0; round < 3; round += 1) await app.inject(TICKER);
  await app.inject('/v1/nothing/like/this');
  const { body } = await app.inject('/metrics');
  expect(body).toContain(
    'crypto_data_http_requests_total{method="GET",route="/v1/markets/ticker",status="200"} 3',
  );
  expect(body).toContain('crypto_data_http_requests_total{method="GET",route="unmatched",status="404"} 1');
  expect(body).toContain('crypto_data_http_cache_answers_total{cache="HIT"} 2');
  expect(body).toContain('crypto_data_http_cache_answers_total{cache="MISS"} 1');
  expect(body).toContain('crypto_data_http_errors_total{code="not_found"} 1');
  expect(body).toContain('crypto_data_upstream_calls_total{exchange="binance",kind="ticker",outcome="ok"} 1');
  expect(body).toContain('crypto_data_cache_entries 1');
  expect(body).not.toContain('BTC');
  await app.close();
});

test('each attempt at a failing exchange is counted, and each retry', async () => {
  const { app, exchangeClient } = await start();
  exchangeClient.answer = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
  expect((await app.inject(TICKER)).statusCode).toBe(503);
  const { body } = await app.inject('/metrics');
  expect(body).toContain('{exchange="binance",kind="ticker",outcome="upstream_unavailable"} 2');
  expect(body).toContain(
    'crypto_data_upstream_retries_total{exchange="binance",code="upstream_unavailable"} 1',
  );
  await app.close();
});

test('a client limit does not keep Prometheus out', async () => {
  const { app } = await start({ CLIENT_RATE_LIMIT_REQUESTS: '1' });
  for (let round = 0; round < 3; round += 1) expect((await app.inject('/metrics')).statusCode).toBe(200);
  await app.close();
});

test('neither metrics nor MCP are in the OpenAPI document', async () => {
  const { app } = await start();
  const document = (await app.inject('/openapi.json')).json();
  expect(Object.keys(document.paths)).toContain('/v1/markets/ticker');
  expect(Object.keys(document.paths)).not.toContain('/metrics');
  expect(Object.keys(document.paths)).not.toContain('/mcp');
  await app.close();
});
