import { describe, expect, it } from 'vitest';
import { TOLERATED_SKEW_MS, createVenueClock } from '../../../src/lib/venue-clock.js';

describe('a venue’s clock', () => {
  it('is ours while the two agree as far as can be told', () => {
    const clock = createVenueClock(
      () => 1_000_000,
      () => 7_000,
    );
    clock.observe({}, 1_000_000);
    clock.observe({ date: 'no date' }, 1_000_000);
    clock.observe({ date: new Date(1_001_000).toUTCString() }, 1_000_000);
    expect(clock.now()).toBe(1_000_000);
    expect(clock.toLocal(5)).toBe(5);
  });

  it('is its own where they differ, and ours again when they no longer do', () => {
    const clock = createVenueClock(
      () => 1_000_000,
      () => 7_000,
    );
    clock.observe({ date: new Date(1_060_000).toUTCString() }, 1_000_000);
    expect(clock.now()).toBe(1_060_500);
    expect(clock.toLocal(clock.now())).toBe(1_000_000);
    clock.observe({ date: new Date(1_000_000).toUTCString() }, 1_000_000 + TOLERATED_SKEW_MS);
    expect(clock.now()).toBe(1_000_000);
  });

  it('is that of an answer from a cache plus the time that the answer lay there', () => {
    const clock = createVenueClock(
      () => 1_000_000,
      () => 7_000,
    );
    clock.observe({ date: new Date(950_000).toUTCString(), age: '50' }, 1_000_000);
    expect(clock.now()).toBe(1_000_000);
  });
});

describe.each([3_600_000, -3_600_000])('a wall clock that is set by %i ms', (by) => {
  it('moves a venue’s clock neither before nor after its next answer, and what is ours is told in ours', () => {
    const time = { wall: 1_000_000, elapsed: 7_000 };
    const clock = createVenueClock(
      () => time.wall,
      () => time.elapsed,
    );
    clock.observe({ date: new Date(1_000_000).toUTCString() }, time.wall);
    time.elapsed += 5_000;
    time.wall += 5_000 + by;
    expect(clock.now()).toBe(1_005_000);
    expect(clock.toLocal(clock.now())).toBe(time.wall);
    clock.observe({ date: new Date(1_005_000).toUTCString() }, time.wall);
    expect(clock.now()).toBe(1_005_500);
    expect(clock.toLocal(clock.now())).toBe(time.wall);
  });
});

it('a venue’s clock tells whole milliseconds, however finely durations are measured', () => {
  const clock = createVenueClock(
    () => 1_000_000,
    () => 7_000.123,
  );
  clock.observe({ date: new Date(1_000_000).toUTCString() }, 1_000_000);
  expect(Number.isInteger(clock.now())).toBe(true);
});
