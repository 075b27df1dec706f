/** The part of a database that the store uses. Statements are written in SQL that SQLite and PostgreSQL both accept. */
import type { HeldCandle } from './merge.js';

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** Statements number their parameters `$1`, `$2`, … */
export interface Sql {
  all(text: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /** Gives the number of rows that changed. */
  run(text: string, values?: readonly SqlValue[]): Promise<number>;
}

/** Candles of a series within [from, to), as a part of the answer's JSON. */
interface CandleRange {
  readonly series: number;
  readonly from: number;
  readonly to: number;
  /** At most this many: the first, or with `newest` the last. */
  readonly limit: number;
  readonly newest: boolean;
}

export interface JsonCandles {
  /** Objects of the contract between commas, without brackets; `closed` is always true. */
  readonly json: Uint8Array;
  readonly count: number;
  readonly first: number | null;
  readonly last: number | null;
}

interface DatabaseSize {
  readonly bytes: number;
  readonly walBytes: number;
}

export interface Database extends Sql {
  /** A transaction; transactions run one after the other. `lock` names what no other connection may change meanwhile. */
  transaction<T>(lock: string, work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Inserts, or replaces whole rows. */
  upsertCandles(sql: Sql, series: number, candles: readonly HeldCandle[]): Promise<void>;
  candlesJson(range: CandleRange): Promise<JsonCandles>;
  size(): Promise<DatabaseSize>;
  /** Returns free pages to the file system. */
  vacuum(): Promise<void>;
  /** A sentence for each fault of the file; empty where it is sound. */
  check(): Promise<string[]>;
  close(): Promise<void>;
}

/** source in bits 0 and 1, revised in bit 2, disputed in bit 3. */
const REST = 1;
const REVISED = 4;
const DISPUTED = 8;

export const metaOf = ({ source, revised, disputed }: HeldCandle): number =>
  (source === 'rest' ? REST : 0) | (revised ? REVISED : 0) | (disputed ? DISPUTED : 0);

export const fromMeta = (meta: number): Pick<HeldCandle, 'source' | 'revised' | 'disputed'> => ({
  source: (meta & 3) === REST ? 'rest' : 'websocket',
  revised: (meta & REVISED) !== 0,
  disputed: (meta & DISPUTED) !== 0,
});
