// Oddities of a page of candles, on any venue: the rows that the venue would give, with one thing wrong about them.
import { type Millis } from './intervals.js';
import { type CandleShape, type VenueReply } from './venues/venue.js';

/** Starts within [from, to) in milliseconds; absent: without that bound. */
interface Stretch {
  readonly from?: Millis;
  readonly to?: Millis;
}

export type CandleFault =
  /** A page has at most so many rows, whatever was asked for: the latest ones, or the first ones. */
  | { readonly type: 'candles_short'; readonly rows: number; readonly keep?: 'latest' | 'first' }
  /** A page without rows; with `times: 1` a slip that the next request does not meet. */
  | { readonly type: 'candles_empty' }
  /** Rows whose period began less than `ms` ago are not there yet. */
  | { readonly type: 'candles_late'; readonly ms: Millis }
  /** Rows that start within the stretch are missing. */
  | ({ readonly type: 'candles_hole' } & Stretch)
  /** Rows that start within the stretch have twice their volume: the venue corrected them. */
  | ({ readonly type: 'candles_corrected' } & Stretch)
  /** A page that would begin before `before` is refused with a 400 and this message: the venue does not go back so far. */
  | { readonly type: 'candles_too_old'; readonly before: Millis; readonly message: string }
  /** Periods begin `ms` later (negative: earlier) than they did. */
  | { readonly type: 'candles_moved'; readonly ms: Millis };

type Row = readonly unknown[];
type RowFault = Exclude<CandleFault, { readonly type: 'candles_too_old' }>;

const VOLUME_DECIMALS = 8;

const doubled = (volume: unknown): unknown =>
  typeof volume === 'string' ? (Number(volume) * 2).toFixed(VOLUME_DECIMALS) : Number(volume) * 2;

function faultyRows(
  rows: readonly Row[],
  { fault, shape, now }: { fault: RowFault; shape: CandleShape; now: Millis },
): Row[] {
  const startOf = (row: Row): Millis => Number(row[0]) * shape.unitMs;
  const isWithin = (row: Row, { from = -Infinity, to = Infinity }: Stretch): boolean =>
    startOf(row) >= from && startOf(row) < to;
  switch (fault.type) {
    case 'candles_empty':
      return [];
    case 'candles_short': {
      const ascending = rows.toSorted((a, b) => startOf(a) - startOf(b));
      const kept = new Set(
        fault.keep === 'first' ? ascending.slice(0, fault.rows) : ascending.slice(-fault.rows),
      );
      return rows.filter((row) => kept.has(row));
    }
    case 'candles_late':
      return rows.filter((row) => startOf(row) + fault.ms <= now);
    case 'candles_hole':
      return rows.filter((row) => !isWithin(row, fault));
    case 'candles_corrected':
      return rows.map((row) =>
        isWithin(row, fault) ? row.with(shape.volumeAt, doubled(row[shape.volumeAt])) : row,
      );
    case 'candles_moved':
      return rows.map((row) =>
        row.map((value, index) =>
          shape.timesAt.includes(index) ? Number(value) + fault.ms / shape.unitMs : value,
        ),
      );
  }
}

/** The reply with the fault in its rows; a refusal stays what it is. */
export function faultyCandles(
  reply: VenueReply,
  { fault, shape, now }: { fault: CandleFault; shape: CandleShape | undefined; now: Millis },
): VenueReply {
  if (shape === undefined || reply.status !== 200) return reply;
  const body: unknown = JSON.parse(reply.body);
  const rows = shape.rows(body);
  if (rows === undefined) return reply;
  if (fault.type === 'candles_too_old') {
    const isTooOld = rows.some((row) => Number(row[0]) * shape.unitMs < fault.before);
    // In the members in which one or the other venue tells what is wrong.
    const refusal = { code: -1100, msg: fault.message, message: fault.message };
    return isTooOld ? { status: 400, body: JSON.stringify(refusal) } : reply;
  }
  return { ...reply, body: JSON.stringify(shape.withRows(body, faultyRows(rows, { fault, shape, now }))) };
}
