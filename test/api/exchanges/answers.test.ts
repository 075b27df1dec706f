import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NOW, startVenues, symbolOf, VENUES, type Venues } from './venue-fixture.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LENGTHS = new Map([
  ['1m', MINUTE],
  ['5m', 5 * MINUTE],
  ['15m', 15 * MINUTE],
  ['1h', HOUR],
  ['1d', DAY],
]);
let venues: Venues;
beforeAll(async () => {
  venues = await startVenues();
});
afterAll(() => venues.close());

const SCHEMA_ORDER = {
  ticker: ['exchange', 'symbol', 'bid', 'ask', 'last', 'timestamp', 'raw'],
  orderbook: ['exchange', 'symbol', 'bids', 'asks', 'timestamp'],
  trades: ['exchange', 'symbol', 'trades'],
  ohlcv: ['exchange', 'symbol', 'interval', 'candles'],
};

describe.each(VENUES)('%s', (exchange) => {
  const symbol = symbolOf(exchange);
  const truth = () => venues.sandbox.market;

  it('lists its markets, sorted by symbol', async () => {
    const { markets, loadedAt } = await venues.venues.markets(exchange, venues.soon());
    const expected = truth()
      .markets(exchange)
      .map(({ symbol, base, quote, active }) => ({ symbol, base, quote, type: 'spot', active }))
      .sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
    expect(markets).toMatchObject(expected);
    expect(markets).toHaveLength(expected.length);
    for (const market of markets)
      expect(market).toMatchObject({
        id: expect.any(String),
        settle: null,
        price_step: expect.any(Number),
        amount_step: expect.any(Number),
        contract_size: null,
      });
    expect(loadedAt).toBe(NOW);
  });

  it('tells the ticker that the venue has', async () => {
    const answer = await venues.ask({ kind: 'ticker', exchange, symbol });
    const { bid, ask, last } = truth().ticker(exchange, symbol, NOW);
    expect(Object.keys(answer)).toEqual(SCHEMA_ORDER.ticker);
    expect(answer).toMatchObject({ exchange, symbol, bid, ask, last });
    expect(Math.abs(answer.timestamp - NOW)).toBeLessThan(1000);
    expect(Object.keys(answer.raw as object).length).toBeGreaterThan(4);
  });

  it.each([1, 7, 50, 101, 400])('tells the best %i levels of its book', async (limit) => {
    const answer = await venues.ask({ kind: 'orderbook', exchange, symbol, limit });
    const { bids, asks } = truth().book(exchange, symbol, { time: NOW, depth: limit });
    const level = ([price, amount]: readonly [number, number]) => ({ price, amount });
    expect(Object.keys(answer)).toEqual(SCHEMA_ORDER.orderbook);
    expect(answer.bids.length).toBeGreaterThan(0);
    expect(answer.bids).toEqual(bids.slice(0, answer.bids.length).map(level));
    expect(answer.asks).toEqual(asks.slice(0, answer.asks.length).map(level));
    expect(answer.bids.length).toBe(Math.min(limit, bids.length));
    expect(answer.timestamp).toBe(NOW);
  });

  it.each([1, 100, 1000])(
    'tells the latest %i trades, oldest first, with the side of the taker',
    async (limit) => {
      const answer = await venues.ask({ kind: 'trades', exchange, symbol, limit });
      const all = truth().trades(exchange, symbol, { from: NOW - HOUR, to: NOW });
      expect(Object.keys(answer)).toEqual(SCHEMA_ORDER.trades);
      expect(answer.trades).toEqual(
        all.slice(-limit).map(({ id, timestamp, price, amount, side }) => ({
          trade_id: id,
          timestamp,
          price,
          amount,
          side,
        })),
      );
    },
  );

  it.each([...LENGTHS.keys()])('tells its latest %s candles, the last one open', async (interval) => {
    const answer = await venues.ask({ kind: 'ohlcv', exchange, symbol, interval, limit: 100 });
    const from = NOW - 101 * (LENGTHS.get(interval) ?? 0);
    const expected = truth().candles(exchange, symbol, { interval, from, to: NOW, now: NOW });
    expect(Object.keys(answer)).toEqual(SCHEMA_ORDER.ohlcv);
    expect(answer.candles).toEqual(expected.slice(-100));
    expect(answer.candles.map(({ closed }) => closed).lastIndexOf(true)).toBe(98);
  });

  it('tells candles from an unaligned since on', async () => {
    const since = NOW - 3 * HOUR;
    const answer = await venues.ask({ kind: 'ohlcv', exchange, symbol, interval: '1m', since, limit: 30 });
    const from = Math.ceil(since / MINUTE) * MINUTE;
    const range = { interval: '1m', from, to: from + 29 * MINUTE, now: NOW };
    expect(answer.candles).toEqual(truth().candles(exchange, symbol, range));
    expect(answer.gaps).toBeUndefined();
  });

  it('has no candles in the future and asks nobody for them', async () => {
    const before = venues.sandbox.control.counters().requests;
    const answer = await venues.ask({
      kind: 'ohlcv',
      exchange,
      symbol,
      interval: '1m',
      since: NOW + 1,
      limit: 5,
    });
    expect(answer).toEqual({ exchange, symbol, interval: '1m', candles: [] });
    expect(venues.sandbox.control.counters().requests).toBe(before);
  });

  it('says when an open candle closes, and that closed history never moves', async () => {
    const base = { kind: 'ohlcv', exchange, symbol, interval: '1h', limit: 3 } as const;
    const open = await venues.venues.fetch(base, venues.soon());
    expect(open.closesAt).toBe(Math.ceil(NOW / HOUR) * HOUR);
    const closed = await venues.venues.fetch({ ...base, since: NOW - 10 * HOUR }, venues.soon());
    expect(closed.closesAt).toBeNull();
  });

  it('answers a symbol in any case in the spelling of the venue', async () => {
    const answer = await venues.ask({ kind: 'ticker', exchange, symbol: symbol.toLowerCase() });
    expect(answer.symbol).toBe(symbol);
  });

  it('sends our user agent and nobody else’s', async () => {
    await venues.ask({ kind: 'ticker', exchange, symbol });
    expect(venues.requests().at(-1)?.userAgent).toBe('venue-test/1');
  });
});

