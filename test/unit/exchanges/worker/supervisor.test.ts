import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import type { CallOptions, TickerRequest } from '../../../../src/exchanges/exchange-client.js';
import { BATCH_INTERVAL_MS, MAX_UNTAKEN_BATCHES } from '../../../../src/exchanges/worker/item-batcher.js';
import { CALM_MS } from '../../../../src/exchanges/worker/spare.js';
import { createSupervisor, poolSize } from '../../../../src/exchanges/worker/supervisor.js';
import { HEARTBEAT_MS, MAX_IN_FLIGHT } from '../../../../src/exchanges/worker/venue-worker.js';
import {
  MAX_MISSED,
  MAX_MISSED_LOADING,
  MAX_WORKER_BYTES,
  SUSPECT_AFTER,
} from '../../../../src/exchanges/worker/vital-signs.js';
import { silentLog } from '../../../../src/log/log.js';
import {
  answer,
  CLIENT_OPTIONS,
  fakeThreads,
  gateState,
  healthOf,
  recordingSink,
  tickerItem,
  turns,
  type FakeVenue,
} from './fake-venue.js';

const ticker = (exchange: string, symbol = 'BTC/USDT'): TickerRequest => ({
  kind: 'ticker',
  exchange,
  symbol,
});
const within = (ms = 10_000, options: Partial<CallOptions> = {}): CallOptions => ({
  deadline: Date.now() + ms,
  priority: 'caller',
  ...options,
});
const textOf = ({ body }: { body: Uint8Array }) => new TextDecoder().decode(body);
const never = (): Promise<never> => new Promise(() => undefined);

