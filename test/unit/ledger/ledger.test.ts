import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Ledger } from '../../../src/ledger/ledger.js';
import { StoreError } from '../../../src/ledger/store-error.js';
import { DAY, MINUTE, NAME, T0 } from './candle-data.js';
import { feedCandle, UnitRig, write } from './ledger-rig.js';

let rig: UnitRig;
let ledger: Ledger;
const NOW = T0 + DAY + MINUTE / 2;
const WHOLE = { from: undefined, to: undefined };

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  rig = new UnitRig();
  ledger = rig.ledger();
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

const told = async (from?: number, to?: number) => {
  const at = (minute: number | undefined) => (minute === undefined ? undefined : T0 + minute * MINUTE);
  const { ranges } = await ledger.coverage(NAME, { from: at(from), to: at(to) });
  return ranges.map(({ from: start, to: end, state }) => [(start - T0) / MINUTE, (end - T0) / MINUTE, state]);
};

describe('coverage', () => {
  test('of the whole series up to the last settled candle, pending where a job is open', async () => {
    await write(rig.store, { first: 10, count: 10 });
    expect(await told()).toEqual([
      [10, 20, 'known'],
      [20, 1440, 'unknown'],
    ]);
    rig.venue.healthOf = { circuit: 'open' };
    await ledger.addJob(NAME, { from: T0, to: T0 + 30 * MINUTE });
    await ledger.addJob({ ...NAME, symbol: 'ETH/USDT' }, { from: T0, to: undefined });
    expect(await told(0, 40)).toEqual([
      [0, 10, 'pending'],
      [10, 20, 'known'],
      [20, 30, 'pending'],
      [30, 40, 'unknown'],
    ]);
  });

  test('bounds are laid on the periods: from down, to up', async () => {
    await write(rig.store, { first: 0, count: 10 });
    expect(await told(2.5, 4.5)).toEqual([[2, 5, 'known']]);
    expect(await told(undefined, 4)).toEqual([[0, 4, 'known']]);
    expect(await told(9)).toEqual([
      [9, 10, 'known'],
      [10, 1440, 'unknown'],
    ]);
  });

  test('a range that begins behind the last candle is empty, one that begins in the future is refused', async () => {
    await write(rig.store, { first: 0, count: 10 });
    expect(await told(1440)).toEqual([]);
    expect(await told(1440.5)).toEqual([]);
    const refusal = {
      code: 'invalid_request',
      errors: [{ parameter: 'from', reason: 'must not lie in the future' }],
    };
    await expect(told(1500.5)).rejects.toMatchObject(refusal);
    await expect(ledger.addJob(NAME, { from: T0 + 2 * DAY, to: undefined })).rejects.toMatchObject(refusal);
    await expect(told(20, 20)).rejects.toMatchObject({ errors: [{ reason: 'must lie before to' }] });
  });

  test('of what nobody has stored: no series, and a range only where one was asked for', async () => {
    expect(await ledger.coverage({ ...NAME, symbol: 'eth-usdt' }, WHOLE)).toEqual({
      ...{ symbol: 'eth-usdt', series: null, ranges: [] },
    });
    expect(await told(0, 5)).toEqual([[0, 5, 'unknown']]);
  });

  test('under the spelling that is stored, with what has just come by', async () => {
    ledger.recordFeed(NAME, [feedCandle(0), feedCandle(1), feedCandle(5), feedCandle(6, false)], NOW);
    const { symbol, ranges } = await ledger.coverage({ ...NAME, symbol: 'btc_usdt' }, WHOLE);
    expect(symbol).toBe('BTC/USDT');
    expect(ranges[0]).toMatchObject({ from: T0, to: T0 + 2 * MINUTE, source: 'websocket', checkedAt: NOW });
    expect(ranges.map(({ state }) => state)).toEqual(['known', 'unknown', 'known', 'unknown']);
  });

  test.each([
    ['an interval that is none', { interval: 'soon' }, 'interval_not_supported'],
    ['bounds the wrong way round', { from: T0, to: T0 }, 'invalid_request'],
  ])('%s is refused', async (_name, given, code) => {
    const { interval, ...bounds } = { ...WHOLE, interval: NAME.interval, ...given };
    await expect(ledger.coverage({ ...NAME, interval }, bounds)).rejects.toMatchObject({ code });
  });
});

describe('revisions', () => {
  test('of the whole series, of a range, at most so many, newest first', async () => {
    await write(rig.store, { count: 10 });
    for (const first of [2, 7]) {
      rig.venue.corrected.set(T0 + first * MINUTE, 1);
      const answer = await rig.venue.fetch(
        { kind: 'ohlcv', ...NAME, since: T0 + first * MINUTE, limit: 1 },
        { deadline: 0, priority: 'caller' },
      );
      if (answer.evidence !== undefined) await ledger.record(NAME, answer.evidence);
    }
    const minutes = async (asked: Parameters<Ledger['revisions']>[1], limit = 10) =>
      (await ledger.revisions(NAME, asked, limit)).map(({ timestamp }) => (timestamp - T0) / MINUTE);
    expect(await minutes(WHOLE)).toEqual([7, 2]);
    expect(await minutes(WHOLE, 1)).toEqual([7]);
    expect(await minutes({ from: undefined, to: T0 + 5 * MINUTE })).toEqual([2]);
    expect(await minutes({ from: T0 + 3 * MINUTE, to: undefined })).toEqual([7]);
    expect(await ledger.revisions({ ...NAME, symbol: 'NO/NE' }, WHOLE, 10)).toEqual([]);
  });
});

