import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ServerStatus } from '../../../../src/schemas/status.js';
import { createHealthFeed } from '../../../../src/streams/clients/health-feed.js';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

const EXCHANGE: ServerStatus['exchanges'][number] = {
  id: 'binance',
  ccxt_id: 'binance',
  state: 'ok',
  feeds: { live: 1, polling: 0, reconnecting: 0, stale: 0 },
  oldest_tick_age_ms: null,
  budget: { limit: 100, remaining: 100, resets_in_ms: 0 },
  cooldown_ms: 0,
  circuit: 'closed',
  markets_age_ms: null,
  reconnects: 0,
  last_error: null,
};

/** A status whose ages grow from instants that the test sets. */
const rig = () => {
  const state = { tickAt: 1_000_000, remaining: 100, coolUntil: 0, made: 0 };
  const status = (at: number): ServerStatus => {
    state.made += 1;
    return {
      version: '1.0.0',
      uptime: at / 1000,
      sandbox: false,
      features: {
        store: false,
        backfill_api: false,
        auth: false,
        graphql: false,
        udf: false,
        dashboard: false,
      },
      exchanges: [
        {
          ...EXCHANGE,
          oldest_tick_age_ms: at - state.tickAt,
          markets_age_ms: at - 900_000,
          cooldown_ms: Math.max(0, state.coolUntil - at),
          budget: { limit: 100, remaining: state.remaining, resets_in_ms: 60_000 },
        },
      ],
      ledger: null,
      cluster: null,
    };
  };
  const feed = createHealthFeed({ status, now: Date.now, monotonic: Date.now });
  const read = () => {
    const events: { json: string; at: number }[] = [];
    const leave = feed.subscribe(({ json }) => events.push({ json, at: Date.now() }));
    return { events, leave };
  };
  return { state, read };
};

describe('the health channel', () => {
  test('sends the whole status at once, and nothing while only time passes', () => {
    const { read } = rig();
    const { events, leave } = read();
    vi.advanceTimersByTime(60_000);
    expect(events).toHaveLength(1);
    expect(JSON.parse(events[0]!.json)).toMatchObject({
      event_type: 'health',
      uptime: 1000,
      exchanges: [{ id: 'binance', oldest_tick_age_ms: 0, markets_age_ms: 100_000 }],
    });
    leave();
  });

  test.each([
    ['a newer tick', (state: { tickAt: number }) => (state.tickAt += 5)],
    ['a request of the budget', (state: { remaining: number }) => (state.remaining -= 1)],
    ['a cool-down', (state: { coolUntil: number }) => (state.coolUntil = Date.now() + 30_000)],
  ])('tells %s within a second', (_what, change) => {
    const { state, read } = rig();
    const { events, leave } = read();
    vi.advanceTimersByTime(10_000);
    const at = Date.now();
    change(state);
    vi.advanceTimersByTime(1000);
    expect(events).toHaveLength(2);
    expect(events[1]!.at - at).toBeLessThanOrEqual(250);
    leave();
  });

  test('sends at most once a second however often something changes, and the last change too', () => {
    const { state, read } = rig();
    const { events, leave } = read();
    for (let step = 0; step < 100; step += 1) {
      state.remaining -= 1;
      vi.advanceTimersByTime(50);
    }
    vi.advanceTimersByTime(1000);
    leave();
    const spacings = events.slice(2).map(({ at }, index) => at - events[index + 1]!.at);
    expect(Math.min(...spacings)).toBeGreaterThanOrEqual(1000);
    expect(events.length).toBeGreaterThan(4);
    expect(JSON.parse(events.at(-1)!.json)).toMatchObject({ exchanges: [{ budget: { remaining: 0 } }] });
  });

  test('makes one event for all its readers, and reads nothing once the last has left', () => {
    const { state, read } = rig();
    const readers = [read(), read(), read()];
    state.remaining = 7;
    vi.advanceTimersByTime(1000);
    expect(new Set(readers.map(({ events }) => events.at(-1)!.json)).size).toBe(1);
    expect(readers.map(({ events }) => events.length)).toEqual([2, 2, 2]);
    readers[0]!.leave();
    readers[0]!.leave();
    state.remaining = 6;
    vi.advanceTimersByTime(1000);
    expect(readers.map(({ events }) => events.length)).toEqual([2, 3, 3]);
    for (const { leave } of readers) leave();
    const { made } = state;
    vi.advanceTimersByTime(60_000);
    expect(state.made).toBe(made);
    expect(vi.getTimerCount()).toBe(0);
  });
});
