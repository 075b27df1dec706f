/** Converts database rows to the store's types. A value of another type is a fault of the database, not of a caller. */
import { COVERAGE_STATES, type CandleSource, type Coverage } from './coverage.js';
import type { HeldCandle, Revision } from './merge.js';
import { fromMeta, type SqlRow } from './sql.js';
import type { StoredCandle } from './settle.js';
import { JOB_STATES, type Job, type JobCount, type JobOrigin, type SeriesInfo } from './store.js';

const fault = (column: string): Error => new Error(`The store holds something unexpected in ${column}.`);

export const numberOf = (row: SqlRow, column: string): number => {
  const value = row[column];
  if (typeof value !== 'number') throw fault(column);
  return value;
};
/** The first row of a statement that always returns one. */
export const onlyRow = (rows: readonly SqlRow[]): SqlRow => {
  const [row] = rows;
  if (row === undefined) throw fault('a row that is not there');
  return row;
};

const numberOrNull = (row: SqlRow, column: string): number | null =>
  row[column] === null ? null : numberOf(row, column);
export const textOf = (row: SqlRow, column: string): string => {
  const value = row[column];
  if (typeof value !== 'string') throw fault(column);
  return value;
};
const textOrNull = (row: SqlRow, column: string): string | null =>
  row[column] === null ? null : textOf(row, column);

const oneOf = <T extends string>(values: readonly T[], row: SqlRow, column: string): T => {
  const text = textOf(row, column);
  const found = values.find((value) => value === text);
  if (found === undefined) throw fault(column);
  return found;
};

const SOURCES: readonly CandleSource[] = ['rest', 'websocket'];
const ORIGINS: readonly JobOrigin[] = ['api', 'setting', 'read'];

export const candleOf = (row: SqlRow): StoredCandle => ({
  timestamp: numberOf(row, 'ts'),
  open: numberOrNull(row, 'open'),
  high: numberOrNull(row, 'high'),
  low: numberOrNull(row, 'low'),
  close: numberOrNull(row, 'close'),
  volume: numberOrNull(row, 'volume'),
});

export const heldOf = (row: SqlRow): HeldCandle => ({ ...candleOf(row), ...fromMeta(numberOf(row, 'meta')) });

export const revisionOf = (row: SqlRow): Revision => ({
  ...candleOf(row),
  rev: numberOf(row, 'rev'),
  source: oneOf(SOURCES, row, 'source'),
  seenAt: numberOrNull(row, 'seen_at'),
  replacedAt: numberOf(row, 'replaced_at'),
  disputed: numberOf(row, 'disputed') !== 0,
});

export const coverageOf = (row: SqlRow): Coverage => ({
  from: numberOf(row, 'from_ts'),
  to: numberOf(row, 'to_ts'),
  state: oneOf(COVERAGE_STATES, row, 'state'),
  reason: textOrNull(row, 'reason'),
  source: oneOf(SOURCES, row, 'source'),
  checkedMin: numberOf(row, 'checked_min'),
  checkedMax: numberOf(row, 'checked_max'),
  firstSeen: numberOf(row, 'first_seen'),
  recheckAt: numberOrNull(row, 'recheck_at'),
});

export const seriesOf = (row: SqlRow): SeriesInfo => ({
  id: numberOf(row, 'id'),
  exchange: textOf(row, 'exchange'),
  symbol: textOf(row, 'symbol'),
  interval: textOf(row, 'interval'),
  anchor: numberOf(row, 'anchor_ms'),
  generation: numberOf(row, 'generation'),
  candles: numberOf(row, 'candles'),
  first: numberOrNull(row, 'first'),
  last: numberOrNull(row, 'last'),
  firstListed: numberOrNull(row, 'first_listed'),
});

export const jobCountOf = (row: SqlRow): JobCount => ({
  exchange: textOf(row, 'exchange'),
  state: oneOf(JOB_STATES, row, 'state'),
  waitingFor: textOrNull(row, 'waiting_for'),
  jobs: numberOf(row, 'jobs'),
});

export const jobOf = (row: SqlRow): Job => ({
  id: textOf(row, 'id'),
  exchange: textOf(row, 'exchange'),
  symbol: textOf(row, 'symbol'),
  interval: textOf(row, 'interval'),
  from: numberOf(row, 'from_ts'),
  to: numberOrNull(row, 'to_ts'),
  origin: oneOf(ORIGINS, row, 'origin'),
  state: oneOf(JOB_STATES, row, 'state'),
  percent: numberOf(row, 'percent'),
  pages: numberOf(row, 'pages'),
  candles: numberOf(row, 'candles'),
  reached: numberOrNull(row, 'reached'),
  etaSeconds: numberOrNull(row, 'eta_seconds'),
  waitingFor: textOrNull(row, 'waiting_for'),
  error: textOrNull(row, 'error'),
  createdAt: numberOf(row, 'created_at'),
  updatedAt: numberOf(row, 'updated_at'),
});
