/** Which candles are wanted, and of which venue. */
import type { Millis } from '../../schemas/common.js';
import type { Interval } from '../../lib/intervals.js';
import type { CandleRow } from '../normalizer.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';

interface CandleRange {
  readonly interval: Interval;
  /** First candle wanted; undefined: the latest `limit` before `until`. */
  readonly since: Millis | undefined;
  /** Candles that start here or later are not wanted; undefined: up to now. */
  readonly until?: Millis | undefined;
  readonly limit: number;
}

/** One call to the venue: rows sorted and unique. `since` undefined: its latest rows. */
export type FetchPage = (page: {
  readonly since: Millis | undefined;
  readonly limit: number;
}) => Promise<CandleRow[]>;

export interface CandlePlan extends CandleRange {
  readonly quirks: VenueQuirks;
  /** Its pages are known to be the latest rows, whatever start is asked for. */
  readonly wholePages?: boolean;
  /** The venue's clock. */
  readonly now: () => Millis;
}
