import { describe, expect, it } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { withShutdown } from '../../../../src/exchanges/resilience/shutdown-client.js';
import { withRetry } from '../../../../src/exchanges/resilience/retrying-client.js';
import type { CallOptions, MarketAnswer, TickerRequest } from '../../../../src/exchanges/exchange-client.js';
import { ANSWER, fakeClient, venueFault } from './fake-client.js';

const TICKER: TickerRequest = { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' };
const within = (options: Partial<CallOptions> = {}): CallOptions => ({
  deadline: Date.now() + 60_000,
  priority: 'caller',
  ...options,
});
const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'answered',
    (error: unknown) => error,
  );
const SHUTTING_DOWN = { code: 'shutting_down', status: 503, retryAfterMs: 1000 };

/** A client of which nothing ever comes but what its caller's signal says. */
const silent = () => {
  const { client } = fakeClient();
  const reasons: unknown[] = [];
  const hang = (options?: CallOptions): Promise<never> =>
    new Promise((_, reject) => {
      options?.signal?.addEventListener('abort', () => {
        reasons.push(options.signal?.reason);
        reject(new AppError('upstream_timeout', 'given up'));
      });
    });
  const hanging = {
    ...client,
    describe: () => hang(),
    fetch: (_: unknown, options: CallOptions) => hang(options),
    markets: (_: unknown, options: CallOptions) => hang(options),
  };
  return { hanging, reasons };
};

describe('a client that ends with the server', () => {
  it('passes everything on until then', async () => {
    const { client, outcomes } = fakeClient();
    const ending = withShutdown(client);
    const fault = venueFault('upstream_timeout');
    outcomes.push(fault);
    expect(await errorOf(ending.fetch(TICKER, within()))).toBe(fault);
    expect(await ending.fetch(TICKER, within())).toBe(ANSWER);
    expect(await ending.markets('binance', within())).toEqual({ markets: [], loadedAt: 1 });
    expect(await errorOf(ending.describe('binance'))).toMatchObject({ message: 'describe' });
    ending.watch(
      { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
      { onItem: () => undefined, onEnd: () => undefined },
    );
    expect(ending.health()).toHaveLength(2);
    await ending.close();
    expect([client.watch.mock.calls.length, client.close.mock.calls.length]).toEqual([1, 1]);
  });

  it('lets many calls wait at once without Node taking them for a leak', async () => {
    const warnings: unknown[] = [];
    const onWarning = (warning: unknown): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const ending = withShutdown(silent().hanging);
    const waiting = Array.from({ length: 20 }, () => errorOf(ending.fetch(TICKER, within())));
    ending.giveUp();
    await Promise.all(waiting);
    // Warnings come with the next turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('aborts every call that still waits, and refuses later ones without asking anybody', async () => {
    const { hanging, reasons } = silent();
    const ending = withShutdown(hanging);
    const waiting = [
      ending.fetch(TICKER, within()),
      ending.fetch(TICKER, within({ signal: new AbortController().signal })),
      ending.markets('binance', within()),
      ending.describe('binance'),
    ].map(errorOf);
    ending.giveUp();
    ending.giveUp();
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject(SHUTTING_DOWN);
    expect(reasons).toMatchObject([SHUTTING_DOWN, SHUTTING_DOWN, SHUTTING_DOWN]);
    expect(await errorOf(ending.fetch(TICKER, within()))).toMatchObject(SHUTTING_DOWN);
    expect(reasons).toHaveLength(3);
  });

  it('leaves alone what was answered before', async () => {
    const { client } = fakeClient();
    const ending = withShutdown(client);
    const answer: MarketAnswer = await ending.fetch(TICKER, within());
    ending.giveUp();
    expect(answer).toBe(ANSWER);
  });

  it('hands the caller’s own reason down, and his going is no end of the server', async () => {
    const { hanging, reasons } = silent();
    const ending = withShutdown(hanging);
    const controller = new AbortController();
    const waiting = errorOf(ending.fetch(TICKER, within({ signal: controller.signal })));
    controller.abort('left');
    expect(await waiting).toMatchObject({ code: 'upstream_timeout' });
    const gone = { ...within(), signal: AbortSignal.abort('never there') };
    const { client } = fakeClient();
    await withShutdown(client).fetch(TICKER, gone);
    const [[, options]] = client.fetch.mock.calls as unknown as [[unknown, CallOptions]];
    expect(options.signal).toMatchObject({ aborted: true, reason: 'never there' });
    expect(reasons).toEqual(['left']);
  });

  it('cuts the wait before a further attempt short as well', async () => {
    const { client, outcomes } = fakeClient();
    outcomes.push(venueFault('upstream_unavailable', 30_000));
    const settings = { maxRetries: 3, initialBackoffMs: 1, maxBackoffMs: 1, multiplier: 1 };
    const ending = withShutdown(withRetry(client, { settings, now: Date.now }));
    const waiting = errorOf(ending.fetch(TICKER, within()));
    // The first attempt has failed once its wait has begun.
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    ending.giveUp();
    expect(await waiting).toMatchObject(SHUTTING_DOWN);
    expect(client.fetch).toHaveBeenCalledTimes(1);
  });
});
