// GraphQL tells what REST tells: each field of each answer, over three venues.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  isObjectType,
  isScalarType,
  getNamedType,
  buildSchema,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { camelCase } from '../../../src/graphql/schema/from-zod.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { midHour } from '../../support/mid-hour.js';
import { GraphqlRig, quietSandbox } from './graphql-app.js';

let sandbox: Sandbox;
let rig: GraphqlRig;
let schema: GraphQLSchema;
// Both questions are to see the same entries, of which that of candles ends with their period.
const now = midHour();
beforeAll(async () => {
  sandbox = await quietSandbox(now);
  const env = {
    TICKER_CACHE_TTL: '60',
    ORDERBOOK_CACHE_TTL: '60',
    TRADES_CACHE_TTL: '60',
    GRAPHQL_MAX_FIELDS: '400',
  };
  rig = await GraphqlRig.start(sandbox, env, { now, monotonic: steadyNow });
  schema = buildSchema(await (await fetch(`${rig.url}/schema.graphql`)).text());
});
afterAll(async () => {
  await rig.close();
  await sandbox.close();
});

/** Every field of a type, without `meta`. */
const everything = (type: GraphQLObjectType): string =>
  Object.values(type.getFields())
    .filter(({ name }) => name !== 'meta')
    .map(({ name, type: of }) => {
      const inner = getNamedType(of);
      return isObjectType(inner) ? `${name} { ${everything(inner)} }` : isScalarType(inner) ? name : '';
    })
    .join(' ');

const typeOf = (name: string): GraphQLObjectType => {
  const type = schema.getType(name);
  if (!isObjectType(type)) throw new Error(`no type ${name}`);
  return type;
};

/** REST's body in GraphQL's names; what REST leaves out is null. */
const inGraphql = (value: unknown, type: GraphQLObjectType): unknown => {
  if (Array.isArray(value)) return value.map((item) => inGraphql(item, type));
  if (value === null || typeof value !== 'object') return value;
  const body = new Map(Object.entries(value).map(([name, member]) => [camelCase(name), member as unknown]));
  const known = Object.values(type.getFields()).filter(({ name }) => name !== 'meta');
  expect([...body.keys()].filter((name) => !known.some((field) => field.name === name))).toEqual([]);
  return Object.fromEntries(
    known.map(({ name, type: of }) => {
      const inner = getNamedType(of);
      const member = body.get(name) ?? null;
      return [name, isObjectType(inner) ? inGraphql(member, inner) : member];
    }),
  );
};

const MARKETS = [
  ['binance', 'BTC/USDT'],
  ['kraken', 'BTC/USD'],
  ['coinbasepro', 'BTC/USD'],
] as const;

const META = 'meta { source cache receivedAt ageMs freshUntil sandbox }';

const KINDS = [
  { field: 'ticker', type: 'Ticker', path: 'ticker', args: '', query: '&stats=true' },
  { field: 'orderBook', type: 'OrderBook', path: 'orderbook', args: 'limit: 7', query: '&limit=7' },
  { field: 'trades', type: 'Trades', path: 'trades', args: 'limit: 9', query: '&limit=9' },
  {
    field: 'ohlcv',
    type: 'Ohlcv',
    path: 'ohlcv',
    args: 'interval: "1h", limit: 20',
    query: '&interval=1h&limit=20',
  },
] as const;

describe.each(MARKETS)('on %s', (exchange, symbol) => {
  test.each(KINDS)(
    'every field of $field equals its twin of REST',
    async ({ field, type, path, args, query }) => {
      const rest = await rig.rest(`/v1/markets/${path}?exchange=${exchange}&symbol=${symbol}${query}`);
      const document = `{ ${field}(exchange: "${exchange}", symbol: "${symbol}" ${args}) { ${everything(typeOf(type))} ${META} } }`;
      const { status, body } = await rig.ask(document);
      expect(status).toBe(200);
      expect(body.errors).toBeUndefined();
      const { meta, ...answer } = body.data?.[field] as Record<string, unknown>;
      expect(answer).toEqual(inGraphql(rest, typeOf(type)));
      expect(meta).toMatchObject({ source: 'sandbox', cache: 'HIT', sandbox: true });
      const { receivedAt, freshUntil, ageMs } = meta as Record<string, number>;
      expect(receivedAt).toBeLessThanOrEqual(now());
      expect(freshUntil).toBeGreaterThan(receivedAt ?? 0);
      expect(ageMs).toBeGreaterThanOrEqual(0);
    },
  );

  test('every field of markets equals the same field of REST', async () => {
    const rest = await rig.rest(`/v1/markets?exchange=${exchange}&base=BTC&limit=2`);
    const { body } = await rig.ask(
      `{ markets(exchange: "${exchange}", base: "btc", limit: 2) { ${everything(typeOf('Markets'))} ${META} } }`,
    );
    const { meta, ...answer } = body.data?.['markets'] as Record<string, unknown>;
    expect(answer).toEqual(inGraphql(rest, typeOf('Markets')));
    expect(meta).toMatchObject({ source: 'sandbox' });
  });
});

