/** The one interface of the candle store: SQLite in a thread of its own, or PostgreSQL. Every call may reject. */
import type { ExchangeId, Millis } from '../schemas/common.js';
import type { Coverage, Span } from './coverage.js';
import type { Revision } from './merge.js';
import type { JsonCandles } from './sql.js';
import type { SeriesName, SettledPage, StoredCandle } from './settle.js';

/** One run of a series: where its periods begin, and which listing of the symbol it is. */
export interface SeriesInfo extends SeriesName {
  readonly id: number;
  readonly anchor: Millis;
  readonly generation: number;
  readonly candles: number;
  /** Its first and last candle; null where it has none. */
  readonly first: Millis | null;
  readonly last: Millis | null;
  /** The venue's first candle, where that was found out. */
  readonly firstListed: Millis | null;
}

/**
 * Why a page begins a series. first: nothing of it was stored. moved: its periods begin elsewhere than before. relisted: the
 * symbol is another market of the venue now.
 */
export type SeriesBegun = 'first' | 'moved' | 'relisted';

export interface Written {
  /** null: the series was stored already. */
  readonly begun: SeriesBegun | null;
  readonly inserted: number;
  readonly revised: number;
  readonly disputed: number;
  /** Stretches that stay suspect. */
  readonly suspect: number;
}

export interface StoredRange extends JsonCandles {
  readonly series: SeriesInfo;
  /** Of all that was asked for, or of the stretch of the candles where `limit` cut it off. */
  readonly coverage: readonly Coverage[];
}

export interface ReadRange extends SeriesName, Span {
  readonly limit: number;
  /** The last `limit` candles instead of the first. */
  readonly newest: boolean;
}

export const JOB_STATES = ['queued', 'running', 'waiting', 'done', 'failed', 'cancelled'] as const;
export type JobState = (typeof JOB_STATES)[number];
export const OPEN_STATES: readonly JobState[] = ['queued', 'running', 'waiting'];

/** api: from a caller or the command line; setting: from BACKFILL; read: a request needed an unknown range. */
export type JobOrigin = 'api' | 'setting' | 'read';

interface NewJob extends SeriesName {
  readonly from: Millis;
  /** null: without an end, up to the latest settled candle. */
  readonly to: Millis | null;
  readonly origin: JobOrigin;
}

export interface Job extends NewJob {
  readonly id: string;
  readonly state: JobState;
  readonly percent: number;
  readonly pages: number;
  readonly candles: number;
  readonly reached: Millis | null;
  readonly etaSeconds: number | null;
  readonly waitingFor: string | null;
  readonly error: string | null;
  readonly createdAt: Millis;
  readonly updatedAt: Millis;
}

/** How many jobs of an exchange are in a state, and what those that wait are waiting for. */
export interface JobCount {
  readonly exchange: ExchangeId;
  readonly state: JobState;
  readonly waitingFor: string | null;
  readonly jobs: number;
}

export type JobUpdate = Partial<
  Pick<
    Job,
    'symbol' | 'state' | 'percent' | 'pages' | 'candles' | 'reached' | 'etaSeconds' | 'waitingFor' | 'error'
  >
> & {
  /** The job's end as its worker knows it: where it was extended meanwhile, nothing changes. */
  readonly ifTo?: Millis | null | undefined;
};

/** What a job's page changes of the job. */
interface JobWrite {
  readonly id: string;
  readonly update: JobUpdate;
  readonly lease?: { readonly name: string; readonly owner: string } | undefined;
}

/** A range that is due to be fetched again at a given time. */
export interface Due extends SeriesName, Span {
  readonly at: Millis;
}

export interface StoreTotals {
  readonly series: number;
  readonly candles: number;
  readonly bytes: number;
  readonly walBytes: number;
}

export interface CandleStore {
  /**
   * Candles, revisions and coverage in one transaction; with `job` its counters too. Rejects with `busy`, and nothing is
   * written, where the lease that the job is worked on under belongs to another owner by now.
   */
  write(page: SettledPage, job?: JobWrite): Promise<Written>;
  /** The newest run of a series; null where nothing is stored. */
  series(name: SeriesName): Promise<SeriesInfo | null>;
  allSeries(): Promise<SeriesInfo[]>;
  /** The stored spelling of a caller's symbol; null where nothing is stored of it. */
  spelling(exchange: string, symbol: string): Promise<string | null>;
  read(range: ReadRange): Promise<StoredRange | null>;
  /** Rows of [from, to), oldest first, at most `limit`. */
  rows(series: number, span: Span, limit: number): Promise<StoredCandle[]>;
  /** Ranges that touch [from, to), uncut; without a span all of them. At most `limit`. */
  coverage(series: number, span: Span | null, limit: number): Promise<Coverage[]>;
  revisions(series: number, span: Span | null, limit: number): Promise<Revision[]>;
  /** The venue has no candle before `first`: what lies between `from` and it is unavailable. */
  noteListing(
    name: SeriesName,
    listing: {
      readonly from: Millis;
      readonly first: Millis;
      readonly at: Millis;
      /** Where periods begin in a series of which nothing is stored yet; null where that is not known. */
      readonly anchor?: Millis | null;
    },
  ): Promise<void>;

  /**
   * An equal open job is given instead of a second one. `latestWithin`: `to` is the latest settled candle, and so was that
   * of an open job whose end lies within this time before it was made; such a job is extended to `to`, and given.
   */
  addJob(job: NewJob & { readonly latestWithin?: Millis | undefined }, at: Millis): Promise<Job>;
  job(id: string): Promise<Job | null>;
  /** The newest first. */
  jobs(limit: number): Promise<Job[]>;
  openJobs(): Promise<Job[]>;
  jobCounts(): Promise<JobCount[]>;
  updateJob(id: string, update: JobUpdate, at: Millis): Promise<Job | null>;
  /** Deletes ended jobs beyond the newest `keep`. */
  trimJobs(keep: number): Promise<void>;

  addDue(due: Due): Promise<void>;
  /** What is due at `at`, the oldest first. It is due again at `againAt`, which is the `at` of what is given, unless it is ended. */
  takeDue(at: Millis, limit: number, againAt: Millis): Promise<Due[]>;
  endDue(due: Due): Promise<void>;

  meta(key: string): Promise<string | null>;
  setMeta(key: string, value: string): Promise<void>;
  /** Takes or keeps a lease; false where another owner holds it. Times are the database's. */
  lease(name: string, owner: string, forMs: Millis): Promise<boolean>;
  endLease(name: string, owner: string): Promise<void>;

  totals(): Promise<StoreTotals>;
  check(): Promise<string[]>;
  vacuum(): Promise<void>;
  /** Deletes candles, revisions and coverage before the start of a period; gives the number of candles. */
  deleteBefore(series: Pick<SeriesInfo, 'id' | keyof SeriesName>, before: Millis): Promise<number>;
  close(): Promise<void>;
}
