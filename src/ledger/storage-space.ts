/** Free space for candles: STORE_MAX_GB and STORE_MIN_FREE_MB, measured at intervals. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Millis } from '../schemas/common.js';
import type { CandleStore, StoreTotals } from './store.js';

const MEASURE_EVERY_MS: Millis = 5_000;
/** Share of STORE_MAX_GB from which space is low. */
const NEARLY_FULL = 0.8;
const MB = 1024 * 1024;

/** low: only series in BACKFILL or with a live feed are written. none: nothing is. */
export type SpaceLevel = 'free' | 'low' | 'none';

export interface StorageSpaceDeps {
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  /** null: the disk is not on this machine. */
  readonly file: string | null;
  /** The clock of durations. */
  readonly monotonic: () => Millis;
}

export interface StorageSpace {
  /** The latest measurement; starts a new one where it is old. */
  level(store: Pick<CandleStore, 'totals'>): Promise<SpaceLevel>;
  totals(): StoreTotals | null;
  freeBytes(): number | null;
  /** Why nothing is written; null where there is free space. */
  reason(): string | null;
  /** Nearly full at the latest measurement: only series in BACKFILL or with a live feed are written. */
  isLow(): boolean;
}

export const createStorageSpace = ({
  maxBytes,
  minFreeBytes,
  file,
  monotonic,
}: StorageSpaceDeps): StorageSpace => {
  let measuredAt = -Infinity;
  let level: SpaceLevel = 'free';
  let reason: string | null = null;
  let totals: StoreTotals | null = null;
  let free: number | null = null;

  const measure = async (store: Pick<CandleStore, 'totals'>): Promise<void> => {
    totals = await store.totals();
    if (file !== null) {
      const disk = await statfs(dirname(file)).catch(() => null);
      free = disk === null ? null : disk.bavail * disk.bsize;
    }
    const bytes = totals.bytes + totals.walBytes;
    if (bytes >= maxBytes) {
      level = 'none';
      reason = `The store is over its limit: ${Math.round(bytes / MB)} MB, STORE_MAX_GB allows ${Math.round(maxBytes / MB)} MB.`;
    } else if (free !== null && free < minFreeBytes) {
      level = 'none';
      reason = `The disk is nearly full: ${Math.round(free / MB)} MB are free, STORE_MIN_FREE_MB keeps ${Math.round(minFreeBytes / MB)}.`;
    } else {
      level = bytes >= maxBytes * NEARLY_FULL ? 'low' : 'free';
      reason = null;
    }
  };

  return {
    async level(store) {
      if (monotonic() - measuredAt >= MEASURE_EVERY_MS) {
        measuredAt = monotonic();
        await measure(store);
      }
      return level;
    },
    totals: () => totals,
    freeBytes: () => free,
    reason: () => reason,
    isLow: () => level === 'low',
  };
};
