// Kraken's LUNA is Terra Classic, which CCXT calls LUNC, and its LUNA2 is the coin that CCXT calls LUNA.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connect, NOON, sandboxAt } from './ccxt-clients.js';
import { openFeed } from './feed-client.js';

let sandbox: Sandbox;
beforeAll(async () => {
  ({ sandbox } = await sandboxAt(NOON));
});
afterAll(() => sandbox.close());

const lastOf = (symbol: string): number => sandbox.market.ticker('kraken', symbol, NOON).last;

const api = async (path: string): Promise<Record<string, Record<string, unknown>>> => {
  const answer = await fetch(`${sandbox.url}/api.kraken.com/0/public/${path}`);
  return ((await answer.json()) as { result: Record<string, Record<string, unknown>> }).result;
};

test('the two coins are worth thousands of times as much as one another', () => {
  expect(lastOf('LUNA/USD') / lastOf('LUNC/USD')).toBeGreaterThan(500);
});

describe('REST', () => {
  test('lists them by its own names', async () => {
    const pairs = await api('AssetPairs?pair=LUNAUSD,LUNA2USD,XBTUSD');
    expect(pairs).toMatchObject({
      LUNAUSD: { altname: 'LUNAUSD', wsname: 'LUNA/USD', base: 'LUNA', quote: 'ZUSD' },
      LUNA2USD: { altname: 'LUNA2USD', wsname: 'LUNA2/USD', base: 'LUNA2', quote: 'ZUSD' },
      XXBTZUSD: { altname: 'XBTUSD', wsname: 'XBT/USD', base: 'XXBT', quote: 'ZUSD' },
    });
    expect(await api('Assets')).toMatchObject({ LUNA: { altname: 'LUNA' }, LUNA2: { altname: 'LUNA2' } });
  });

  test('answers for either spelling, without any time', async () => {
    for (const [name, symbol] of [
      ['LUNAUSD', 'LUNC/USD'],
      ['LUNA/USD', 'LUNC/USD'],
      ['LUNA2USD', 'LUNA/USD'],
      ['LUNA2/USD', 'LUNA/USD'],
    ] as const) {
      const [ticker] = Object.values(await api(`Ticker?pair=${name}`));
      expect(Number((ticker?.['c'] as string[])[0])).toBe(lastOf(symbol));
      expect(Object.keys(ticker ?? {})).toEqual(['a', 'b', 'c', 'v', 'p', 't', 'l', 'h', 'o']);
    }
  });

  test('CCXT reads them by its names', async () => {
    const exchange = connect('kraken', sandbox);
    expect((await exchange.fetchTicker('LUNA/USD')).last).toBe(lastOf('LUNA/USD'));
    expect((await exchange.fetchTicker('LUNC/USD')).last).toBe(lastOf('LUNC/USD'));
  });
});

describe('WebSocket v2', () => {
  const snapshotOf = async (channel: string, symbol: string): Promise<unknown> => {
    const feed = await openFeed(sandbox, 'ws.kraken.com/v2');
    feed.send({ method: 'subscribe', params: { channel, symbol: [symbol] } });
    const { data } = (await feed.frame({ type: 'snapshot' })) as { data: readonly unknown[] };
    feed.close();
    return data[0];
  };

  test.each([
    ['LUNA/USD', 'LUNC/USD'],
    ['LUNA2/USD', 'LUNA/USD'],
    ['BTC/USD', 'BTC/USD'],
  ] as const)('%s is the %s of CCXT, in every channel', async (name, symbol) => {
    expect(await snapshotOf('ticker', name)).toMatchObject({ symbol: name, last: lastOf(symbol) });
    expect(await snapshotOf('trade', name)).toMatchObject({ symbol: name });
    expect(await snapshotOf('ohlc', name)).toMatchObject({ symbol: name });
    const book = sandbox.market.book('kraken', symbol, { time: NOON, depth: 1 });
    const { symbol: told, bids } = (await snapshotOf('book', name)) as {
      symbol: string;
      bids: { price: number; qty: number }[];
    };
    expect(told).toBe(name);
    expect([bids[0]?.price, bids[0]?.qty]).toEqual(book.bids[0]);
  });

  test('tickers have the time in microseconds', async () => {
    expect(await snapshotOf('ticker', 'BTC/USD')).toMatchObject({ timestamp: '2026-03-03T12:00:30.000000Z' });
  });

  test('the unified name of a renamed coin alone is unknown', async () => {
    const feed = await openFeed(sandbox, 'ws.kraken.com/v2');
    feed.send({ method: 'subscribe', params: { channel: 'ticker', symbol: ['LUNC/USD'] }, req_id: 3 });
    expect(await feed.frame({ method: 'subscribe' })).toMatchObject({
      success: false,
      error: 'Currency pair not supported LUNC/USD',
      symbol: 'LUNC/USD',
      req_id: 3,
    });
    feed.close();
  });
});
