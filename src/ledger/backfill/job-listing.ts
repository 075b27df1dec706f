/** Finds out whether a market's history begins within what a backfill asks for; once a series where that can be told. */
import { AppError, type ErrorCode } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import { parseInterval, periodStart } from '../../lib/intervals.js';
import { findListing, type Listing } from '../listing.js';
import { anchorOf, type SeriesName } from '../settle.js';
import type { CandleStore } from '../store.js';
import type { JobPlan, Work } from './job-plan.js';
import type { PageRequests } from './page-requests.js';

export interface JobListing {
  /** true: something was learnt and stored. Rejects with AppErrors and StoreErrors. */
  learn(store: CandleStore, work: Work, plan: JobPlan): Promise<boolean>;
}

/** Codes with which a venue refuses a start that is too early. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['upstream_error', 'invalid_request']);

const keyOf = ({ exchange, symbol, interval }: SeriesName): string => `${exchange} ${symbol} ${interval}`;

export const createJobListing = (requests: PageRequests, now: () => Millis): JobListing => {
  /** By series: nothing is to be learnt of what lies after this instant. */
  const searched = new Map<string, Millis>();

  const search = async ({ name, traits, intervals }: Work, before: Millis): Promise<Listing> => {
    try {
      return await findListing(name, { traits, intervals, before }, requests.ask);
    } catch (thrown) {
      if (thrown instanceof AppError && REFUSALS.has(thrown.code)) return { kind: 'unknown' };
      throw thrown;
    }
  };

  return {
    async learn(store, work, { series, span, coverage, interval }) {
      const { name, traits } = work;
      if (traits.kind === 'latest' || (series !== null && series.firstListed !== null)) return false;
      const until = searched.get(keyOf(name)) ?? Infinity;
      if (until === -Infinity) return false;
      let before = span.to;
      if (traits.kind === 'window') {
        // Looked into only where nothing came at the beginning of what is known, which may be the listing.
        const earliest = coverage.find(({ state }) => state === 'known')?.from ?? Infinity;
        const doubt = coverage.find(({ state }) => state === 'suspect');
        if (doubt === undefined || doubt.from > Math.min(earliest, until)) return false;
        before = doubt.to;
      }
      const listing = await search(work, before);
      searched.set(keyOf(name), listing.kind === 'older' ? listing.than : -Infinity);
      if (listing.kind !== 'found') return false;
      const { first } = listing;
      const shown = traits.kind === 'jump' ? anchorOf(parseInterval(name.interval) ?? interval, first) : null;
      await store.noteListing(
        { ...name, symbol: requests.spellingOf(name.exchange, name.symbol) ?? name.symbol },
        {
          from: Math.min(span.from, first),
          first: periodStart(interval, first),
          at: now(),
          anchor: series?.anchor ?? shown,
        },
      );
      return true;
    },
  };
};
