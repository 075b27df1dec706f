import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { DAY, MINUTE, NAME, T0 } from './candle-data.js';
import { feedCandle, UnitRig } from './ledger-rig.js';

let rig: UnitRig;
/** The candle of T0 closed half a minute ago. */
const START = T0 + 1.5 * MINUTE;

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  rig = new UnitRig();
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

const started = (...given: Parameters<UnitRig['ledger']>) => {
  const ledger = rig.ledger(...given);
  ledger.start();
  return ledger;
};
const asked = () => rig.venue.asked.map(({ since, limit }) => [((since ?? 0) - T0) / MINUTE, limit]);
/** The clock is set on to the last half minute of each quarter of an hour: the store is looked at three times in it. */
const hours = async (count: number) => {
  for (let quarter = 0; quarter < 4 * count; quarter += 1) {
    vi.setSystemTime(Date.now() + 14.5 * MINUTE);
    await minutes(0.5);
  }
};
const minutes = (count: number) => vi.advanceTimersByTimeAsync(count * MINUTE);

test('a live series is asked for again after a quarter of an hour and after a day, one page each, and no more', async () => {
  const ledger = started();
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await minutes(14.9);
  expect(rig.venue.asked).toEqual([]);
  rig.venue.corrected.set(T0, 77);
  await minutes(0.5);
  // Up to the start of the open period of then.
  expect(asked()).toEqual([[-99, 100]]);
  expect(rig.venue.asked[0]).toMatchObject({ ...NAME, evidence: true, onePage: true });
  const [revision] = await ledger.revisions(NAME, { from: undefined, to: undefined }, 10);
  expect(revision).toMatchObject({ timestamp: T0, close: 100, source: 'websocket' });
  await hours(23.5);
  expect(rig.venue.asked).toHaveLength(1);
  await hours(0.5);
  expect(asked()).toEqual([
    [-99, 100],
    [-99, 100],
  ]);
  await hours(26);
  expect(rig.venue.asked).toHaveLength(2);
});

test('what was due while the server was down is done soon after its start', async () => {
  const first = started();
  first.recordFeed(NAME, [feedCandle(0)], Date.now());
  await minutes(1);
  await first.close();
  vi.setSystemTime(START + 2 * 60 * MINUTE);
  started();
  await vi.advanceTimersByTimeAsync(0);
  expect(asked()).toEqual([[-99, 100]]);
  await minutes(30);
  expect(rig.venue.asked).toHaveLength(1);
});

test('one that was under way when the process died is asked for again', async () => {
  const first = started();
  first.recordFeed(NAME, [feedCandle(0)], Date.now());
  const { fetch } = rig.venue;
  rig.venue.fetch = (request) => {
    if (request.kind === 'ohlcv') rig.venue.asked.push(request);
    return new Promise(() => undefined);
  };
  await minutes(15.2);
  expect(rig.venue.asked).toHaveLength(1);
  rig.venue.fetch = fetch;
  await first.close();
  started();
  await minutes(5.2);
  expect(rig.venue.asked).toHaveLength(2);
});

test('an exchange that fails is asked again five minutes later', async () => {
  const ledger = started();
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  rig.venue.fault = new AppError('upstream_unavailable', 'down');
  await minutes(15.2);
  expect(rig.venue.asked).toHaveLength(1);
  rig.venue.fault = null;
  await minutes(4.5);
  expect(rig.venue.asked).toHaveLength(1);
  await minutes(1);
  expect(rig.venue.asked).toHaveLength(2);
  await hours(1);
  expect(rig.venue.asked).toHaveLength(2);
});

test('series that nobody keeps are not asked for again, nor those of an exchange that is not enabled', async () => {
  const ledger = started({}, { enabled: ['kraken'] });
  const evidence = (
    await rig.venue.fetch(
      { kind: 'ohlcv', ...NAME, since: T0 - 10 * MINUTE, limit: 10 },
      { deadline: 0, priority: 'caller' },
    )
  ).evidence;
  if (evidence === undefined) throw new Error('no evidence');
  await ledger.record({ ...NAME, symbol: 'ETH/USDT' }, evidence);
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await hours(25);
  expect(rig.venue.asked).toHaveLength(1);
  expect(await rig.store.takeDue(Date.now() + 30 * DAY, 10, Infinity)).toEqual([]);
});

