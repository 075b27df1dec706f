// Gaps of an exchange's own answer: what the ledger makes of their reasons.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CandleEvidence } from '../../../src/exchanges/exchange-client.js';
import type { Ledger } from '../../../src/ledger/ledger.js';
import { DAY, MINUTE, NAME, T0 } from './candle-data.js';
import { UnitRig, write } from './ledger-rig.js';

let rig: UnitRig;
let ledger: Ledger;
beforeEach(() => {
  vi.useFakeTimers({ now: T0 + DAY + MINUTE / 2 });
  rig = new UnitRig();
  ledger = rig.ledger();
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

const index = (at: number): number => (at - T0) / MINUTE;
const gaps = [
  { from: T0 + 18 * MINUTE, to: T0 + 25 * MINUTE, reason: 'not_available_from_exchange' },
  { from: T0 + 30 * MINUTE, to: T0 + 31 * MINUTE, reason: 'unconfirmed' },
] as const;
const agreed = async (kept = Promise.resolve(), evidence?: CandleEvidence) =>
  (await ledger.agreed(NAME, gaps, { evidence, kept })).map(({ from, to, reason }) => [
    index(from),
    index(to),
    reason,
  ]);
const asTheyAre = [
  [18, 25, 'not_available_from_exchange'],
  [30, 31, 'unconfirmed'],
];

test('gaps have the reason of their coverage, once what was answered is kept', async () => {
  const kept = write(rig.store, { first: 20, count: 0, kind: 'window', limit: 5 });
  expect(await agreed(kept.then(() => undefined))).toEqual([
    [18, 20, 'not_available_from_exchange'],
    [20, 25, 'unconfirmed'],
    [30, 31, 'unconfirmed'],
  ]);
});

test('of an answer without pages they stay as they are where nothing is stored, or the store is slow, fails or is gone', async () => {
  expect(await agreed()).toEqual(asTheyAre);
  expect(await ledger.agreed(NAME, [], { evidence: undefined, kept: Promise.resolve() })).toEqual([]);
  rig.handle.current = { ...rig.store, series: () => Promise.reject(new Error('no')) };
  expect(await agreed()).toEqual(asTheyAre);
  const late = agreed(new Promise(() => undefined));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await late).toEqual(asTheyAre);
  rig.handle.current = null;
  expect(await agreed()).toEqual(asTheyAre);
});

test('without a word of the store they are what the pages of the answer prove', async () => {
  const page = { since: T0 + 20 * MINUTE, limit: 5, askedAt: T0 + DAY, rows: new Float64Array() };
  const traits = { kind: 'window', omitsEmpty: false, page: 5 } as const;
  const answered = () => agreed(new Promise(() => undefined), { marketId: null, traits, pages: [page] });
  const proven = [
    [18, 20, 'not_available_from_exchange'],
    [20, 25, 'unconfirmed'],
    [30, 31, 'unconfirmed'],
  ];
  const late = answered();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await late).toEqual(proven);
  rig.handle.current = null;
  expect(await answered()).toEqual(proven);
});
