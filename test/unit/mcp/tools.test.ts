import { expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { connect, textOf } from './client.js';
import { NOW } from './fake-market-data.js';

const BTC = { exchange: 'Binance', symbol: 'btc-usdt' };
const PROVENANCE = {
  source: 'binance; via=rest',
  cache: 'MISS',
  received_at: NOW - 400,
  age_ms: 400,
};

test('offers seven read-only tools in a fixed order, each with both schemas', async () => {
  const { client } = await connect();
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual([
    'list_exchanges',
    'search_markets',
    'get_ticker',
    'get_ohlcv',
    'get_orderbook',
    'get_trades',
    'get_candle_coverage',
  ]);
  for (const tool of tools) {
    expect(tool.annotations).toMatchObject({
      readOnlyHint: true,
      destructiveHint: false,
      idempotentHint: true,
      openWorldHint: !['list_exchanges', 'get_candle_coverage'].includes(tool.name),
    });
    expect(tool.description).toMatch(/\.$/);
    expect(tool.inputSchema.type).toBe('object');
    expect(tool.outputSchema).toHaveProperty(
      'required',
      expect.arrayContaining(['source', 'received_at', 'age_ms']),
    );
  }
});

test('takes numbers as numbers, within the bounds of the HTTP contract', async () => {
  const { client } = await connect();
  const { tools } = await client.listTools();
  const schema = tools.find(({ name }) => name === 'get_ohlcv')?.inputSchema;
  expect(schema).toMatchObject({ additionalProperties: false, required: ['exchange', 'symbol'] });
  expect(schema?.properties).toMatchObject({
    interval: { type: 'string', default: '1m' },
    // Milliseconds or ISO 8601.
    since: { type: ['integer', 'string'] },
    until: { type: ['integer', 'string'] },
    limit: { type: 'integer', minimum: 1, maximum: 2000, default: 100 },
  });
});

test('says who it is, what the numbers mean, and that no list ever changes', async () => {
  const { client } = await connect();
  expect(client.getServerVersion()).toMatchObject({ name: 'mcp-crypto-data-server', version: '9.8.7' });
  expect(client.getInstructions()).toContain('age_ms');
  expect(client.getServerCapabilities()).toMatchObject({
    tools: { listChanged: false },
    resources: { listChanged: false },
  });
});

test('get_ticker answers the price with its source and age, in data and in words', async () => {
  const { client, marketData } = await connect();
  const result = await client.callTool({ name: 'get_ticker', arguments: BTC });
  expect(result.isError).toBeFalsy();
  expect(result.structuredContent).toEqual({
    exchange: 'binance',
    symbol: 'BTC/USDT',
    bid: 42500,
    ask: 42510,
    last: 42505,
    timestamp: NOW - 100,
    ...PROVENANCE,
  });
  expect(textOf(result)).toBe(
    'BTC/USDT on binance: last 42505, bid 42500, ask 42510 at 2023-11-03T08:26:39.900Z.\n' +
      'Source: binance; via=rest, 0.4 s old.',
  );
  expect(marketData.queries).toEqual([
    { kind: 'ticker', exchange: 'binance', symbol: 'btc-usdt', stats: false },
  ]);
  expect(marketData.signals[0]).toBeInstanceOf(AbortSignal);
});

test("get_ticker adds the venue's own object only where it is asked for", async () => {
  const { client, marketData } = await connect();
  const result = await client.callTool({
    name: 'get_ticker',
    arguments: { ...BTC, raw: true, convert: 'usd' },
  });
  expect(result.structuredContent).toMatchObject({ raw: { s: 'BTCUSDT' } });
  expect(textOf(result)).toContain('raw: {"s":"BTCUSDT"}');
  expect(marketData.queries[0]).toMatchObject({ convert: 'USD' });
});

test('a stale answer and a stand-in quote say so in words', async () => {
  const { client, marketData } = await connect();
  marketData.answer = { cache: 'STALE', source: 'coinmarketcap', receivedAt: NOW - 90_000, freshUntil: NOW };
  const result = await client.callTool({ name: 'get_ticker', arguments: BTC });
  expect(result.structuredContent).toMatchObject({ cache: 'STALE', source: 'coinmarketcap', age_ms: 90_000 });
  expect(textOf(result)).toContain('STALE: the exchange is failing');
  expect(textOf(result)).toContain("CoinMarketCap's aggregate quote");
});

test('an answer never claims to be younger than this instant', async () => {
  const { client, marketData } = await connect();
  marketData.answer = { ...marketData.answer, receivedAt: NOW + 5 };
  const result = await client.callTool({ name: 'get_ticker', arguments: BTC });
  expect(result.structuredContent).toMatchObject({ age_ms: 0 });
});

test('in the sandbox every answer of every tool says sandbox', async () => {
  const { client } = await connect({ sandbox: true });
  const { tools } = await client.listTools();
  for (const { name, inputSchema } of tools) {
    const { exchange, symbol } = inputSchema.properties ?? {};
    const args = { ...(exchange && { exchange: 'binance' }), ...(symbol && { symbol: 'BTC/USDT' }) };
    const result = await client.callTool({ name, arguments: args });
    expect(result.structuredContent, name).toMatchObject({ sandbox: true });
    expect(textOf(result)).toContain('SIMULATED');
  }
});

test('get_ohlcv answers 100 candles unless asked for more, marks the open one and names gaps', async () => {
  const { client, marketData } = await connect();
  const usual = await client.callTool({ name: 'get_ohlcv', arguments: BTC });
  expect(usual.structuredContent).toHaveProperty('candles.length', 100);
  const result = await client.callTool({
    name: 'get_ohlcv',
    arguments: { ...BTC, interval: '1h', since: NOW - 10_000_000, limit: 120 },
  });
  expect(result.structuredContent).toHaveProperty('candles.length', 120);
  expect(result.structuredContent).toHaveProperty('gaps.length', 1);
  const lines = textOf(result).split('\n');
  expect(lines[0]).toBe('BTC/USDT on binance: 120 candles of 1h, oldest first.');
  expect(lines[1]).toBe('Here are the newest 100 of 120 rows; all are in the structured content.');
  expect(lines[3]).toBe('2023-11-03T06:46:40.000Z,1,3,0.5,2,10,true');
  expect(lines[102]).toMatch(/,false$/);
  expect(lines[103]).toMatch(/^Gap from .* not_available_from_exchange\.$/);
  expect(marketData.queries[1]).toMatchObject({
    kind: 'ohlcv',
    interval: '1h',
    since: NOW - 10_000_000,
    limit: 120,
  });
});

test('get_orderbook answers 100 rows, 50 a side, unless asked for more', async () => {
  const { client } = await connect();
  const result = await client.callTool({ name: 'get_orderbook', arguments: BTC });
  expect(result.structuredContent).toHaveProperty('bids.length', 50);
  expect(textOf(result).split('\n')).toEqual(
    expect.arrayContaining(['side,price,amount', 'bid,42500,1', 'ask,42501,2']),
  );
  const deep = await client.callTool({ name: 'get_orderbook', arguments: { ...BTC, limit: 400 } });
  expect(deep.structuredContent).toHaveProperty('asks.length', 400);
});

test('get_trades answers the latest 100 trades with null where the exchange is silent', async () => {
  const { client, marketData } = await connect();
  const result = await client.callTool({ name: 'get_trades', arguments: BTC });
  expect(result.structuredContent).toHaveProperty('trades.length', 2);
  expect(textOf(result)).toContain('2023-11-03T08:26:38.000Z,null,1,2,null');
  expect(marketData.queries[0]).toMatchObject({ limit: 100 });
});

test('list_exchanges tells what each exchange offers without asking any', async () => {
  const { client, marketData } = await connect();
  const result = await client.callTool({ name: 'list_exchanges' });
  expect(result.structuredContent).toMatchObject({ exchanges: [{ id: 'binance' }, { id: 'kraken' }] });
  expect(result.structuredContent).toMatchObject({ source: 'server', age_ms: 0 });
  expect(textOf(result)).toContain(
    'binance (Binance): ticker ohlcv orderbook; stream websocket; intervals 1m 1h',
  );
  expect(textOf(result)).toContain('kraken (Kraken): ticker ohlcv orderbook; stream none');
  expect(marketData.queries).toEqual([]);
});

test('search_markets narrows, names the real exchange as the source and leads on by cursor', async () => {
  const { client, marketData } = await connect();
  const result = await client.callTool({
    name: 'search_markets',
    arguments: { exchange: 'coinbasepro', base: 'btc', limit: 1 },
  });
  expect(marketData.filters).toEqual([{ exchange: 'coinbasepro', base: 'BTC', limit: 1 }]);
  expect(result.structuredContent).toMatchObject({
    exchange: 'coinbasepro',
    next_cursor: 'BTC/USDT',
    source: 'coinbaseexchange; via=rest',
    age_ms: 60_000,
  });
  expect(textOf(result)).toContain('More: ask again with cursor BTC/USDT.');
  const all = await client.callTool({ name: 'search_markets', arguments: { exchange: 'binance' } });
  expect(textOf(all)).not.toContain('More:');
});

test('arguments that are not valid are a tool error that names each one, and reach no exchange', async () => {
  const { client, marketData } = await connect();
  const result = await client.callTool({
    name: 'get_ohlcv',
    arguments: { exchange: 5.5, symbol: ' ', limit: '3.5', since: {} },
  });
  expect(result.isError).toBe(true);
  expect(result.structuredContent).toBeUndefined();
  expect(textOf(result)).toMatch(/^invalid_request: /);
  for (const words of ['exchange must be', 'symbol must not be empty', 'limit must be a whole number'])
    expect(textOf(result)).toContain(words);
  expect(textOf(result)).toContain('since must be');
  expect(textOf(result)).not.toMatch(/Invalid input|expected|received/);
  expect(result._meta?.['mcp-crypto-data-server/error']).toMatchObject({
    code: 'invalid_request',
    retryable: false,
    advice: 'Correct the named arguments and call again.',
  });
  expect(marketData.queries).toEqual([]);
});

test('more arguments than any tool has are refused unread', async () => {
  const { client } = await connect();
  const many = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`a${index}`, 1]));
  const result = await client.callTool({ name: 'get_ticker', arguments: many });
  expect(result.isError).toBe(true);
  expect(textOf(result)).not.toContain('a0');
});