const closers: (() => Promise<void>)[] = [];
const start = (
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
const beats = async (count: number) => {
  for (let i = 0; i < count; i += 1) {
    vi.advanceTimersByTime(HEARTBEAT_MS);
    await turns();
  }
};

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

describe('calls', () => {
  it('are answered by the venue’s worker, with the bytes it made', async () => {
    const { supervisor, threads } = start();
    const got = await supervisor.fetch(ticker('binance'), within());
    expect(textOf(got)).toBe('BTC/USDT');
    expect(threads[0]!.venue.asked[0]).toMatchObject({
      kind: 'ticker',
      options: { deadline: Date.now() + 9975, priority: 'caller' },
    });
    expect(await supervisor.markets('binance', within())).toEqual({ markets: [], loadedAt: 7 });
  });

  it('move the body where it has a buffer of its own and leave a pooled one whole', async () => {
    const own = new TextEncoder().encode('own buffer');
    const pool = new TextEncoder().encode('xxpooledxx');
    const { supervisor } = start((venue) => {
      venue.onFetch = async ({ symbol }) =>
        Promise.resolve(symbol === 'OWN/X' ? answer('', own) : answer('', pool.subarray(2, 8)));
    });
    expect(textOf(await supervisor.fetch(ticker('binance', 'OWN/X'), within()))).toBe('own buffer');
    expect(own.byteLength).toBe(0);
    expect(textOf(await supervisor.fetch(ticker('binance', 'POOL/X'), within()))).toBe('pooled');
    expect(pool.byteLength).toBe(10);
  });

  it('bring the venue’s errors over whole, and name anything else an internal error', async () => {
    const limited = new AppError('upstream_rate_limited', 'slow down', {
      retryAfterMs: 1234,
      upstream: { exchange: 'binance', status: 429 },
    });
    const { supervisor, threads } = start((venue) => {
      venue.onFetch = () => Promise.reject(limited);
    });
    const error = await supervisor.fetch(ticker('binance'), within()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ ...limited.toPlain(), status: 429 });
    threads[0]!.venue.onFetch = () => Promise.reject(new TypeError('https://secret.example'));
    await expect(supervisor.fetch(ticker('binance'), within())).rejects.toMatchObject({
      code: 'internal_error',
      message: expect.not.stringContaining('secret'),
    });
  });

  it('settle by their deadline even when the worker never answers, and are aborted there', async () => {
    const { supervisor, threads } = start((venue) => {
      venue.onFetch = never;
    });
    const call = supervisor.fetch(ticker('binance'), within(400));
    await turns();
    vi.advanceTimersByTime(400);
    await expect(call).rejects.toMatchObject({ code: 'upstream_timeout', upstream: undefined });
    await turns();
    expect(threads[0]!.venue.signals[0]!.aborted).toBe(true);
    expect(supervisor.stats()[0]!.inFlight).toBe(0);
  });

  it('end at once when their caller leaves', async () => {
    const { supervisor, threads } = start((venue) => {
      venue.onFetch = never;
    });
    const quitter = new AbortController();
    const call = supervisor.fetch(ticker('binance'), within(9000, { signal: quitter.signal }));
    const other = new AbortController();
    const second = supervisor.fetch(ticker('binance'), within(9000, { signal: other.signal }));
    await turns();
    quitter.abort();
    other.abort(new AppError('shutting_down', 'bye'));
    await expect(call).rejects.toMatchObject({ code: 'upstream_timeout' });
    await expect(second).rejects.toMatchObject({ code: 'shutting_down' });
    await turns();
    expect(threads[0]!.venue.signals.every(({ aborted }) => aborted)).toBe(true);
  });

  it('are refused as overload beyond a bound', async () => {
    const { supervisor } = start((venue) => {
      venue.onFetch = never;
    });
    const calls = Array.from({ length: MAX_IN_FLIGHT }, () =>
      supervisor.fetch(ticker('binance'), within(1000)).catch(() => 'timed out'),
    );
    await expect(supervisor.fetch(ticker('binance'), within())).rejects.toMatchObject({ code: 'overloaded' });
    vi.advanceTimersByTime(1000);
    expect(await Promise.all(calls)).toContain('timed out');
  });

  it('know only the enabled exchanges', async () => {
    const { supervisor, threads } = start();
    await expect(supervisor.fetch(ticker('__proto__'), within())).rejects.toMatchObject({
      code: 'exchange_not_enabled',
    });
    const sink = recordingSink();
    supervisor.watch({ channel: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' }, sink).close();
    await turns();
    expect(sink.ends).toMatchObject([{ code: 'exchange_not_enabled' }]);
    expect(threads).toHaveLength(0);
  });

  it('ask for a description once', async () => {
    const { supervisor, threads } = start();
    const first = await supervisor.describe('binance');
    threads[0]!.hang();
    expect(await supervisor.describe('binance')).toBe(first);
  });
});

describe('the pool', () => {
  it('has a worker an exchange up to the cores less one, and at least one', () => {
    expect([poolSize('auto', 3, 8), poolSize('auto', 3, 2), poolSize('auto', 3, 1)]).toEqual([3, 1, 1]);
    expect([poolSize(2, 3), poolSize(8, 3)]).toEqual([2, 3]);
    expect(poolSize('auto', 1)).toBe(1);
  });

  it('keeps each exchange in one worker', async () => {
    const { supervisor, threads } = start(undefined, { exchanges: ['a', 'b', 'c'], workers: 2 });
    supervisor.start();
    supervisor.start();
    for (const exchange of ['a', 'b', 'c', 'a', 'b', 'c']) await supervisor.fetch(ticker(exchange), within());
    expect(threads.map(({ data }) => data.clientOptions.exchanges)).toEqual([['a', 'c'], ['b']]);
    expect(threads.map(({ venue }) => venue.asked.length)).toEqual([4, 2]);
  });

  it('starts nothing before it is asked', () => {
    const { supervisor, threads } = start();
    expect(supervisor.health()).toMatchObject([
      {
        exchange: 'binance',
        worker: 'starting',
        markets: 'not_loaded',
        budget: { limit: 100, remaining: 100 },
      },
    ]);
    expect(supervisor.stats()[0]).toMatchObject({ state: 'starting', report: null, watches: 0 });
    expect(threads).toHaveLength(0);
  });
});

describe('a worker that fails', () => {
  it('is replaced at once when it dies, and its calls go on to its successor', async () => {
    const { supervisor, threads, log } = start((venue, place) => {
      if (place === 0) venue.onFetch = never;
    });
    const call = supervisor.fetch(ticker('binance'), within());
    await beats(1);
    threads[0]!.die(new Error('boom'));
    expect(threads).toHaveLength(2);
    expect(supervisor.health()[0]).toMatchObject({
      worker: 'restarting',
      workerRestarts: 1,
      markets: 'not_loaded',
    });
    expect(log.warn).toHaveBeenCalledWith(
      expect.objectContaining({ reason: 'boom' }),
      'a worker is replaced',
    );
    await beats(2);
    expect(textOf(await call)).toBe('BTC/USDT');
    expect(supervisor.health()[0]).toMatchObject({ worker: 'running', workerRestarts: 1, markets: 'loaded' });
  });

  it('that dies again ends its calls with an error that may be retried', async () => {
    const { supervisor, threads } = start((venue) => {
      venue.onFetch = never;
    });
    const call = supervisor.fetch(ticker('binance'), within()).catch((error: unknown) => error);
    const controller = new AbortController();
    const left = supervisor.fetch(ticker('binance'), within(10_000, { signal: controller.signal }));
    left.catch(() => undefined);
    await beats(1);
    controller.abort();
    threads[0]!.die();
    await expect(left).rejects.toMatchObject({ code: 'upstream_timeout' });
    await beats(1);
    expect(supervisor.stats()[0]).toMatchObject({ inFlight: 1 });
    threads[1]!.die();
    expect(await call).toMatchObject({
      code: 'upstream_unavailable',
      retryable: true,
      retryAfterMs: 100,
      upstream: undefined,
    });
  });

  it('is replaced when it misses its heartbeats', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(2);
    threads[0]!.hang();
    await beats(MAX_MISSED);
    expect(threads[0]!.terminated).toBe(false);
    await beats(2);
    expect(threads[0]!.terminated).toBe(true);
    expect(threads).toHaveLength(2);
    expect(supervisor.stats()[0]).toMatchObject({ state: 'running', restarts: 1 });
  });

  it('has a successor ready, with its markets, before it is given up for hung', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(2);
    threads[0]!.hang();
    await beats(SUSPECT_AFTER);
    expect(threads).toHaveLength(1);
    await beats(2);
    expect(threads).toHaveLength(2);
    expect(threads[0]!.terminated).toBe(false);
    expect(threads[1]!.venue.loaded).toEqual(['binance']);
    const call = supervisor.fetch(ticker('binance'), within());
    await beats(MAX_MISSED - SUSPECT_AFTER + 1);
    expect(textOf(await call)).toBe('BTC/USDT');
    expect(threads[0]!.terminated).toBe(true);
    expect(threads).toHaveLength(2);
  });

  it('that was only late stays; the one made ready goes, and no other is made for a while', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(2);
    const beLate = async () => {
      threads[0]!.hang();
      await beats(SUSPECT_AFTER + 2);
      threads[0]!.wake();
      await beats(2);
    };
    await beLate();
    expect(threads.map(({ terminated }) => terminated)).toEqual([false, true]);
    await beLate();
    expect(threads).toHaveLength(2);
    await beats(CALM_MS / HEARTBEAT_MS);
    await beLate();
    expect(threads.map(({ terminated }) => terminated)).toEqual([false, true, true]);
    expect(supervisor.stats()[0]).toMatchObject({ state: 'running', restarts: 0 });
  });

  it('does without the one made ready where that has died, or could not be started', async () => {
    for (const fail of [true, false]) {
      let failures = 0;
      const { supervisor, threads } = start((_, place) => {
        if (fail && place === 1 && (failures += 1) === 1) throw new Error('no threads left');
      });
      supervisor.start();
      await beats(2);
      threads[0]!.hang();
      await beats(SUSPECT_AFTER + 2);
      if (!fail) threads[1]!.die();
      await beats(MAX_MISSED - SUSPECT_AFTER + 1);
      expect(threads[0]!.terminated).toBe(true);
      expect(supervisor.stats()[0]).toMatchObject({ state: 'running', restarts: 1 });
    }
  });

  it('that keeps hanging waits all the same: what was made ready goes', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    for (let deaths = 0; deaths < 5; deaths += 1) {
      await beats(6);
      threads[deaths]!.die();
    }
    await beats(6);
    expect(threads).toHaveLength(6);
    threads[5]!.hang();
    await beats(SUSPECT_AFTER + 2);
    expect(threads).toHaveLength(7);
    await beats(MAX_MISSED - SUSPECT_AFTER);
    expect(threads.map(({ terminated }) => terminated)).toEqual(threads.map(() => true));
    expect(supervisor.stats()[0]).toMatchObject({ state: 'restarting', restarts: 6 });
    await beats(10);
    expect(threads).toHaveLength(8);
    expect(supervisor.stats()[0]).toMatchObject({ state: 'running', restarts: 6 });
  });

  it('that hangs after others have died needs no wait where its successor has been ready for longer', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    for (let deaths = 0; deaths < 3; deaths += 1) {
      await beats(4);
      threads[deaths]!.die();
    }
    await beats(4);
    threads[3]!.hang();
    await beats(MAX_MISSED + 3);
    expect(threads).toHaveLength(5);
    expect(supervisor.stats()[0]).toMatchObject({ state: 'running', restarts: 4 });
  });

  it('is not alone when the server closes: what was made ready goes too', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(2);
    threads[0]!.hang();
    await beats(SUSPECT_AFTER + 2);
    const closing = supervisor.close();
    await vi.advanceTimersByTimeAsync(2000);
    await closing;
    expect(threads.map(({ terminated }) => terminated)).toEqual([true, true]);
  });

  it('has longer while somebody waits for its markets to load', async () => {
    const { supervisor, threads } = start((venue, place) => {
      venue.healths = [healthOf('binance', { markets: 'loading' })];
      if (place === 0) venue.onFetch = never;
    });
    const call = supervisor.fetch(ticker('binance'), within(60_000)).catch((error: unknown) => error);
    await beats(2);
    threads[0]!.hang();
    await beats(MAX_MISSED_LOADING - 2);
    expect(threads[0]!.terminated).toBe(false);
    await beats(5);
    expect(threads[0]!.terminated).toBe(true);
    expect(await call).toMatchObject({ symbol: 'BTC/USDT' });
    // Nobody was made ready for one that has a reason to be late.
    expect(threads).toHaveLength(2);
  });

  it('has a successor that loads its markets before anybody asks, but only those that were in use', async () => {
    const { supervisor, threads } = start(
      (venue) => {
        venue.healths = [healthOf('a'), healthOf('b', { markets: 'not_loaded' })];
      },
      { exchanges: ['a', 'b'], workers: 1 },
    );
    supervisor.start();
    await beats(1);
    expect(threads[0]!.venue.loaded).toEqual([]);
    threads[0]!.die();
    await beats(1);
    expect(threads[1]!.venue.loaded).toEqual(['a']);
  });

  it('is given its time to start', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    threads[0]!.hang();
    await beats(MAX_MISSED * 2);
    expect(threads).toHaveLength(1);
  });

  it('is replaced when it outgrows its memory twice in a row', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(1);
    threads[0]!.vitals = { ...threads[0]!.vitals, memoryBytes: MAX_WORKER_BYTES + 1 };
    await beats(1);
    expect(threads[0]!.terminated).toBe(false);
    await beats(2);
    expect(threads[0]!.terminated).toBe(true);
    expect(supervisor.stats()[0]!.report).toMatchObject({ memoryBytes: 1000 });
  });

  it('is replaced ever later when it keeps dying, while calls are told when to come back', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(1);
    threads[0]!.die();
    vi.advanceTimersByTime(0);
    expect(threads).toHaveLength(2);
    threads[1]!.die();
    await expect(supervisor.fetch(ticker('binance'), within())).rejects.toMatchObject({
      code: 'upstream_unavailable',
      retryAfterMs: 100,
    });
    const sink = recordingSink();
    supervisor.watch({ channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' }, sink).close();
    await turns();
    expect(sink.ends).toMatchObject([{ code: 'upstream_unavailable' }]);
    vi.advanceTimersByTime(99);
    expect(threads).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(threads).toHaveLength(3);
  });

  it('does no harm when it can not even be started', async () => {
    const failing = createSupervisor({
      workers: 1,
      exchanges: ['binance'],
      clientOptions: CLIENT_OPTIONS,
      log: silentLog,
      now: Date.now,
      spawn: () => {
        throw new Error('no threads left');
      },
    });
    await expect(failing.fetch(ticker('binance'), within())).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
    await failing.close();
  });

  it('hands its gates to its successor', async () => {
    const cooling = gateState('binance', { coolDownUntil: Date.now() + 60_000, strikes: 2 });
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(1);
    threads[0]!.venue.hooks!.onGateChange(cooling);
    await turns();
    expect(supervisor.health()[0]).toMatchObject({ coolDownUntil: cooling.coolDownUntil });
    threads[0]!.die();
    vi.advanceTimersByTime(0);
    expect(threads[1]!.data.gates).toEqual([cooling]);
    expect(supervisor.health()[0]!.coolDownUntil).toBe(cooling.coolDownUntil);
    vi.advanceTimersByTime(60_000);
    expect(supervisor.health()[0]!.coolDownUntil).toBeNull();
  });

  it('has its gates mirrored by the heartbeat', async () => {
    const used = gateState('binance', { used: [{ at: 1, requests: 9, polls: 0 }] });
    const { supervisor, threads } = start((venue) => {
      venue.gates = [used];
    });
    supervisor.start();
    await beats(1);
    threads[0]!.die();
    vi.advanceTimersByTime(0);
    expect(threads[1]!.data.gates).toEqual([used]);
  });
});