test('exchanges is a bare list of what REST lists', async () => {
  const rest = await rig.rest('/v1/exchanges');
  const { body } = await rig.ask(`{ exchanges { ${everything(typeOf('Exchange'))} } }`);
  expect(body.data).toEqual({ exchanges: inGraphql(rest['exchanges'], typeOf('Exchange')) });
});

test('status is that of REST', async () => {
  const rest = await rig.rest('/v1/status');
  const { body } = await rig.ask(`{ status { ${everything(typeOf('Status'))} ${META} } }`);
  const { meta, ...answer } = body.data?.['status'] as Record<string, unknown>;
  const expected = inGraphql(rest, typeOf('Status')) as Record<string, unknown>;
  expect(Object.keys(answer)).toEqual(Object.keys(expected));
  expect(answer).toMatchObject({
    sandbox: true,
    features: expected['features'],
    version: expected['version'],
  });
  expect(meta).toMatchObject({ source: 'sandbox' });
});

test('a market has all its answers in one question', async () => {
  const { body } = await rig.ask(`{
    market(exchange: "binance", symbol: "ETH/USDT") {
      exchange symbol
      ticker { symbol last } orderBook(limit: 2) { bids { price } } trades(limit: 1) { trades { tradeId } }
      ohlcv(limit: 1) { candles { open } }
    }
  }`);
  expect(body.errors).toBeUndefined();
  expect(body.data).toMatchObject({
    market: {
      exchange: 'binance',
      symbol: 'ETH/USDT',
      ticker: { symbol: 'ETH/USDT', last: expect.any(Number) as number },
      orderBook: { bids: [{}, {}] },
      trades: { trades: [{ tradeId: expect.any(String) as string }] },
      ohlcv: { candles: [{}] },
    },
  });
});

test('since and until are a number or ISO text', async () => {
  const ask = (since: string) =>
    rig.ask(
      `{ ohlcv(exchange: "binance", symbol: "BTC/USDT", since: ${since}, limit: 1) { candles { timestamp } } }`,
    );
  const at = Date.parse('2026-01-31T12:00:00Z');
  const answers = await Promise.all([ask(String(at)), ask('"2026-01-31T12:00:00Z"')]);
  for (const { body } of answers) expect(body.data).toEqual({ ohlcv: { candles: [{ timestamp: at }] } });
  const { body } = await rig.post({
    query:
      'query ($since: Timestamp) { ohlcv(exchange: "binance", symbol: "BTC/USDT", since: $since, limit: 1) { candles { timestamp } } }',
    variables: { since: at },
  });
  expect(body.data).toEqual({ ohlcv: { candles: [{ timestamp: at }] } });
});

test('tickers come in the order asked, with null and its path where one failed, and duplicates twice', async () => {
  const { status, body } = await rig.ask(`{
    tickers(markets: [
      { exchange: "kraken", symbol: "BTC/USD" }
      { exchange: "binance", symbol: "NO/SUCH" }
      { exchange: "binance", symbol: "BTC/USDT" }
      { exchange: "kraken", symbol: "BTC/USD" }
    ]) { exchange symbol }
  }`);
  expect(status).toBe(200);
  const kraken = { exchange: 'kraken', symbol: 'BTC/USD' };
  expect(body.data).toEqual({
    tickers: [kraken, null, { exchange: 'binance', symbol: 'BTC/USDT' }, kraken],
  });
  expect(body.errors).toEqual([
    expect.objectContaining({
      path: ['tickers', 1],
      extensions: expect.objectContaining({ code: 'symbol_not_found', retryable: false }) as object,
    }),
  ]);
});

test('one dead venue nulls one field', async () => {
  sandbox.control.setFault({ venue: 'kraken', fault: { type: 'status', status: 500 } });
  const { body } = await rig.ask(`{
    kraken: ticker(exchange: "kraken", symbol: "ETH/USD") { last }
    binance: ticker(exchange: "binance", symbol: "BTC/USDT") { symbol }
  }`);
  sandbox.control.clearFaults();
  expect(body.data).toEqual({ kraken: null, binance: { symbol: 'BTC/USDT' } });
  expect(body.errors?.map(({ path, extensions: { code } }) => ({ path, code }))).toEqual([
    { path: ['kraken'], code: 'upstream_unavailable' },
  ]);
});

test('the same market twice is one call', async () => {
  sandbox.control.resetLog();
  const { body } = await rig.ask(`{
    a: ticker(exchange: "binance", symbol: "LTC/USDT") { last }
    b: ticker(exchange: "binance", symbol: "LTC/USDT") { bid }
    tickers(markets: [{ exchange: "binance", symbol: "LTC/USDT" }]) { ask }
  }`);
  expect(body.errors).toBeUndefined();
  expect(sandbox.control.requestLog()).toHaveLength(1);
});
