/** A quota over the processes of one server. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createListeners, type Notices } from '../../../src/access/notify/notices.js';
import { shareUnits, type UnitSharing } from '../../../src/access/unit-sharing.js';
import { Units } from '../../../src/access/units.js';

const NOW = Date.UTC(2026, 5, 15, 12);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});
afterEach(() => {
  for (const sharing of sharings.splice(0)) sharing.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const sharings: UnitSharing[] = [];
/** Two processes that hear each other. */
const start = (): [Units, Units] => {
  const ways = [createListeners(), createListeners()];
  const join = (own: number): Units => {
    const notices: Notices = {
      on: (topic, heard) => ways[own]?.on(topic, heard) ?? (() => undefined),
      notify: (topic, text) => ways[1 - own]?.tell(topic, text),
      close: () => Promise.resolve(),
    };
    const sharing = shareUnits(notices);
    sharings.push(sharing);
    const units = new Units({ now: Date.now, onChange: sharing.onUnits });
    sharing.listen(units);
    return units;
  };
  return [join(0), join(1)];
};
const tell = (): void => void vi.advanceTimersByTime(5);
const PERIODS = { day: Date.UTC(2026, 5, 15), month: Date.UTC(2026, 5) };

test('what one process spends counts in the other before the store knows', () => {
  const [a, b] = start();
  a.spend('c', 3);
  a.spend('c', 4);
  tell();
  b.spend('c', 1);
  tell();
  expect(b.used('c')).toMatchObject({ day: 8, month: 8 });
  expect(a.used('c')).toMatchObject({ day: 8, month: 8 });
});

test('no timer runs while nothing is spent', () => {
  const [a] = start();
  expect(vi.getTimerCount()).toBe(0);
  a.spend('c', 1);
  expect(vi.getTimerCount()).toBe(1);
  tell();
  expect(vi.getTimerCount()).toBe(0);
});

test('what the store knows already is not counted twice', () => {
  const [a, b] = start();
  a.spend('c', 7);
  tell();
  b.settle('c', { day: 10, month: 100 }, PERIODS);
  expect(b.used('c')).toMatchObject({ day: 17, month: 107 });
  a.written('c', 7);
  tell();
  b.settle('c', { day: 17, month: 107 }, PERIODS);
  expect(b.used('c')).toMatchObject({ day: 17, month: 107 });
});

test('what a process spent and lost with its end is forgotten', () => {
  const [a, b] = start();
  a.spend('c', 7);
  tell();
  vi.advanceTimersByTime(60_001);
  b.settle('c', { day: 10, month: 100 }, PERIODS);
  expect(b.used('c')).toMatchObject({ day: 10, month: 100 });
});