describe('feeds', () => {
  const topic = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;

  it('bring items over and end at their reader’s wish', async () => {
    const { supervisor, threads } = start();
    const sink = recordingSink();
    const handle = supervisor.watch(topic, sink);
    await turns();
    const [watch] = threads[0]!.venue.watches;
    watch!.sink.onItem(tickerItem(1));
    await turns();
    expect(sink.items).toEqual([tickerItem(1)]);
    expect(supervisor.stats()[0]!.watches).toBe(1);
    handle.close();
    handle.close();
    expect(sink.ends).toEqual([]);
    await turns();
    watch!.sink.onItem(tickerItem(2));
    watch!.sink.onEnd(new AppError('upstream_error', 'too late'));
    await turns();
    expect([sink.items.length, sink.ends, watch!.closed]).toEqual([1, [null], 1]);
  });

  it('go on for as long as their items are taken', async () => {
    const { supervisor, threads } = start();
    const sink = recordingSink();
    supervisor.watch(topic, sink);
    await turns();
    for (let last = 1; last <= MAX_UNTAKEN_BATCHES * 3; last += 1) {
      threads[0]!.venue.watches[0]!.sink.onItem(tickerItem(last));
      vi.advanceTimersByTime(BATCH_INTERVAL_MS);
      await turns(6);
    }
    expect(sink.items.at(-1)).toEqual(tickerItem(MAX_UNTAKEN_BATCHES * 3));
  });

  it('end with the venue’s error, after their last item', async () => {
    const { supervisor, threads } = start();
    const sink = recordingSink();
    supervisor.watch(topic, sink);
    await turns();
    threads[0]!.venue.watches[0]!.sink.onItem(tickerItem(1));
    threads[0]!.venue.watches[0]!.sink.onEnd(new AppError('upstream_unavailable', 'gone'));
    await turns();
    expect(sink.items).toHaveLength(1);
    expect(sink.ends).toMatchObject([{ code: 'upstream_unavailable', message: 'gone' }]);
  });

  it('end with an error when their worker dies', async () => {
    const { supervisor, threads } = start();
    const sink = recordingSink();
    supervisor.watch(topic, sink);
    await turns();
    threads[0]!.die();
    expect(sink.ends).toMatchObject([{ code: 'upstream_unavailable' }]);
  });

  it('do not suffer from another feed’s reader', async () => {
    const { supervisor, threads } = start();
    const sink = recordingSink();
    const broken = {
      onItem: () => {
        throw new Error('reader');
      },
      onEnd: () => undefined,
    };
    supervisor.watch(topic, broken);
    supervisor.watch(topic, sink);
    await turns();
    for (const watch of threads[0]!.venue.watches) watch.sink.onItem(tickerItem(1));
    await turns();
    expect(sink.items).toHaveLength(1);
  });
});

