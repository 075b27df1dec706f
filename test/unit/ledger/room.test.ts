import { mkdtempSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { watchRoom, type RoomDeps } from '../../../src/ledger/room.js';

const MB = 1024 * 1024;
const roomOf = (given: Partial<RoomDeps> & { readonly bytes: number; readonly walBytes?: number }) => {
  const { bytes, walBytes = 0, ...deps } = given;
  const size = { bytes, walBytes };
  let looks = 0;
  let at = 0;
  const room = watchRoom({ maxBytes: 100 * MB, minFreeBytes: 0, file: null, monotonic: () => at, ...deps });
  const totals = () => {
    looks += 1;
    return Promise.resolve({ series: 1, candles: 2, ...size });
  };
  return {
    room,
    size,
    looks: () => looks,
    state: (passed = 0) => {
      at += passed;
      return room.state({ totals });
    },
  };
};

test('before the first look nothing is known, and there is room', () => {
  const { room } = roomOf({ bytes: 0 });
  expect([room.totals(), room.freeBytes(), room.reason()]).toEqual([null, null, null]);
});

test('from 80 percent of the limit on room is scarce, at the limit there is none; the log counts too', async () => {
  const full = roomOf({ bytes: 79 * MB });
  expect(await full.state()).toBe('plenty');
  full.size.walBytes = MB;
  expect(await full.state(5_000)).toBe('scarce');
  expect(full.room.reason()).toBeNull();
  full.size.bytes = 99 * MB;
  expect(await full.state(5_000)).toBe('none');
  expect(full.room.reason()).toBe('The store is over its limit: 100 MB, STORE_MAX_GB allows 100 MB.');
  full.size.bytes = 10 * MB;
  expect(await full.state(5_000)).toBe('plenty');
  expect(full.room.reason()).toBeNull();
});

test('it looks every five seconds, however often it is asked', async () => {
  const room = roomOf({ bytes: 1 });
  await room.state();
  await room.state(4_999);
  expect(room.looks()).toBe(1);
  await room.state(1);
  expect(room.looks()).toBe(2);
});

test('STORE_MIN_FREE_MB is kept free on the disk of the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candles-'));
  try {
    const file = join(folder, 'candles.db');
    const disk = await statfs(folder);
    const whole = disk.blocks * disk.bsize;
    const full = roomOf({ bytes: 1, file, minFreeBytes: whole });
    expect(await full.state()).toBe('none');
    expect(full.room.reason()).toMatch(
      /^The disk is nearly full: \d+ MB are free, STORE_MIN_FREE_MB keeps \d+\.$/,
    );
    const fits = roomOf({ bytes: 1, file, minFreeBytes: 1 });
    expect(await fits.state()).toBe('plenty');
    expect(fits.room.freeBytes()).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a disk that can not be measured stops nothing', async () => {
  const lost = roomOf({ bytes: 1, file: '/nowhere/at/all/candles.db', minFreeBytes: 1e15 });
  expect(await lost.state()).toBe('plenty');
  expect(lost.room.freeBytes()).toBeNull();
});
