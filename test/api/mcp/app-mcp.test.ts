import { spotMarket } from '../../support/markets.js';
import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { expect, test } from 'vitest';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { silentLog, type Log } from '../../../src/log/log.js';
import { recordingLog } from '../../support/recording-log.js';
import { createFakeExchangeClient, venueAnswer } from '../../support/fake-exchange-client.js';

const start = async (settings: Record<string, string> = {}, log: Log = silentLog) => {
  const exchangeClient = createFakeExchangeClient(Date.now);
  const market = spotMarket('BTC/USDT');
  exchangeClient.list = () => Promise.resolve({ markets: [market], loadedAt: Date.now() });
  exchangeClient.answer = (request) =>
    Promise.resolve(
      venueAnswer(request, Date.now(), { members: { bid: 1, ask: 2, last: 1.5, timestamp: 1, raw: {} } }),
    );
  const app = await buildApp(loadConfig({ REDIS_ENABLED: 'false', ...settings }), {
    exchangeClient,
    log,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  return { app, exchangeClient, url: new URL(`http://127.0.0.1:${port}/mcp`) };
};

test('MCP and HTTP share one cache: what one asked the exchange for, the other has', async () => {
  const { app, exchangeClient, url } = await start({ TICKER_CACHE_TTL: '60' });
  await app.inject('/v1/markets/ticker?exchange=coinbasepro&symbol=BTC/USDT');
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(new StreamableHTTPClientTransport(url));
  const result = await client.callTool({
    name: 'get_ticker',
    arguments: { exchange: 'coinbasepro', symbol: 'btc-usdt' },
  });
  expect(result.structuredContent).toMatchObject({
    exchange: 'coinbasepro',
    symbol: 'BTC/USDT',
    cache: 'HIT',
    source: 'coinbaseexchange; via=rest',
  });
  expect(exchangeClient.fetched).toHaveLength(1);
  await client.close();
  await app.close();
});

test('answers of /mcp carry what every answer carries, and count against the client limit', async () => {
  const { app, url } = await start({ CLIENT_RATE_LIMIT_REQUESTS: '1' });
  const call = () =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    });
  const first = await call();
  expect(first.status).toBe(200);
  expect(first.headers.get('x-content-type-options')).toBe('nosniff');
  expect(first.headers.get('x-request-id')).toBeTruthy();
  expect((await call()).status).toBe(429);
  await app.close();
});

test('a bug met by a client is logged under the id of its request, and counted like any call', async () => {
  const log = recordingLog();
  const { app, exchangeClient, url } = await start({}, log);
  const call = (args: object) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'my-call-1' },
      body: JSON.stringify({
        ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
        params: { name: 'get_ticker', arguments: { exchange: 'binance', symbol: 'BTC/USDT', ...args } },
      }),
    });
  expect((await call({})).status).toBe(200);
  exchangeClient.answer = () => Promise.reject(new TypeError('x is undefined'));
  expect(await (await call({ symbol: 'ETH/USDT' })).json()).toMatchObject({
    result: { isError: true, _meta: { 'mcp-crypto-data-server/error': { request_id: 'my-call-1' } } },
  });
  const traces = log.lines.filter(({ level, details }) => level === 'error' && 'tool' in details);
  expect(traces).toEqual([
    expect.objectContaining({ details: expect.objectContaining({ request_id: 'my-call-1' }) }),
  ]);
  const { body } = await app.inject('/metrics');
  expect(body).toContain('crypto_data_mcp_calls_total{tool="get_ticker",outcome="ok"} 1');
  expect(body).toContain('crypto_data_mcp_calls_total{tool="get_ticker",outcome="internal_error"} 1');
  await app.close();
});

test('each call of a batch counts against the client limit, and a batch of too many is refused whole', async () => {
  const { app, exchangeClient, url } = await start({
    CLIENT_RATE_LIMIT_REQUESTS: '5',
    CLIENT_RATE_LIMIT_WINDOW: '3600',
    TICKER_CACHE_TTL: '60',
  });
  const batch = (size: number) =>
    Array.from({ length: size }, (_, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'get_ticker', arguments: { exchange: 'binance', symbol: 'BTC/USDT' } },
    }));
  const post = (body: string) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body,
    });
  const first = await post(JSON.stringify(batch(3)));
  expect(first.status).toBe(200);
  expect(first.headers.get('x-ratelimit-remaining')).toBe('2');
  await first.text();
  expect(exchangeClient.fetched).toHaveLength(1);
  // A byte order mark is no way around: whoever reads the body passes over it.
  const second = await post(`\uFEFF ${JSON.stringify(batch(3))}`);
  expect(second.status).toBe(429);
  expect(second.headers.get('x-ratelimit-remaining')).toBe('0');
  expect(await second.json()).toMatchObject({ code: 'client_rate_limited' });
  await app.close();
});

test('a body that is no batch counts once, whatever it is', async () => {
  const { app, url } = await start({ CLIENT_RATE_LIMIT_REQUESTS: '9' });
  const remaining: (string | null)[] = [];
  for (const body of ['{"jsonrpc":"2.0","id":1,"method":"ping"}', '[1,', 'nonsense', '[]', undefined]) {
    const init = body === undefined ? { method: 'GET' } : { method: 'POST', body };
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const response = await fetch(url, { ...init, headers });
    remaining.push(response.headers.get('x-ratelimit-remaining'));
    await response.text();
  }
  expect(remaining).toEqual(['8', '7', '6', '5', '4']);
  await app.close();
});

test('a server that shuts down answers the call under way', async () => {
  const { app, exchangeClient, url } = await start();
  const events = new EventEmitter();
  const asked = once(events, 'asked');
  const inner = exchangeClient.answer;
  exchangeClient.answer = async (request, options) => {
    const answered = once(events, 'answer');
    events.emit('asked');
    await answered;
    return inner(request, options);
  };
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(new StreamableHTTPClientTransport(url));
  const call = client.callTool({
    name: 'get_ticker',
    arguments: { exchange: 'binance', symbol: 'BTC/USDT' },
  });
  await asked;
  const closed = app.close();
  events.emit('answer');
  expect((await call).structuredContent).toMatchObject({ last: 1.5 });
  await client.close();
  await closed;
});

test('a call waits for the exchange in the turn of its client address, whatever address the client gives', async () => {
  const { app, exchangeClient, url } = await start();
  const call = (method: string, params: object) =>
    fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'x-client-key': '192.0.2.1',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
  const args = { exchange: 'binance', symbol: 'BTC/USDT' };
  await (await call('tools/call', { name: 'get_ticker', arguments: args })).text();
  await (await call('resources/read', { uri: 'market://binance/ETH%2FUSDT/ticker' })).text();
  expect(exchangeClient.fetched.map(({ request, options }) => [request.symbol, options.client])).toEqual([
    ['BTC/USDT', '127.0.0.1'],
    ['ETH/USDT', '127.0.0.1'],
  ]);
  await app.close();
});