test('our errors become tool errors with code, advice and retry time', async () => {
  const { client, marketData } = await connect();
  marketData.fault = new AppError('upstream_rate_limited', 'binance limits requests.', {
    retryAfterMs: 12_300,
    upstream: { exchange: 'binance', status: 429 },
  });
  const result = await client.callTool({ name: 'get_trades', arguments: BTC });
  expect(result.isError).toBe(true);
  expect(textOf(result)).toBe(
    'upstream_rate_limited: binance limits requests.\n' +
      'Wait, then make the same call again, or use another exchange.\n' +
      'Retry after 13 s.',
  );
  expect(result._meta?.['mcp-crypto-data-server/error']).toEqual({
    code: 'upstream_rate_limited',
    retryable: true,
    retry_after_ms: 12_300,
    upstream: { exchange: 'binance', status: 429 },
    advice: 'Wait, then make the same call again, or use another exchange.',
    request_id: expect.any(String),
  });
});

test('an unknown symbol sends the model to search_markets, a bug of ours tells no secrets', async () => {
  const { client, marketData } = await connect();
  marketData.fault = new AppError('symbol_not_found', 'binance has no BTC/XXX.');
  const unknown = await client.callTool({ name: 'get_ticker', arguments: BTC });
  expect(textOf(unknown)).toContain('Call search_markets');
  marketData.fault = new Error('secret at /home/user');
  const bug = await client.callTool({ name: 'get_ticker', arguments: BTC });
  expect(textOf(bug)).toMatch(/^internal_error: /);
  expect(textOf(bug)).not.toContain('secret');
});

test('the list of tools costs a model 6.5 kB of arguments, and 22 kB with the schemas of answers, at most', async () => {
  const { client } = await connect();
  const { tools } = await client.listTools();
  expect(Buffer.byteLength(JSON.stringify(tools))).toBeLessThan(22_000);
  const input = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
  expect(Buffer.byteLength(JSON.stringify(input))).toBeLessThan(6_500);
});
