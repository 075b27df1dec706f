// The bounds of a range of candles, as HTTP and MCP take them: the same words, and the same refusals.
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { START, startTestApp, type TestApp } from '../../support/app.js';
import { spotMarket } from '../../support/markets.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';

let rig: TestApp;
let mcp: Client;

beforeAll(async () => {
  rig = await startTestApp({ RATE_LIMIT_REQUESTS: '1000' });
  rig.venue.list = () => Promise.resolve({ markets: [spotMarket('BTC/USDT')], loadedAt: START });
  rig.venue.answer = (request) =>
    Promise.resolve(venueAnswer(request, START, { members: { interval: '1m', candles: [] } }));
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = rig.app.server.address() as AddressInfo;
  mcp = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await mcp.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)));
});
afterAll(async () => {
  await mcp.close();
  await rig.app.close();
});
beforeEach(() => {
  rig.venue.fetched.length = 0;
  // Nothing is served from the cache of an earlier test.
  rig.clock.now += 3_600_000;
});

type Bounds = Readonly<Record<string, string | number>>;
const overHttp = (bounds: Bounds) => {
  const query = new URLSearchParams({ exchange: 'binance', symbol: 'BTC/USDT' });
  for (const [name, value] of Object.entries(bounds)) query.set(name, String(value));
  return rig.app.inject(`/v1/markets/ohlcv?${query.toString()}`);
};
const overMcp = (bounds: Bounds) =>
  mcp.callTool({ name: 'get_ohlcv', arguments: { exchange: 'binance', symbol: 'BTC/USDT', ...bounds } });

const NOON = Date.UTC(2023, 0, 31, 12);

describe('is taken:', () => {
  test.each<[string, Bounds, object]>([
    ['milliseconds', { since: NOON }, { since: NOON }],
    ['milliseconds as text', { since: String(NOON) }, { since: NOON }],
    ['ISO 8601 in UTC', { since: '2023-01-31T12:00:00Z' }, { since: NOON }],
    ['ISO 8601 of another zone', { since: '2023-01-31T20:00:00+08:00' }, { since: NOON }],
    ['ISO 8601 without a zone', { since: '2023-01-31T12:00' }, { since: NOON }],
    ['a date alone', { since: '2023-01-31' }, { since: NOON - 43_200_000 }],
    ['the epoch', { since: 0 }, { since: 0 }],
    ['until alone', { until: '2023-01-31T12:00:00Z' }, { since: undefined, until: NOON }],
    ['both', { since: NOON - 60_000, until: NOON }, { since: NOON - 60_000, until: NOON }],
    ['until in the future', { until: '2030-01-01' }, { until: Date.UTC(2030, 0, 1) }],
  ])('%s', async (_, bounds, asked) => {
    expect((await overHttp(bounds)).statusCode).toBe(200);
    rig.clock.now += 3_600_000;
    expect((await overMcp(bounds)).isError).toBeFalsy();
    expect(rig.venue.fetched.map(({ request }) => request)).toEqual([
      expect.objectContaining(asked),
      expect.objectContaining(asked),
    ]);
  });

  test('a + of a zone that came unescaped in a URL', async () => {
    const response = await rig.app.inject(
      '/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&since=2023-01-31T20:00:00+08:00',
    );
    expect(response.statusCode).toBe(200);
    expect(rig.venue.fetched[0]?.request).toMatchObject({ since: NOON });
  });
});

describe('is refused, and no exchange asked:', () => {
  test.each<[string, Bounds, string, string]>([
    ['seconds for milliseconds', { since: 1_675_166_400 }, 'since', 'would be 1675166400000'],
    ['seconds in until', { until: 1_675_166_400 }, 'until', 'looks like seconds'],
    ['a start in the future', { since: START * 2 }, 'since', 'must'],
    ['a start a day ahead', { since: '2023-12-31' }, 'since', 'must not lie in the future; it is 2023-11-'],
    ['an empty range', { since: NOON, until: NOON }, 'since', 'must be before until'],
    ['a range that runs backwards', { since: NOON, until: NOON - 1 }, 'since', 'must be before until'],
    ['30 February', { since: '2023-02-30' }, 'since', 'must be milliseconds since the epoch or ISO 8601'],
    ['words', { since: 'yesterday' }, 'since', 'must be milliseconds since the epoch or ISO 8601'],
    ['a negative number', { since: -1 }, 'since', 'must be at least 0'],
    ['a fraction', { since: '1.5' }, 'since', 'must be milliseconds since the epoch or ISO 8601'],
  ])('%s', async (...[, bounds, parameter, reason]) => {
    const response = await overHttp(bounds);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({
      code: 'invalid_request',
      errors: [{ parameter, reason: expect.stringContaining(reason) as string }],
    });
    const result = await overMcp(bounds);
    expect(result.isError).toBe(true);
    expect(JSON.stringify(result.content)).toContain(reason);
    expect(rig.venue.fetched).toEqual([]);
  });
});

test('MCP advertises since and until as what every caller of functions takes: an integer or a string', async () => {
  const { tools } = await mcp.listTools();
  const properties = tools.find(({ name }) => name === 'get_ohlcv')?.inputSchema.properties;
  for (const bound of ['since', 'until'])
    expect(properties?.[bound]).toEqual({
      type: ['integer', 'string'],
      maxLength: 40,
      description: expect.stringContaining('ISO 8601') as string,
    });
});
