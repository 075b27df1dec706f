/** State of a store, as /v1/health/ready shows it. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { CandleStore } from './store.js';

/** Detail of the 404 for routes that need a store. */
export const noStore = (): AppError =>
  new AppError(
    'not_found',
    'This server keeps no candles: there is no store (STORE_URL=none, or no home folder).',
  );

export interface StoreStatus {
  readonly state: 'ok' | 'degraded' | 'disabled';
  readonly detail: string;
  readonly since: Millis;
  /** false: another process owns the file, or it cannot be written. */
  readonly writable: boolean;
}

/** real, sandbox, or `sandbox:<seed>`: simulated and real candles never share a store. */
export type StoreMarker = string;

export interface StoreHandle {
  /** Other servers write to it too. */
  readonly shared: boolean;
  /** Location without credentials; for SQLite the file. */
  readonly file: string | null;
  /** null while there is none to use. */
  store(): CandleStore | null;
  status(): StoreStatus;
  /** Settles when the first attempt to open has ended; rejects with a StoreError `sandbox` where data would mix. */
  readonly opened: Promise<void>;
  close(): Promise<void>;
}

export const MARKER_KEY = 'marker';

/** Simulated and real data, or those of two seeds. A sandbox without a control API does not tell its seed. */
export const isOtherData = (found: StoreMarker, own: StoreMarker): boolean => {
  const [kind, seed] = found.split(':');
  const [ownKind, ownSeed] = own.split(':');
  return kind !== ownKind || (seed !== undefined && ownSeed !== undefined && seed !== ownSeed);
};

/** Does `own` tell a seed that the store's marker does not hold yet? */
export const tellsMore = (found: StoreMarker, own: StoreMarker): boolean =>
  !isOtherData(found, own) && own.length > found.length;
