/** Rules of docs/rest-api.md#freshness, as a caller sees them: an answer that is over, and how long one waits for the next. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { PATIENCE_MS } from '../../../src/market-data/shared-loads.js';
import { tickerOf } from '../../support/market-data-rig.js';
import {
  closeRig,
  useClock,
  START,
  rig,
  open,
  get,
  fail,
  recover,
  gate,
  calls,
  text,
  codeOf,
  tick,
} from './rig.js';

beforeEach(useClock);
afterEach(closeRig);

describe('an expired answer', () => {
  const expire = async (by = 10_000): Promise<void> => {
    recover({ last: 1 });
    await get();
    await vi.advanceTimersByTimeAsync(by);
  };

  it('is served marked and with its true times when one attempt at a new one fails', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    const answer = await get();
    expect(answer).toMatchObject({ cache: 'STALE', receivedAt: START, freshUntil: START + 2_000 });
    expect(rig.exchanges.fetched.at(-1)!.options.attempts).toBe(1);
    expect(calls()).toBe(2);
  });

  it('then serves at once, without another attempt that a caller would wait for', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    gate();
    for (let i = 0; i < 50; i++) expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(2);
  });

  it('is retried behind with all attempts, without anyone asking again', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    recover();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(calls()).toBe(3);
    expect(rig.exchanges.fetched.at(-1)!.options.attempts).toBeUndefined();
    const answer = await get();
    expect(answer).toMatchObject({ cache: 'HIT', receivedAt: START + 11_000 });
    expect(JSON.parse(text(answer))).toMatchObject({ last: 2 });
  });

  it('is retried no sooner than the venue says, and once at a time', async () => {
    open();
    await expire();
    fail('upstream_rate_limited', 5_000);
    await get();
    await vi.advanceTimersByTimeAsync(4_999);
    await get();
    expect(calls()).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    await get();
    expect(calls()).toBe(3);
    await vi.advanceTimersByTimeAsync(5_000);
    gate();
    for (let i = 0; i < 10; i++) expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(4);
  });

  it('is served while a refresh takes longer than a caller’s patience, and the refresh goes on', async () => {
    open();
    await expire();
    const venue = gate();
    const waiting = get();
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1);
    const later = get();
    await vi.advanceTimersByTimeAsync(1);
    expect((await waiting).cache).toBe('STALE');
    expect((await later).cache).toBe('STALE');
    expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(2);
    venue.release();
    await tick();
    expect(await get()).toMatchObject({ cache: 'HIT', receivedAt: START + 12_000 });
    expect(calls()).toBe(2);
  });

  it.each([
    ['is cooling down', { coolDownUntil: START + 60_000 }],
    ['has an open circuit', { circuit: 'open' as const }],
  ])('is served at once where the venue %s', async (_name, health) => {
    open();
    await expire();
    rig.exchanges.healthOf = health;
    gate();
    expect((await get()).cache).toBe('STALE');
    expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(2);
  });

  it('is waited for where the cool-down has passed', async () => {
    open();
    await expire();
    rig.exchanges.healthOf = { coolDownUntil: START + 9_999 };
    recover();
    expect((await get()).cache).toBe('MISS');
  });

  it('is not served any more once it is older than STALE_IF_ERROR', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    await vi.advanceTimersByTimeAsync(289_999);
    expect((await get()).cache).toBe('STALE');
    await vi.advanceTimersByTimeAsync(1);
    expect(await codeOf(get())).toBe('upstream_unavailable');
  });

  it('that becomes too old while its refresh is waited for gives way to the error', async () => {
    open();
    await expire(299_999);
    const venue = gate();
    const answer = codeOf(get());
    await vi.advanceTimersByTimeAsync(10);
    venue.release(new AppError('upstream_timeout', 'late'));
    await tick();
    venue.release(new AppError('upstream_timeout', 'late again'));
    expect(await answer).toBe('upstream_timeout');
  });

  it('gives way to the venue’s word that the symbol is gone', async () => {
    open();
    await expire();
    fail('symbol_not_found');
    expect(await codeOf(get())).toBe('symbol_not_found');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(calls()).toBe(2);
  });

  it('serves even where the fault is our own bug', async () => {
    open();
    await expire();
    rig.exchanges.answer = () => Promise.reject(new TypeError('bug'));
    expect((await get()).cache).toBe('STALE');
  });

  it('is not refreshed behind after the service was closed', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    rig.marketData.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls()).toBe(2);
  });
});

describe('waiting', () => {
  it('ends after REQUEST_TIMEOUT even where the venue’s call never settles', async () => {
    open({ requestTimeoutMs: 5_000 });
    gate();
    const code = codeOf(get());
    await vi.advanceTimersByTimeAsync(5_200);
    expect(await code).toBe('upstream_timeout');
  });

  it('ends for a caller who leaves, and not for the others', async () => {
    open();
    const venue = gate();
    const leaving = new AbortController();
    const left = codeOf(rig.marketData.get(tickerOf('BTC/USDT'), leaving.signal));
    const stayed = rig.marketData.get(tickerOf('BTC/USDT'), new AbortController().signal);
    await tick();
    leaving.abort();
    expect(await left).toBe('upstream_timeout');
    expect(rig.exchanges.fetched[0]!.options.signal?.aborted).toBe(false);
    venue.release();
    expect((await stayed).cache).toBe('MISS');
  });

  it('ends the upstream call once everyone has left, with the leaver’s own reason where it is one of ours', async () => {
    open();
    gate();
    const leaving = new AbortController();
    const left = codeOf(rig.marketData.get(tickerOf('BTC/USDT'), leaving.signal));
    await tick();
    leaving.abort(new AppError('shutting_down', 'bye'));
    expect(await left).toBe('shutting_down');
    expect(rig.exchanges.fetched[0]!.options.signal?.aborted).toBe(true);
  });

  it('ends in an AppError whatever was thrown', async () => {
    open();
    rig.exchanges.answer = () => Promise.reject(new TypeError('bug'));
    expect(await codeOf(get())).toBe('internal_error');
  });
});
