import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { FakeClient, START, settle, tickerBody } from './fakes.js';
import {
  REST_TICKER,
  IDLE_MS,
  POLL_MS,
  time,
  venue,
  hub,
  client,
  open,
  lastStatus,
  unavailable,
  startHub,
} from './rig.js';

beforeEach(() => {
  startHub({ checkSpacingMs: 0, answer: REST_TICKER });
});

describe('polling', () => {
  it('is all there is where the venue has no feed, and says so from the start', async () => {
    venue.watchable = [];
    await open();
    expect(client.states).toEqual(['polling']);
    expect(lastStatus()?.['detail']).toBe(
      'binance has no WebSocket feed for this; asking over REST every 2 s. Every tick is sent.',
    );
    venue.answer = tickerBody(105, START + 500);
    await time.advance(POLL_MS);
    venue.answer = tickerBody(106, START + 2_500);
    await time.advance(POLL_MS);
    expect(client.prices).toEqual([100, 105, 106]);
    expect(venue.watches).toHaveLength(0);
    expect(hub.latest('binance', 'BTC/USDT')).toBeUndefined();
  });

  it('repeats nothing, also where the venue gives no time and each answer has the time of its receipt', async () => {
    venue.watchable = [];
    await open();
    const { fetch } = venue;
    venue.fetch = async (request, options) => {
      // Two looks at the clock need not see the same millisecond.
      venue.answer = tickerBody(105, time.now() - 1);
      return { ...(await fetch(request, options)), untimed: true };
    };
    await time.advance(POLL_MS * 5);
    expect(client.prices).toEqual([100, 105]);
  });

  it('orders ticks by the venue’s time, also where one is that of its receipt', async () => {
    venue.watchable = [];
    await open();
    const { fetch } = venue;
    venue.fetch = (request, options) => {
      venue.answer = tickerBody(105, time.now());
      return fetch(request, options);
    };
    await time.advance(POLL_MS);
    venue.fetch = (request, options) => {
      venue.answer = tickerBody(104, time.now() - POLL_MS - 1);
      return fetch(request, options);
    };
    await time.advance(POLL_MS);
    expect(client.prices).toEqual([100, 105]);
  });

  it('is slowed down while the venue or the budget refuses, and returns to its interval', async () => {
    venue.watchable = [];
    await open();
    venue.answer = new AppError('upstream_budget_exhausted', 'No budget.', { retryAfterMs: 7_000 });
    await time.advance(POLL_MS);
    expect(venue.requests).toHaveLength(1);
    await time.advance(6_999);
    expect(venue.requests).toHaveLength(1);
    await time.advance(1);
    expect(venue.requests).toHaveLength(2);
    await time.advance(7_999);
    expect(venue.requests).toHaveLength(2);
    venue.answer = tickerBody(105, START + 1);
    await time.advance(1);
    expect(venue.requests).toHaveLength(3);
    await time.advance(4_000 + 2_000 + 2_000);
    expect(venue.requests).toHaveLength(6);
    expect(client.states).toEqual(['polling']);
  });

  it('never waits longer than a minute', async () => {
    venue.watchable = [];
    await open();
    venue.answer = new AppError('upstream_rate_limited', 'No.', { retryAfterMs: 3_600_000 });
    await time.advance(POLL_MS);
    await time.advance(60_000);
    expect(venue.requests).toHaveLength(2);
  });

  it('that brings nothing for long is stale, and says why', async () => {
    venue.watchable = [];
    await open();
    venue.answer = unavailable();
    await time.advance(IDLE_MS - 1_000);
    expect(client.states).toEqual(['polling']);
    await time.advance(10_000);
    expect(lastStatus()).toMatchObject({ state: 'stale', detail: 'binance can not be reached.' });
    venue.answer = tickerBody(105, START + 1);
    await time.advance(60_000);
    expect(client.states).toEqual(['polling', 'stale', 'polling']);
  });

  it('starts at once where the venue refuses the feed itself', async () => {
    await open();
    venue.answer = tickerBody(105, START + 1);
    venue.break(new AppError('not_supported_by_exchange', 'No such feed.'));
    await time.advance(0);
    expect(client.states).toEqual(['polling']);
    // And the feed is not asked for again quickly.
    await time.advance(16_000);
    expect(venue.watches).toHaveLength(1);
    await time.advance(1_000);
    expect(venue.watches).toHaveLength(2);
  });

  it('goes on while the feed fails again and again', async () => {
    await open();
    venue.break();
    await time.advance(5_000);
    venue.break();
    expect(client.states).toEqual(['reconnecting', 'polling']);
    await time.advance(POLL_MS);
    expect(client.states).toEqual(['reconnecting', 'polling']);
  });

  it('ends with its topic, also while an answer is on its way', async () => {
    venue.watchable = [];
    const other = new FakeClient();
    const topic = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    const subscription = await hub.subscribe({ topic, name: 'binance' }, other);
    let answer: () => void = () => undefined;
    let signal: AbortSignal | undefined;
    venue.fetch = (_request, options) => {
      signal = options.signal;
      return new Promise((_resolve, reject) => (answer = () => reject(unavailable())));
    };
    await time.advance(POLL_MS);
    subscription.close();
    await time.advance(0);
    expect(signal?.aborted).toBe(true);
    answer();
    await settle();
    expect(time.pending).toBe(0);
  });
});
