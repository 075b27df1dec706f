/** Free space for candles: STORE_MAX_GB and STORE_MIN_FREE_MB, measured at intervals. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Millis } from '../schemas/common.js';
import type { CandleStore, StoreTotals } from './store.js';

const LOOK_EVERY_MS: Millis = 5_000;
/** Above this share of STORE_MAX_GB only series in BACKFILL or with a live feed are written. */
const NEARLY_FULL = 0.8;
const MB = 1024 * 1024;

export type Room = 'plenty' | 'scarce' | 'none';

export interface RoomDeps {
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  /** null: the disk is not on this machine. */
  readonly file: string | null;
  /** The clock of durations. */
  readonly monotonic: () => Millis;
}

export interface RoomWatch {
  /** The latest measurement; starts a new one where it is old. */
  state(store: Pick<CandleStore, 'totals'>): Promise<Room>;
  totals(): StoreTotals | null;
  freeBytes(): number | null;
  /** Why nothing is written; null where there is free space. */
  reason(): string | null;
  /** Nearly full at the latest measurement: only series in BACKFILL or with a live feed are written. */
  isScarce(): boolean;
}

export const watchRoom = ({ maxBytes, minFreeBytes, file, monotonic }: RoomDeps): RoomWatch => {
  let lookedAt = -Infinity;
  let room: Room = 'plenty';
  let reason: string | null = null;
  let totals: StoreTotals | null = null;
  let free: number | null = null;

  const look = async (store: Pick<CandleStore, 'totals'>): Promise<void> => {
    totals = await store.totals();
    if (file !== null) {
      const disk = await statfs(dirname(file)).catch(() => null);
      free = disk === null ? null : disk.bavail * disk.bsize;
    }
    const bytes = totals.bytes + totals.walBytes;
    if (bytes >= maxBytes) {
      room = 'none';
      reason = `The store is over its limit: ${Math.round(bytes / MB)} MB, STORE_MAX_GB allows ${Math.round(maxBytes / MB)} MB.`;
    } else if (free !== null && free < minFreeBytes) {
      room = 'none';
      reason = `The disk is nearly full: ${Math.round(free / MB)} MB are free, STORE_MIN_FREE_MB keeps ${Math.round(minFreeBytes / MB)}.`;
    } else {
      room = bytes >= maxBytes * NEARLY_FULL ? 'scarce' : 'plenty';
      reason = null;
    }
  };

  return {
    async state(store) {
      if (monotonic() - lookedAt >= LOOK_EVERY_MS) {
        lookedAt = monotonic();
        await look(store);
      }
      return room;
    },
    totals: () => totals,
    freeBytes: () => free,
    reason: () => reason,
    isScarce: () => room === 'scarce',
  };
};
