/** The candles of one series as the page knows them, and what stands where there are none. */
import type { Candle, Gap } from '../../client/client.js';
import { endOfPeriod } from '../state/periods.js';

/** A stretch without candles: from (inclusive) to (exclusive), in milliseconds since the epoch. */
export interface Hole extends Omit<Gap, 'reason'> {
  /** `unexplained`: the server has named no reason (yet). `no_values`: candles without prices. */
  readonly reason: Gap['reason'] | 'unexplained' | 'no_values';
}

export interface Priced extends Candle {
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
}

/** Whether `more` says anything that `known` does not; what a feed repeats to a new reader may be old. */
export const saysMore = (known: readonly Candle[], more: readonly Candle[]): boolean =>
  more.some(({ timestamp, close, volume }) => {
    const present = known.findLast((each) => each.timestamp === timestamp);
    return present?.close !== close || present.volume !== volume;
  });

/** A place on the time scale; without a candle it is blank. */
export interface Place {
  readonly timestamp: number;
  readonly candle: Priced | null;
}

export const isPriced = (candle: Candle): candle is Priced =>
  candle.open !== null && candle.high !== null && candle.low !== null && candle.close !== null;

/** By begin of their periods; of two of one period the one that is closed, else the later. */
export const mergeCandles = (known: readonly Candle[], more: readonly Candle[]): readonly Candle[] => {
  const last = known.at(-1);
  // Live, where all but the last candle stays as it is.
  if (known.length > 1 && last !== undefined && more.every(({ timestamp }) => timestamp >= last.timestamp))
    return [...known.slice(0, -1), ...mergeCandles([last], more)];
  const byTime = new Map(known.map((candle) => [candle.timestamp, candle]));
  for (const candle of more) {
    const present = byTime.get(candle.timestamp);
    if (present?.closed !== true || candle.closed) byTime.set(candle.timestamp, candle);
  }
  return [...byTime.values()].toSorted((a, b) => a.timestamp - b.timestamp);
};

const overlaps = (hole: Hole, from: number, to: number): boolean => hole.from < to && hole.to > from;

/** What the server has named between the first candle and the last, candles without prices, and what lies unnamed between. */
export const holesOf = (
  candles: readonly Candle[],
  gaps: readonly Gap[],
  interval: string,
): readonly Hole[] => {
  const begins = new Set(candles.map(({ timestamp }) => timestamp));
  // A server that was asked at a bad time may name as missing what it had given before, and each of two answers a part of
  // one gap.
  const holes: Hole[] = gaps.filter(
    ({ from, to }, index) =>
      !begins.has(from) &&
      !gaps.some(
        (other, at) =>
          at !== index &&
          other.from <= from &&
          other.to >= to &&
          (at < index || other.from < from || other.to > to),
      ),
  );
  for (const [index, candle] of candles.entries()) {
    const end = endOfPeriod(candle.timestamp, interval);
    if (!isPriced(candle)) holes.push({ from: candle.timestamp, to: end, reason: 'no_values' });
    const next = candles[index + 1]?.timestamp ?? end;
    if (next > end && !holes.some((hole) => overlaps(hole, end, next)))
      holes.push({ from: end, to: next, reason: 'unexplained' });
  }
  return holes.toSorted((a, b) => a.from - b.from);
};

/** Places of one chart at most: a longer hole is drawn as a single blank place. */
const MAX_BLANKS = 5000;

/** The candles, and a blank place for each period of a hole: the time scale knows only the places that it is given. */
export const placesOf = (
  candles: readonly Candle[],
  holes: readonly Hole[],
  interval: string,
): readonly Place[] => {
  const places = new Map<number, Place>();
  const begins = candles.map(({ timestamp }) => timestamp);
  const [first = 0, last = 0] = [begins[0], begins.at(-1)];
  for (const { from, to } of holes) {
    if (candles.length === 0) break;
    let blanks = 0;
    for (let at = Math.max(from, first); at < Math.min(to, last); at = endOfPeriod(at, interval)) {
      places.set(at, { timestamp: at, candle: null });
      if ((blanks += 1) >= MAX_BLANKS) break;
    }
  }
  for (const candle of candles)
    places.set(candle.timestamp, { timestamp: candle.timestamp, candle: isPriced(candle) ? candle : null });
  return [...places.values()].toSorted((a, b) => a.timestamp - b.timestamp);
};

export const REASONS: Readonly<Record<Hole['reason'], string>> = {
  no_trades: 'no trades',
  not_available_from_exchange: 'the exchange has none',
  unconfirmed: 'the exchange gave none this time',
  not_loaded_yet: 'being fetched',
  unexplained: 'no reason known',
  no_values: 'candle without prices',
};
