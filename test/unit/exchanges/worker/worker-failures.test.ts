import { describe, expect, it, vi } from 'vitest';
import { createSupervisor } from '../../../../src/exchanges/worker/supervisor.js';
import {
  MAX_EXCHANGE_BYTES,
  MAX_MISSED,
  MAX_MISSED_LOADING,
  MAX_WORKER_BYTES,
} from '../../../../src/exchanges/worker/worker-health.js';
import { silentLog } from '../../../../src/log/log.js';
import { CLIENT_OPTIONS, gateState, healthOf, recordingSink, turns } from './fake-venue.js';
import { beats, never, start, textOf, ticker, useSupervisors, within } from './supervisor-rig.js';

useSupervisors();

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

  it('stays where it was only late, however often', async () => {
    const { supervisor, threads } = start();
    supervisor.start();
    await beats(2);
    for (let times = 0; times < 3; times += 1) {
      threads[0]!.hang();
      await beats(MAX_MISSED - 1);
      threads[0]!.wake();
      await beats(2);
    }
    expect(threads.map(({ terminated }) => terminated)).toEqual([false]);
    expect(supervisor.stats()[0]).toMatchObject({ state: 'running', restarts: 0 });
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
    const { supervisor, threads, log } = start();
    supervisor.start();
    await beats(1);
    threads[0]!.threadStats = { ...threads[0]!.threadStats, memoryBytes: MAX_WORKER_BYTES + 1 };
    await beats(1);
    expect(threads[0]!.terminated).toBe(false);
    await beats(2);
    expect(threads[0]!.terminated).toBe(true);
    expect(supervisor.stats()[0]!.report).toMatchObject({ memoryBytes: 1000 });
    expect(log.warn).toHaveBeenCalledWith(
      expect.objectContaining({ reason: 'it outgrew its memory', memoryBytes: MAX_WORKER_BYTES + 1 }),
      'a worker is replaced',
    );
  });

  it('may hold more where it has more exchanges', async () => {
    const { supervisor, threads } = start(undefined, { exchanges: ['binance', 'kraken'], workers: 1 });
    supervisor.start();
    await beats(1);
    const memoryBytes = MAX_WORKER_BYTES + MAX_EXCHANGE_BYTES;
    threads[0]!.threadStats = { ...threads[0]!.threadStats, memoryBytes };
    await beats(3);
    expect(threads[0]!.terminated).toBe(false);
    threads[0]!.threadStats = { ...threads[0]!.threadStats, memoryBytes: memoryBytes + 1 };
    await beats(3);
    expect(threads[0]!.terminated).toBe(true);
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
    const cooling = gateState('binance', { coolDownUntil: Date.now() + 60_000, refusals: 2 });
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
