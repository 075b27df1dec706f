/** REST tickers while a stream of the symbol runs. */
import { NO_STATS } from '../../../src/schemas/market.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LiveTicker } from '../../../src/market-data/market-data-api.js';
import { tickerOf } from '../../support/market-data-rig.js';
import { closeRig, useClock, START, open, get, calls, text } from './rig.js';

beforeEach(useClock);
afterEach(closeRig);

describe('a running stream', () => {
  const tickAt = (receivedAt: number, last: number): LiveTicker => ({
    symbol: 'BTC/USDT',
    bid: null,
    ask: 3,
    last,
    timestamp: receivedAt - 5,
    stats: NO_STATS,
    rawJson: `{"c":"${last}"}`,
    receivedAt,
  });
  let latest: LiveTicker | undefined;
  const live = {
    latest: (exchange: string, symbol: string) =>
      exchange === 'binance' && symbol === 'BTC/USDT' ? latest : undefined,
  };

  it('answers tickers from its last tick and costs the venue nothing', async () => {
    open({ live });
    latest = tickAt(START - 10, 42);
    const answer = await get();
    expect(answer).toMatchObject({ cache: 'LIVE', receivedAt: START - 10, source: 'binance; via=websocket' });
    expect(answer.freshUntil).toBe(answer.receivedAt);
    expect(JSON.parse(text(answer))).toEqual({
      exchange: 'binance',
      symbol: 'BTC/USDT',
      bid: null,
      ask: 3,
      last: 42,
      timestamp: START - 15,
      raw: { c: '42' },
    });
    expect(calls()).toBe(0);
  });

  it('makes the body once a tick', async () => {
    open({ live });
    latest = tickAt(START, 1);
    const first = await get();
    latest = { ...latest };
    expect((await get()).body).toBe(first.body);
    latest = tickAt(START, 2);
    expect((await get()).etag).not.toBe(first.etag);
  });

  it('says nothing about other kinds of data, nor once it has ended', async () => {
    open({ live });
    latest = tickAt(START, 1);
    expect((await get({ ...tickerOf('BTC/USDT'), kind: 'trades', limit: 1 })).cache).toBe('MISS');
    latest = undefined;
    expect((await get()).cache).toBe('MISS');
  });
});
