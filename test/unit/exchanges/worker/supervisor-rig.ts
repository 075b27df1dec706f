/** A supervisor whose threads are fakes, on a clock that the test moves. */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { CallOptions, TickerRequest } from '../../../../src/exchanges/exchange-client.js';
import { createSupervisor } from '../../../../src/exchanges/worker/supervisor.js';
import { HEARTBEAT_MS } from '../../../../src/exchanges/worker/venue-worker.js';
import { silentLog } from '../../../../src/log/log.js';
import { CLIENT_OPTIONS, fakeThreads, turns, type FakeVenue } from './fake-venue.js';

export const ticker = (exchange: string, symbol = 'BTC/USDT'): TickerRequest => ({
  kind: 'ticker',
  exchange,
  symbol,
});
export const within = (ms = 10_000, options: Partial<CallOptions> = {}): CallOptions => ({
  deadline: Date.now() + ms,
  priority: 'caller',
  ...options,
});
export const textOf = ({ body }: { body: Uint8Array }) => new TextDecoder().decode(body);
export const never = (): Promise<never> => new Promise(() => undefined);

const closers: (() => Promise<void>)[] = [];
export const start = (
  prepare?: (venue: FakeVenue, place: number) => void,
  {
    exchanges = ['binance'],
    workers = 'auto',
  }: { readonly exchanges?: readonly string[]; readonly workers?: number | 'auto' } = {},
) => {
  const { threads, spawn } = fakeThreads(prepare);
  const log = { ...silentLog, warn: vi.fn(), info: vi.fn() };
  const supervisor = createSupervisor({
    workers,
    exchanges,
    clientOptions: CLIENT_OPTIONS,
    log,
    now: Date.now,
    spawn,
  });
  closers.push(() => supervisor.close());
  return { supervisor, threads, log };
};
export const beats = async (count: number) => {
  for (let i = 0; i < count; i += 1) {
    vi.advanceTimersByTime(HEARTBEAT_MS);
    await turns();
  }
};

/** To be called once in a test file: a clock that the test moves, and supervisors that are closed after each test. */
export const useSupervisors = (): void => {
  beforeEach(() => {
    vi.useFakeTimers({
      now: 1_700_000_000_000,
      toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
    });
  });
  afterEach(async () => {
    const closing = Promise.all(closers.splice(0).map((close) => close()));
    await turns();
    vi.advanceTimersByTime(1000);
    await closing;
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });
};