describe('candles over the seams of pages', () => {
  it.each(['binance', 'coinbaseexchange'] as const)('%s: 2,000 minutes without a hole', async (exchange) => {
    const symbol = symbolOf(exchange);
    const answer = await venues.ask({ kind: 'ohlcv', exchange, symbol, interval: '1m', limit: 2000 });
    const to = Math.floor(NOW / MINUTE) * MINUTE;
    const range = { interval: '1m', from: to - 1999 * MINUTE, to, now: NOW };
    const expected = venues.sandbox.market.candles(exchange, symbol, range);
    expect(expected).toHaveLength(2000);
    expect(answer.candles).toEqual(expected);
    expect(answer.gaps).toBeUndefined();
  });

  it.each(['binance', 'coinbaseexchange'] as const)(
    '%s: 2,000 from an unaligned since on',
    async (exchange) => {
      const symbol = symbolOf(exchange);
      const since = NOW - 40 * DAY;
      const answer = await venues.ask({
        kind: 'ohlcv',
        exchange,
        symbol,
        interval: '5m',
        since,
        limit: 2000,
      });
      const from = Math.ceil(since / (5 * MINUTE)) * 5 * MINUTE;
      const range = { interval: '5m', from, to: from + 1999 * 5 * MINUTE, now: NOW };
      expect(answer.candles).toEqual(venues.sandbox.market.candles(exchange, symbol, range));
      expect(answer.candles).toHaveLength(2000);
    },
  );

  it('asks no more often than the pages need', async () => {
    const count = async (exchange: 'binance' | 'kraken' | 'coinbaseexchange', limit: number) => {
      const before = venues.requests().length;
      await venues.ask({ kind: 'ohlcv', exchange, symbol: symbolOf(exchange), interval: '1m', limit });
      return venues.requests().length - before;
    };
    expect(await count('binance', 1000)).toBe(1);
    expect(await count('binance', 2000)).toBe(2);
    expect(await count('coinbaseexchange', 300)).toBe(1);
    expect(await count('coinbaseexchange', 2000)).toBe(7);
    expect(await count('kraken', 2000)).toBe(1);
  });

  it('Kraken keeps 720 candles, and the answer says that it has no more', async () => {
    const request = {
      kind: 'ohlcv',
      exchange: 'kraken',
      symbol: 'BTC/USD',
      interval: '1m',
      limit: 2000,
    } as const;
    const current = Math.floor(NOW / MINUTE) * MINUTE;
    const oldest = current - 719 * MINUTE;
    const reason = 'not_available_from_exchange';
    const latest = await venues.ask(request);
    expect(latest.candles).toHaveLength(720);
    expect(latest.gaps).toEqual([{ from: current - 1999 * MINUTE, to: oldest, reason }]);
    const older = await venues.ask({ ...request, since: current - 2000 * MINUTE, limit: 100 });
    expect(older.candles).toHaveLength(100);
    expect(older.candles[0]?.timestamp).toBe(oldest);
    expect(older.gaps).toEqual([{ from: current - 2000 * MINUTE, to: oldest, reason }]);
  });

  it('a market that was listed later has its first candles and a gap before them', async () => {
    const market = venues.sandbox.market.find('binance', 'SOL/USDT');
    const since = Math.floor((market?.listedAt ?? 0) / DAY) * DAY - 30 * DAY;
    const answer = await venues.ask({
      kind: 'ohlcv',
      exchange: 'binance',
      symbol: 'SOL/USDT',
      interval: '1d',
      since,
      limit: 10,
    });
    expect(answer.candles).toHaveLength(10);
    const to = answer.candles[0]?.timestamp ?? 0;
    expect(to).toBeGreaterThan(since);
    expect(answer.gaps).toEqual([{ from: since, to, reason: 'not_available_from_exchange' }]);
  });

  it('Coinbase leaves minutes without trades out, and the answer names them', async () => {
    const request = {
      kind: 'ohlcv',
      exchange: 'coinbaseexchange',
      symbol: 'MUSE/USD',
      interval: '1m',
    } as const;
    const since = Math.floor(NOW / MINUTE) * MINUTE - 600 * MINUTE;
    const answer = await venues.ask({ ...request, since, limit: 500 });
    const to = Math.floor(NOW / MINUTE) * MINUTE;
    const range = { interval: '1m', from: since, to, now: NOW };
    const expected = venues.sandbox.market.candles('coinbaseexchange', 'MUSE/USD', range).slice(0, 500);
    expect(answer.candles).toEqual(expected);
    const covered = new Set<number>(expected.map(({ timestamp }) => timestamp));
    for (const { from, to: end, reason } of answer.gaps ?? []) {
      expect(reason).toBe(from === since ? 'not_available_from_exchange' : 'no_trades');
      for (let at = from; at < end; at += MINUTE) {
        expect(covered.has(at)).toBe(false);
        covered.add(at);
      }
    }
    expect(covered.size).toBe((Math.max(...covered) - since) / MINUTE + 1);
  });

  it('counts every page against the budget', async () => {
    const before = venues.venues.health()[0]?.budget.remaining ?? 0;
    await venues.ask({ kind: 'ohlcv', exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', limit: 2000 });
    expect(venues.venues.health()[0]?.budget.remaining).toBe(before - 2);
  });
});
