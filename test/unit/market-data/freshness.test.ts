import { describe, expect, it } from 'vitest';
import type { MarketRequest } from '../../../src/exchanges/exchange-client.js';
import { freshnessOf } from '../../../src/market-data/freshness.js';
import { TTL } from '../../support/market-data-rig.js';

const T = 1_700_000_000_000;
const base = { exchange: 'binance', symbol: 'BTC/USDT' };
const candles = (interval: string): MarketRequest => ({ ...base, kind: 'ohlcv', interval, limit: 10 });
const life = (request: MarketRequest, closesAt: number | null = null, ttl = TTL): number =>
  freshnessOf(request, { receivedAt: T, closesAt }, ttl).freshUntil - T;

describe('an answer is fresh', () => {
  it('for the time that its kind has', () => {
    expect(life({ ...base, kind: 'ticker' })).toBe(2_000);
    expect(life({ ...base, kind: 'orderbook', limit: 5 })).toBe(1_000);
    expect(life({ ...base, kind: 'trades', limit: 5 })).toBe(1_000);
    expect(life(candles('1m'))).toBe(300_000);
  });

  it.each([
    ['1m', 2_000, 'no shorter than a ticker'],
    ['5m', 5_000, 'a sixtieth of the period'],
    ['1h', 60_000, 'a sixtieth of the period'],
    ['4h', 240_000, 'a sixtieth of the period'],
    ['1d', 300_000, 'no longer than 300 s'],
    ['1M', 300_000, 'no longer than 300 s'],
  ])('with an open %s candle for %i ms: %s', (interval, ms) => {
    expect(life(candles(interval), T + 10 ** 10)).toBe(ms);
  });

  it('with an open candle never past its close', () => {
    expect(life(candles('1h'), T + 7)).toBe(7);
    expect(life(candles('1h'), T)).toBe(0);
    expect(life(candles('1h'), T - 5)).toBe(0);
  });

  it('with an open candle no longer than candles in general', () => {
    expect(life(candles('1d'), T + 10 ** 9, { ...TTL, ohlcvMs: 10_000 })).toBe(10_000);
  });
});

describe('an answer may stand in for a failing venue', () => {
  it('until it is STALE_IF_ERROR old, and at least while it is fresh', () => {
    const ticker: MarketRequest = { ...base, kind: 'ticker' };
    const until = (staleIfErrorMs: number): number =>
      freshnessOf(ticker, { receivedAt: T, closesAt: null }, { ...TTL, staleIfErrorMs }).staleUntil - T;
    expect(until(300_000)).toBe(300_000);
    expect(until(0)).toBe(2_000);
  });
});
