import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EXCHANGES, THIN_SYMBOL } from '../../../src/sandbox/listings.js';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { NOON } from './ccxt-clients.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const truth = createMarketTruth({ seed: 7, perVenue: 20 });
const venues = fc.constantFrom(...EXCHANGES);
/** All markets are listed by then. */
const times = fc.integer({ min: Date.UTC(2022, 5, 10), max: Date.UTC(2028, 0, 1) });
const place = venues.chain((venue) =>
  fc.record({
    venue: fc.constant(venue),
    symbol: fc.constantFrom(
      ...truth
        .markets(venue)
        .filter((market) => !market.thin)
        .map((market) => market.symbol),
    ),
    time: times,
  }),
);
/** The interval of each candle with the shorter one it is made of. */
const ladder = fc.constantFrom(
  ['5m', '1m', 5 * MINUTE],
  ['15m', '5m', 15 * MINUTE],
  ['1h', '1m', 60 * MINUTE],
  ['6h', '1h', 360 * MINUTE],
  ['1d', '4h', DAY],
  ['1w', '1d', 7 * DAY],
) as fc.Arbitrary<readonly [string, string, number]>;

describe('the simulated market', () => {
  test('has the same history for the same seed, and another for another', () => {
    const range = { interval: '1h', from: NOON - DAY, to: NOON, now: NOON };
    const candles = (seed: number) =>
      createMarketTruth({ seed, perVenue: undefined }).candles('kraken', 'BTC/USD', range);
    expect(candles(1)).toEqual(candles(1));
    expect(candles(1)).not.toEqual(candles(2));
  });

  test('has candles whose high and low enclose open and close, with a volume', () => {
    fc.assert(
      fc.property(place, fc.constantFrom('1m', '15m', '1d'), ({ venue, symbol, time }, interval) => {
        for (const candle of truth
          .candles(venue, symbol, { interval, from: time - 2 * DAY, to: time, now: time })
          .slice(-5)) {
          expect(candle.high).toBeGreaterThanOrEqual(Math.max(candle.open, candle.close));
          expect(candle.low).toBeLessThanOrEqual(Math.min(candle.open, candle.close));
          expect(candle.low).toBeGreaterThan(0);
          expect(candle.volume).toBeGreaterThan(0);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('has long candles that are exactly the sum of short ones, also while they are open', () => {
    fc.assert(
      fc.property(place, ladder, ({ venue, symbol, time }, [long, short, length]) => {
        const [candle] = truth
          .candles(venue, symbol, { interval: long, from: time - length, to: time, now: time })
          .slice(-1);
        const parts = truth.candles(venue, symbol, {
          interval: short,
          from: candle!.timestamp,
          to: time,
          now: time,
        });
        expect(candle!.open).toBe(parts[0]!.open);
        expect(candle!.close).toBe(parts.at(-1)!.close);
        expect(candle!.high).toBe(Math.max(...parts.map((part) => part.high)));
        expect(candle!.low).toBe(Math.min(...parts.map((part) => part.low)));
        const volume = parts.reduce((sum, part) => sum + part.volume, 0);
        expect(Math.abs(candle!.volume - volume)).toBeLessThan(1e-9 * volume);
      }),
      { numRuns: 60 },
    );
  });

  test('has tickers, trades and the open candle agree at any moment', () => {
    fc.assert(
      fc.property(place, ({ venue, symbol, time }) => {
        const ticker = truth.ticker(venue, symbol, time);
        const minute = Math.floor(time / MINUTE) * MINUTE;
        const trades = truth.trades(venue, symbol, { from: minute, to: time });
        const [candle] = truth.candles(venue, symbol, { interval: '1m', from: minute, to: time, now: time });
        expect(ticker.last).toBe(trades.at(-1)!.price);
        expect(ticker.tradeId).toBe(trades.at(-1)!.id);
        expect(candle!.close).toBe(ticker.last);
        expect(candle!.open).toBe(trades[0]!.price);
        expect(candle!.high).toBe(Math.max(...trades.map((trade) => trade.price)));
        expect(candle!.low).toBe(Math.min(...trades.map((trade) => trade.price)));
        expect(ticker.bid).toBeLessThan(ticker.last);
        expect(ticker.ask).toBeGreaterThan(ticker.last);
        expect(ticker.high).toBeGreaterThanOrEqual(ticker.last);
      }),
      { numRuns: 60 },
    );
  });

  test('begins each candle at the price that ended the one before', () => {
    const candles = truth.candles('binance', 'ETH/USDT', {
      interval: '5m',
      from: NOON - DAY,
      to: NOON,
      now: NOON,
    });
    expect(candles).toHaveLength(288);
    candles.slice(1).forEach((candle, i) => expect(candle.open).toBe(candles[i]!.close));
  });

  test('differs slightly from venue to venue', () => {
    const kraken = truth.ticker('kraken', 'BTC/USD', NOON).last;
    const coinbase = truth.ticker('coinbaseexchange', 'BTC/USD', NOON).last;
    expect(kraken).not.toBe(coinbase);
    expect(Math.abs(kraken / coinbase - 1)).toBeLessThan(0.002);
  });

  test('has nothing before the day of its listing', () => {
    const listed = Date.UTC(2020, 7, 11);
    const range = { interval: '1d', from: 0, to: listed + DAY, now: NOON };
    expect(truth.candles('binance', 'SOL/USDT', range).map((candle) => candle.timestamp)).toEqual([
      listed,
      listed + DAY,
    ]);
  });

  test('leaves out the minutes in which the thin market did not trade', () => {
    const range = { interval: '1m', from: NOON - DAY, to: NOON, now: NOON };
    const candles = truth.candles('coinbaseexchange', THIN_SYMBOL, range);
    expect(candles.length).toBeGreaterThan(100);
    expect(candles.length).toBeLessThan(1_000);
  });
});