describe('the log', () => {
  it('carries a worker’s lines with its place in the pool', async () => {
    const { supervisor, threads, log } = start();
    supervisor.start();
    await turns();
    threads[0]!.venue.hooks!.log.info({ exchange: 'binance' }, 'hello');
    await turns();
    expect(log.info).toHaveBeenCalledWith({ exchange: 'binance', worker: 0 }, 'hello');
  });
});

describe('closing', () => {
  it('ends calls, feeds and threads, and refuses what comes later', async () => {
    const { supervisor, threads } = start((venue) => {
      venue.onFetch = never;
    });
    const sink = recordingSink();
    supervisor.watch({ channel: 'ticker', exchange: 'binance', symbol: 'X/Y' }, sink);
    const call = supervisor.fetch(ticker('binance'), within()).catch((error: unknown) => error);
    await turns();
    await Promise.all([supervisor.close(), supervisor.close()]);
    expect(await call).toMatchObject({ code: 'shutting_down' });
    expect(sink.ends).toMatchObject([{ code: 'shutting_down' }]);
    expect(threads[0]).toMatchObject({ terminated: true, venue: { closed: 1 } });
    await expect(supervisor.fetch(ticker('binance'), within())).rejects.toMatchObject({
      code: 'shutting_down',
    });
  });

  it('does not wait for a worker that hangs', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await turns();
    threads[0]!.hang();
    const closing = supervisor.close();
    await turns();
    vi.advanceTimersByTime(1000);
    await closing;
    expect(threads[0]!.terminated).toBe(true);
  });

  it('does not start a successor afterwards', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await turns();
    threads[0]!.die();
    threads[1]!.die();
    await supervisor.close();
    vi.advanceTimersByTime(60_000);
    expect(threads).toHaveLength(2);
  });
});
