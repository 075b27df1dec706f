import { describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { BATCH_INTERVAL_MS } from '../../../../src/exchanges/worker/serve-worker.js';
import { MAX_UNTAKEN_BATCHES } from '../../../../src/exchanges/worker/protocol.js';
import { poolSize } from '../../../../src/exchanges/worker/supervisor.js';
import { MAX_IN_FLIGHT } from '../../../../src/exchanges/worker/venue-worker.js';
import { answer, recordingSink, tickerItem, turns } from './fake-venue.js';
import { never, start, textOf, ticker, useSupervisors, within } from './supervisor-rig.js';

useSupervisors();

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
      venue.onFetch = async (request) =>
        Promise.resolve(
          'symbol' in request && request.symbol === 'OWN/X'
            ? answer('', own)
            : answer('', pool.subarray(2, 8)),
        );
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
