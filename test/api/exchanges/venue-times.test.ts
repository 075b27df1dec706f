// Times are the venue's wherever it gives one, and a time that is still to come is none.
import { afterEach, describe, expect, it } from 'vitest';
import { startFakeVenue, type FakeVenue } from '../../support/fake-venue.js';
import { venueClient, type VenueClient } from '../../support/venue-client.js';

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});

const product = {
  id: 'BTC-USD',
  base_currency: 'BTC',
  quote_currency: 'USD',
  base_increment: '0.00000001',
  quote_increment: '0.01',
  status: 'online',
};
const pair = {
  altname: 'XBTUSD',
  wsname: 'XBT/USD',
  base: 'XXBT',
  quote: 'ZUSD',
  status: 'online',
  pair_decimals: 1,
  lot_decimals: 8,
};
const spot = {
  symbol: 'BTCUSDT',
  status: 'TRADING',
  baseAsset: 'BTC',
  quoteAsset: 'USDT',
  permissionSets: [['SPOT']],
  filters: [],
};

describe('the time of an answer', () => {
  it('coinbaseexchange: an order book has its own', async () => {
    venue = await startFakeVenue({
      answer: ({ path }) =>
        path.endsWith('/products')
          ? [product]
          : { bids: [['1', '1', 1]], asks: [['2', '1', 1]], sequence: 7, time: '2021-02-12T01:09:23.334Z' },
    });
    client = venueClient('coinbaseexchange', venue);
    const book = await client.ask({
      kind: 'orderbook',
      exchange: 'coinbaseexchange',
      symbol: 'BTC/USD',
      limit: 5,
    });
    expect(book.timestamp).toBe(Date.UTC(2021, 1, 12, 1, 9, 23, 334));
  });

  it('is said to be missing where it is, and not where it happens to be that of receipt', async () => {
    const at = Date.UTC(2026, 10, 26, 12);
    venue = await startFakeVenue({
      answer: ({ path }) => {
        if (path.endsWith('/products')) return [product];
        if (path.endsWith('/exchangeInfo')) return { symbols: [spot] };
        if (path.endsWith('/depth')) return { lastUpdateId: 1, bids: [['1', '1']], asks: [['2', '1']] };
        return {
          bids: [['1', '1', 1]],
          asks: [['2', '1', 1]],
          sequence: 7,
          time: new Date(at).toISOString(),
        };
      },
    });
    const ask = async (exchange: string, symbol: string) => {
      await client?.close();
      client = venueClient(exchange, venue!, { now: () => at });
      const request = { kind: 'orderbook', exchange, symbol, limit: 5 } as const;
      const { body, untimed } = await client.client.fetch(request, {
        deadline: at + 20_000,
        priority: 'caller',
      });
      const { timestamp } = JSON.parse(Buffer.from(body).toString()) as { timestamp: number };
      return { timestamp, untimed };
    };
    expect(await ask('binance', 'BTC/USDT')).toEqual({ timestamp: at, untimed: true });
    expect(await ask('coinbaseexchange', 'BTC/USD')).toEqual({ timestamp: at, untimed: undefined });
  });

  it('bybit: a ticker has that of its envelope', async () => {
    venue = await startFakeVenue({
      answer: ({ query }) => {
        const list = [
          { symbol: 'BTCUSDT', baseCoin: 'BTC', quoteCoin: 'USDT', status: 'Trading', lastPrice: '42500' },
        ];
        const category = query.get('category');
        return {
          retCode: 0,
          result: { category, list: category === 'spot' ? list : [] },
          time: 1672053054358,
        };
      },
    });
    client = venueClient('bybit', venue);
    const ticker = await client.ask({ kind: 'ticker', exchange: 'bybit', symbol: 'BTC/USDT' });
    expect(ticker).toMatchObject({ last: 42500, timestamp: 1672053054358 });
  });

  it('kraken: a ticker of the feed has its own', async () => {
    venue = await startFakeVenue({
      answer: ({ path }) => ({
        error: [],
        result: path.endsWith('/Assets')
          ? { XXBT: { altname: 'XBT', decimals: 8 }, ZUSD: { altname: 'USD', decimals: 4 } }
          : { XXBTZUSD: pair },
      }),
      onFrame: (_, socket) => {
        const data = [{ symbol: 'BTC/USD', last: 1, timestamp: '2022-12-25T09:30:59.123456Z' }];
        socket.send(JSON.stringify({ channel: 'ticker', type: 'update', data }));
      },
    });
    client = venueClient('kraken', venue);
    const feed = client.watch({ channel: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' });
    expect(await feed.item(1)).toMatchObject({ timestamp: Date.UTC(2022, 11, 25, 9, 30, 59, 123) });
  });
});

describe('a time that is still to come', () => {
  it('binance: is that of receipt, on the feed without an order, and over REST', async () => {
    const T = 1_699_000_000_000_000;
    venue = await startFakeVenue({
      answer: ({ path }) =>
        path.endsWith('/exchangeInfo')
          ? { symbols: [spot] }
          : [{ a: 1, p: '1', q: '1', f: 1, l: 1, T, m: false }],
      onFrame: (frame, socket) => {
        const { id } = frame as { id: number };
        socket.send(JSON.stringify({ result: null, id }));
        const E = 1_999_000_000_000;
        socket.send(JSON.stringify({ e: '24hrTicker', E, C: E, s: 'BTCUSDT', c: '7', b: '6', a: '8' }));
      },
    });
    client = venueClient('binance', venue);
    const before = Date.now();
    const topic = { exchange: 'binance', symbol: 'BTC/USDT' };
    const { trades } = await client.ask({ kind: 'trades', ...topic, limit: 5 });
    const [trade] = trades as { timestamp: number }[];
    expect(trade?.timestamp).toBeGreaterThanOrEqual(before);
    expect(trade?.timestamp).toBeLessThanOrEqual(Date.now());
    const item = await client.watch({ channel: 'ticker', ...topic }).item(1);
    expect(item).toMatchObject({ last: 7, untimed: true });
    expect('timestamp' in item && item.timestamp).toBeLessThanOrEqual(Date.now());
  });
});

describe('a candle that is still to come', () => {
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  const started = performance.now();
  /** The minute that stays open, whenever the test runs. */
  const now = (): number => minute + Math.min(Math.floor(performance.now() - started), 59_999);
  const future = 1_999_000_020_000;
  const row = (at: number) => [at, '1', '1', '1', '1', '1', at + 59_999, '1', 1, '1', '1', '0'];
  const topic = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m' } as const;

  it('binance: is left out over REST, and an answer of nothing else makes no sense', async () => {
    let rows = [row(minute - 60_000), row(future)];
    venue = await startFakeVenue({
      answer: ({ path }) => (path.endsWith('/exchangeInfo') ? { symbols: [spot] } : rows),
      now,
    });
    client = venueClient('binance', venue, { now });
    const { candles } = await client.ask({ kind: 'ohlcv', ...topic, limit: 2 });
    expect(candles).toMatchObject([{ timestamp: minute - 60_000, closed: true }]);
    rows = [row(minute * 1000)];
    expect(await client.refusal({ kind: 'ohlcv', ...topic, limit: 1 })).toMatchObject({
      code: 'upstream_bad_response',
    });
  });

  it('binance: closes none on the feed, and those of now go on', async () => {
    venue = await startFakeVenue({
      answer: () => ({ symbols: [spot] }),
      now,
      onFrame: (frame, socket) => {
        const { id } = frame as { id: number };
        socket.send(JSON.stringify({ result: null, id }));
        const send = (t: number, c: string): void => {
          const k = { t, T: t + 59_999, s: 'BTCUSDT', i: '1m', o: '1', c, h: '9', l: '1', v: '1', x: false };
          socket.send(JSON.stringify({ e: 'kline', E: now(), s: 'BTCUSDT', k }));
        };
        send(future, '9');
        send(minute, '5');
      },
    });
    client = venueClient('binance', venue, { now });
    const item = await client.watch({ channel: 'ohlcv', ...topic }).item(1);
    expect(item).toMatchObject({ candles: [{ timestamp: minute, close: 5, closed: false }] });
  });
});

describe('trades of one millisecond', () => {
  it('come in the order of the venue’s list where ids say nothing of it: newest first at bybit', async () => {
    const execution = (execId: string) => ({
      execId,
      symbol: 'BTCUSDT',
      price: '1',
      size: '1',
      side: 'Buy',
      time: '1709891679000',
    });
    venue = await startFakeVenue({
      answer: ({ path, query }) => {
        const category = query.get('category');
        const listed = [{ symbol: 'BTCUSDT', baseCoin: 'BTC', quoteCoin: 'USDT', status: 'Trading' }];
        const list = path.endsWith('/recent-trade')
          ? [execution('1111-newer'), execution('9999-older')]
          : category === 'spot'
            ? listed
            : [];
        return { retCode: 0, result: { category, list } };
      },
    });
    client = venueClient('bybit', venue);
    const { trades } = await client.ask({ kind: 'trades', exchange: 'bybit', symbol: 'BTC/USDT', limit: 5 });
    expect(trades).toMatchObject([{ trade_id: '9999-older' }, { trade_id: '1111-newer' }]);
  });
});