describe('an export', () => {
  const read = async (asked: Parameters<Ledger['exporting']>[1], symbol: string = NAME.symbol) => {
    const plan = await ledger.exporting({ ...NAME, symbol }, asked);
    const pages: number[] = [];
    const times: number[] = [];
    for await (const rows of plan.pages()) {
      pages.push(rows.length);
      times.push(...rows.map(({ timestamp }) => (timestamp - T0) / MINUTE));
    }
    return { plan, pages, times };
  };

  test('comes in pages, whole and in order, with what is missing', async () => {
    vi.setSystemTime(T0 + 30 * DAY);
    await write(rig.store, { count: 12_000, limit: 12_000, askedAt: T0 + 30 * DAY });
    const { plan, pages, times } = await read({ from: T0, to: T0 + 12_010 * MINUTE });
    expect(pages).toEqual([5000, 5000, 2000]);
    expect(times).toEqual(Array.from({ length: 12_000 }, (_, index) => index));
    expect(plan.gaps).toEqual([
      { from: T0 + 12_000 * MINUTE, to: T0 + 12_010 * MINUTE, reason: 'not_loaded_yet' },
    ]);
  });

  test('whose last page is full ends', async () => {
    vi.setSystemTime(T0 + 30 * DAY);
    await write(rig.store, { count: 5000, limit: 5000, askedAt: T0 + 30 * DAY });
    expect((await read({ from: T0, to: T0 + 5000 * MINUTE })).pages).toEqual([5000]);
  });

  test('of what nobody has stored is empty', async () => {
    expect(await read({ from: T0, to: T0 + MINUTE }, 'NO/NE')).toMatchObject({
      pages: [],
      plan: { series: null },
    });
  });
});

describe('jobs', () => {
  beforeEach(() => {
    rig.venue.healthOf = { circuit: 'open' };
  });

  test('their range is laid on the periods, and ends with the last settled candle', async () => {
    const job = await ledger.addJob(NAME, { from: T0 + 90_000, to: undefined });
    expect(job).toMatchObject({ from: T0 + MINUTE, to: T0 + DAY, origin: 'api', state: 'queued' });
    expect(await ledger.job(job.id)).toMatchObject({ id: job.id });
    expect(await ledger.jobs(5)).toHaveLength(1);
    expect(await ledger.addJob(NAME, { from: T0 + DAY + 1, to: undefined })).toMatchObject({
      ...{ from: T0 + DAY, to: T0 + DAY },
    });
  });

  test('are cancelled once; what has ended stays as it is', async () => {
    const job = await ledger.addJob(NAME, { from: T0, to: undefined });
    expect(await ledger.cancelJob(job.id)).toMatchObject({ state: 'cancelled', waitingFor: null });
    const at = (await ledger.job(job.id))?.updatedAt;
    vi.setSystemTime(NOW + 5_000);
    expect(await ledger.cancelJob(job.id)).toMatchObject({ state: 'cancelled', updatedAt: at });
    expect(await ledger.cancelJob('nobody')).toBeNull();
  });

  test('one that ends while it is being cancelled is given as it was', async () => {
    const job = await ledger.addJob(NAME, { from: T0, to: undefined });
    rig.handle.current = { ...rig.store, updateJob: () => Promise.resolve(null) };
    expect(await ledger.cancelJob(job.id)).toMatchObject({ id: job.id });
  });
});

describe('a store that can not be used', () => {
  test('is told as such, without its inner words', async () => {
    rig.handle.current = {
      ...rig.store,
      job: () => Promise.reject(new StoreError('unavailable', 'secret at 10.0.0.1')),
    };
    const error: unknown = await ledger.job('x').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'upstream_unavailable',
      message: 'The candle store can not be used at the moment. It does not answer.',
    });
    expect(rig.log.warnings()).toEqual(['the candle store failed']);
    rig.handle.current = null;
    rig.handle.told = { state: 'degraded', detail: 'Not connected.', since: 0, writable: false };
    await expect(ledger.jobs(1)).rejects.toMatchObject({
      message: expect.stringContaining('Not connected.') as string,
    });
  });
});

describe('status', () => {
  test('is the store’s own, and degraded with the reason where there is no space', async () => {
    expect(ledger.status()).toEqual(rig.handle.told);
    const full = rig.ledger({ maxBytes: 1 });
    full.start();
    await vi.advanceTimersByTimeAsync(10);
    expect(full.status()).toMatchObject({
      state: 'degraded',
      writable: true,
      detail: expect.stringContaining('STORE_MAX_GB') as string,
    });
    rig.handle.told = { ...rig.handle.told, state: 'degraded', detail: 'corrupt' };
    expect(full.status().detail).toBe('corrupt');
  });

  test('figures: what was written, what there is', async () => {
    vi.useRealTimers();
    rig.handle.file = rig.file;
    ledger = rig.ledger();
    ledger.start();
    ledger.recordFeed(NAME, [feedCandle(0)], NOW);
    await ledger.coverage(NAME, WHOLE);
    await vi.waitFor(() => expect(ledger.stats().freeBytes).toBeGreaterThan(0), 10_000);
    expect(ledger.stats()).toMatchObject({
      status: { state: 'ok' },
      writes: { websocket: 1, dropped: 0 },
      backfill: { pages: 0 },
    });
  });
});
