import { mkdtempSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createStorageSpace, type StorageSpaceDeps } from '../../../src/ledger/storage-space.js';

const MB = 1024 * 1024;
const spaceOf = (
  given: Partial<StorageSpaceDeps> & { readonly bytes: number; readonly walBytes?: number },
) => {
  const { bytes, walBytes = 0, ...deps } = given;
  const size = { bytes, walBytes };
  let measured = 0;
  let at = 0;
  const space = createStorageSpace({
    maxBytes: 100 * MB,
    minFreeBytes: 0,
    file: null,
    monotonic: () => at,
    ...deps,
  });
  const totals = () => {
    measured += 1;
    return Promise.resolve({ series: 1, candles: 2, ...size });
  };
  return {
    space,
    size,
    measured: () => measured,
    level: (passed = 0) => {
      at += passed;
      return space.level({ totals });
    },
  };
};

test('before it is measured nothing is known, and there is space', () => {
  const { space } = spaceOf({ bytes: 0 });
  expect([space.totals(), space.freeBytes(), space.reason()]).toEqual([null, null, null]);
});

test('from 80 percent of the limit on space is low, at the limit there is none; the log counts too', async () => {
  const full = spaceOf({ bytes: 79 * MB });
  expect(await full.level()).toBe('free');
  full.size.walBytes = MB;
  expect(await full.level(5_000)).toBe('low');
  expect(full.space.reason()).toBeNull();
  full.size.bytes = 99 * MB;
  expect(await full.level(5_000)).toBe('none');
  expect(full.space.reason()).toBe('The store is over its limit: 100 MB, STORE_MAX_GB allows 100 MB.');
  full.size.bytes = 10 * MB;
  expect(await full.level(5_000)).toBe('free');
  expect(full.space.reason()).toBeNull();
});

test('it measured every five seconds, however often it is asked', async () => {
  const space = spaceOf({ bytes: 1 });
  await space.level();
  await space.level(4_999);
  expect(space.measured()).toBe(1);
  await space.level(1);
  expect(space.measured()).toBe(2);
});

test('STORE_MIN_FREE_MB is kept free on the disk of the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candles-'));
  try {
    const file = join(folder, 'candles.db');
    const disk = await statfs(folder);
    const whole = disk.blocks * disk.bsize;
    const full = spaceOf({ bytes: 1, file, minFreeBytes: whole });
    expect(await full.level()).toBe('none');
    expect(full.space.reason()).toMatch(
      /^The disk is nearly full: \d+ MB are free, STORE_MIN_FREE_MB keeps \d+\.$/,
    );
    const fits = spaceOf({ bytes: 1, file, minFreeBytes: 1 });
    expect(await fits.level()).toBe('free');
    expect(fits.space.freeBytes()).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a disk that can not be measured stops nothing', async () => {
  const lost = spaceOf({ bytes: 1, file: '/nowhere/at/all/candles.db', minFreeBytes: 1e15 });
  expect(await lost.level()).toBe('free');
  expect(lost.space.freeBytes()).toBeNull();
});