test('nothing is asked for while nobody can write, and an answer without pages changes nothing', async () => {
  const ledger = started();
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await minutes(1);
  rig.handle.told = { ...rig.handle.told, writable: false };
  await minutes(20);
  expect(rig.venue.asked).toEqual([]);
  rig.venue.evidence = false;
  rig.handle.told = { ...rig.handle.told, writable: true };
  await minutes(1);
  expect(rig.venue.asked).toHaveLength(1);
  expect(await rig.states()).toEqual([[0, 1, 'known']]);
});

test.each([
  ['derivatives have a page of their own', true, 7],
  ['a page is 100 candles where nobody knows better', false, 100],
])('%s', async (_name, described, page) => {
  rig.venue.described = described;
  const ledger = started();
  ledger.recordFeed({ ...NAME, symbol: 'BTC/USDT:USDT' }, [feedCandle(0)], Date.now());
  await minutes(16);
  expect(rig.venue.asked.map(({ limit }) => limit)).toEqual([page]);
});

test('a verification that can not be planned or read is told in the log, and the next round goes on', async () => {
  const ledger = started();
  const { store } = rig;
  rig.handle.current = {
    ...store,
    addDue: () => Promise.reject(new Error('no')),
    takeDue: () => Promise.reject(new Error('no')),
  };
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await minutes(1);
  const messages = rig.log.lines.map(({ message }) => message);
  expect(messages).toContain('a verification could not be planned');
  expect(messages).toContain('verifications have to wait');
  rig.handle.current = store;
  ledger.recordFeed({ ...NAME, symbol: 'ETH/USDT' }, [feedCandle(0)], Date.now());
  await minutes(16);
  expect(rig.venue.asked.map(({ symbol }) => symbol)).toEqual(['ETH/USDT']);
});

test('started twice it runs one check at a time, and none after its end', async () => {
  const ledger = started();
  ledger.start();
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await vi.advanceTimersByTimeAsync(0);
  await ledger.close();
  await hours(25);
  expect(rig.venue.asked).toEqual([]);
});

test('with the pages of a backfill they keep to one share of the budget', async () => {
  rig.venue.healthOf = { budget: { limit: 10, remaining: 10, windowMs: 60_000 } };
  const ledger = started({ budgetShare: 0.2 });
  const live = ['ETH/USDT', 'SOL/USDT', 'ADA/USDT'];
  for (const symbol of live) ledger.recordFeed({ ...NAME, symbol }, [feedCandle(0)], Date.now());
  await vi.advanceTimersByTimeAsync(0);
  await ledger.addJob(NAME, { from: T0 - 5_000 * MINUTE, to: T0 });
  const times: number[] = [];
  const { fetch } = rig.venue;
  rig.venue.fetch = (request, options) => {
    times.push(Date.now());
    return fetch(request, options);
  };
  await minutes(19);
  const symbols = rig.venue.asked.map(({ symbol }) => symbol);
  expect(symbols).toEqual(expect.arrayContaining(live));
  expect(symbols.filter((symbol) => symbol === NAME.symbol).length).toBeGreaterThan(25);
  // Never more than two within a window.
  const pauses = times.slice(2).map((time, index) => time - (times[index] ?? 0));
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(60_000);
});

test('in a cool-down none is asked for', async () => {
  const ledger = started();
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await minutes(1);
  rig.venue.healthOf = { coolDownUntil: START + 18 * MINUTE };
  await minutes(16.5);
  expect(rig.venue.asked).toEqual([]);
  await minutes(4);
  expect(rig.venue.asked).toHaveLength(1);
});

test('a server that does not hold the lease of a shared store leaves them to another', async () => {
  rig.handle.shared = true;
  const ledger = started();
  ledger.recordFeed(NAME, [feedCandle(0)], Date.now());
  await minutes(14);
  expect(await rig.store.lease('exchange binance', 'another', 120_000)).toBe(true);
  await minutes(2);
  expect(rig.venue.asked).toEqual([]);
  await rig.store.endLease('exchange binance', 'another');
  await minutes(5);
  expect(rig.venue.asked).toHaveLength(1);
});
