import { expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { connect } from './client.js';

const textIn = (contents: readonly object[]): unknown => {
  const [only] = contents;
  if (only === undefined || !('text' in only) || typeof only.text !== 'string') throw new Error('no text');
  return JSON.parse(only.text);
};

test('offers a template per kind of data, each naming the tool that answers the same', async () => {
  const { client } = await connect();
  const { resourceTemplates } = await client.listResourceTemplates();
  expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
    'market://{exchange}/{symbol}/ticker',
    'market://{exchange}/{symbol}/ohlcv',
    'market://{exchange}/{symbol}/orderbook',
    'market://{exchange}/{symbol}/trades',
  ]);
  const { tools } = await client.listTools();
  for (const { description } of resourceTemplates) {
    const twin = /the tool (\w+)/.exec(description ?? '')?.[1];
    expect(tools.map(({ name }) => name)).toContain(twin);
  }
});

test('lists the best known markets of the enabled exchanges, and none of one that does not answer', async () => {
  const { client, marketData } = await connect();
  const listed = async () => (await client.listResources()).resources.map(({ uri }) => uri);
  expect(await listed()).toEqual(['market://binance/BTC%2FUSDT/ticker', 'market://kraken/BTC%2FUSDT/ticker']);
  for (const uri of await listed())
    expect(textIn((await client.readResource({ uri })).contents)).toMatchObject({ symbol: 'BTC/USDT' });
  marketData.list = ({ exchange }) =>
    exchange === 'kraken' ? Promise.reject(new AppError('upstream_timeout', 'No.')) : Promise.resolve();
  expect(await listed()).toEqual(['market://binance/BTC%2FUSDT/ticker']);
});

test.each([
  ['ticker', 'get_ticker'],
  ['ohlcv', 'get_ohlcv'],
  ['orderbook', 'get_orderbook'],
  ['trades', 'get_trades'],
])('market://…/%s reads what %s answers', async (kind, tool) => {
  const { client } = await connect({ sandbox: true });
  const resource = await client.readResource({ uri: `market://binance/BTC%2FUSDT/${kind}` });
  const args = { exchange: 'binance', symbol: 'BTC/USDT' };
  const { structuredContent } = await client.callTool({ name: tool, arguments: args });
  expect(textIn(resource.contents)).toEqual(structuredContent);
  expect(resource.contents[0]).toMatchObject({
    uri: `market://binance/BTC%2FUSDT/${kind}`,
    mimeType: 'application/json',
  });
});

test('takes a symbol in the form without a slash', async () => {
  const { client, marketData } = await connect();
  await client.readResource({ uri: 'market://kraken/BTC-USD/trades' });
  expect(marketData.queries).toEqual([{ kind: 'trades', exchange: 'kraken', symbol: 'BTC-USD', limit: 100 }]);
});

test('refuses an unreadable symbol as invalid params, with our code', async () => {
  const { client } = await connect();
  const uri = 'market://binance/%E0%A4%A/ticker';
  await expect(client.readResource({ uri })).rejects.toMatchObject({
    code: -32602,
    data: { uri, code: 'invalid_request', retryable: false },
  });
});

test('tells a failing exchange from a mistake, and when to come back', async () => {
  const { client, marketData } = await connect();
  marketData.fault = new AppError('upstream_timeout', 'binance did not answer.', { retryAfterMs: 2000 });
  await expect(client.readResource({ uri: 'market://binance/BTC-USDT/ticker' })).rejects.toMatchObject({
    code: -32603,
    data: { code: 'upstream_timeout', retryable: true, retry_after_ms: 2000 },
  });
});

test('an address of no template is not found', async () => {
  const { client, marketData } = await connect();
  await expect(client.readResource({ uri: 'market://binance/BTC-USDT/secrets' })).rejects.toMatchObject({
    code: -32602,
  });
  expect(marketData.queries).toEqual([]);
});

test('completes exchanges and the symbols of the chosen exchange', async () => {
  const { client, marketData } = await connect();
  const ref = { type: 'ref/resource' as const, uri: 'market://{exchange}/{symbol}/ticker' };
  const complete = async (name: string, value: string, context?: Record<string, string>) => {
    const asked = { ref, argument: { name, value }, ...(context && { context: { arguments: context } }) };
    return (await client.complete(asked)).completion.values;
  };
  expect(await complete('exchange', 'KR')).toEqual(['kraken']);
  expect(await complete('symbol', 'btc-', { exchange: 'binance' })).toEqual(['BTC%2FUSDT']);
  expect(marketData.filters).toEqual([{ exchange: 'binance', search: 'btc/', limit: 100 }]);
  await complete('symbol', '', { exchange: 'binance' });
  expect(marketData.filters[1]).toMatchObject({ search: undefined });
  expect(await complete('symbol', 'btc')).toEqual([]);
  marketData.fault = new AppError('upstream_timeout', 'No.');
  expect(await complete('exchange', '')).toEqual([]);
  expect(await complete('symbol', 'b', { exchange: 'binance' })).toEqual([]);
});
