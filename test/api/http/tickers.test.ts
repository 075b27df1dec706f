import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { tickers } from '../../../src/schemas/market.js';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { quietSandbox, startSandboxApp, type SandboxApp } from '../../support/sandbox-app.js';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await quietSandbox();
});
afterAll(() => sandbox.close());

let server: SandboxApp;
const start = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
  // Two questions in a row are to see the same entries.
  server = await startSandboxApp(sandbox, { TICKER_CACHE_TTL: '60', ...env });
};
afterEach(async () => {
  sandbox.control.clearFaults();
  await server.app.close();
});

const ask = async (query: string) => {
  const response = await server.app.inject(`/v1/markets/tickers?${query}`);
  const { statusCode, headers } = response;
  return { statusCode, headers, body: response.json<Record<string, unknown>>() };
};
const told = async (query: string) => tickers.parse((await ask(query)).body);
/** Requests for tickers since the function was made. */
const countRequests = (): (() => number) => {
  const all = () => sandbox.control.requestLog().filter(({ path }) => /ticker/i.test(path)).length;
  const before = all();
  return () => all() - before;
};

test('tickers come in the order asked, each once and as it comes alone, by one request', async () => {
  await start();
  const requests = countRequests();
  const { body, headers } = await ask('exchange=binance&symbols=ETH/USDT,btc-usdt,BNB/USDT,ETH/USDT');
  expect(requests()).toBe(1);
  expect(headers).toMatchObject({ 'x-cache': 'MISS', 'data-source': 'sandbox; via=rest' });
  const { tickers: found, errors } = tickers.parse(body);
  expect(errors).toEqual([]);
  expect(found.map(({ symbol }) => symbol)).toEqual(['ETH/USDT', 'BTC/USDT', 'BNB/USDT']);
  const alone = await server.app.inject('/v1/markets/ticker?exchange=binance&symbol=BTC/USDT');
  expect(found[1]).toEqual(alone.json());
  expect(alone.headers['x-cache']).toBe('HIT');
  expect(requests()).toBe(1);
  const again = await ask('exchange=binance&symbols=BTC/USDT,ETH/USDT&stats=true');
  expect(again.headers['x-cache']).toBe('HIT');
  expect(tickers.parse(again.body).tickers[0]).toHaveProperty('stats.high');
  expect(requests()).toBe(1);
});

test.each([
  ['kraken', 'BTC/USD,ETH/USD', 1],
  // It has no such request: each ticker costs its own.
  ['coinbasepro', 'BTC/USD,ETH/USD', 2],
])('%s', async (exchange, symbols, count) => {
  await start();
  const requests = countRequests();
  const body = await told(`exchange=${exchange}&symbols=${symbols}`);
  expect(body.exchange).toBe(exchange);
  expect(body.tickers.map((each) => [each.exchange, each.symbol])).toEqual(
    symbols.split(',').map((symbol) => [exchange, symbol]),
  );
  expect(body.tickers.every(({ last }) => last !== null)).toBe(true);
  expect(requests()).toBe(count);
});

test('what the venue does not list is named, and spoils nothing else', async () => {
  await start();
  const { tickers: found, errors } = await told('exchange=binance&symbols=BTC/USDT,BTC/USTD,ETH/USDT');
  expect(found.map(({ symbol }) => symbol)).toEqual(['BTC/USDT', 'ETH/USDT']);
  expect(errors).toEqual([
    { symbol: 'BTC/USTD', code: 'symbol_not_found', detail: expect.stringContaining('BTC/USDT') as string },
  ]);
  const none = await ask('exchange=binance&symbols=NO/SUCH');
  expect(none.statusCode).toBe(200);
  expect(none.headers['cache-control']).toContain('max-age=0');
});

test('a venue that fails is asked once for all; what was known before is served, marked', async () => {
  await start({ TICKER_CACHE_TTL: '0' });
  await told('exchange=binance&symbols=BTC/USDT,ETH/USDT');
  sandbox.control.setFault({ venue: 'binance', match: 'tickers', fault: { type: 'status', status: 500 } });
  const requests = countRequests();
  const { headers, body } = await ask('exchange=binance&symbols=BTC/USDT,ETH/USDT,BNB/USDT');
  expect(requests()).toBe(1);
  expect(headers).toMatchObject({ 'x-cache': 'STALE', 'cache-control': 'public, max-age=0' });
  const { tickers: found, errors } = tickers.parse(body);
  expect(found.map(({ symbol }) => symbol)).toEqual(['BTC/USDT', 'ETH/USDT']);
  expect(errors).toEqual([expect.objectContaining({ symbol: 'BNB/USDT', code: 'upstream_unavailable' })]);
  const nothing = await ask('exchange=binance&symbols=BNB/USDT,XRP/USDT');
  expect(nothing.statusCode).toBe(503);
  expect(nothing.body).toMatchObject({ code: 'upstream_unavailable' });
});

test.each([
  ['symbols=BTC/USDT', 'exchange'],
  ['exchange=binance', 'symbols'],
  ['exchange=binance&symbols=BTC/USDT,,ETH/USDT', 'symbols'],
  [`exchange=binance&symbols=${Array.from({ length: 101 }, (_, i) => `A${i}/B`).join(',')}`, 'symbols'],
])('%s is refused', async (query, parameter) => {
  await start();
  const { statusCode, body } = await ask(query);
  expect(statusCode).toBe(400);
  expect(JSON.stringify(body['errors'])).toContain(parameter);
});

test('each symbol counts as a request of the client', async () => {
  await start({ CLIENT_RATE_LIMIT_REQUESTS: '5' });
  expect((await ask('exchange=binance&symbols=BTC/USDT,ETH/USDT,BNB/USDT')).statusCode).toBe(200);
  expect((await ask('exchange=binance&symbols=BTC/USDT,ETH/USDT,BNB/USDT')).body).toMatchObject({
    code: 'client_rate_limited',
  });
});
