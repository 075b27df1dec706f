/** Finds out, once a series, whether its market's history begins within what a backfill asks for. */
import type { Millis } from '../../schemas/common.js';
import { periodStart } from '../../lib/intervals.js';
import { findListing } from '../listing.js';
import type { SeriesName } from '../settle.js';
import type { CandleStore } from '../store.js';
import type { JobPlan, Work } from './job-plan.js';
import type { PageRequests } from './page-requests.js';

export interface JobListing {
  /** true: something was learnt and stored. Rejects with AppErrors and StoreErrors. */
  learn(store: CandleStore, work: Work, plan: JobPlan): Promise<boolean>;
}

const keyOf = ({ exchange, symbol, interval }: SeriesName): string => `${exchange} ${symbol} ${interval}`;

export const createJobListing = (requests: PageRequests, now: () => Millis): JobListing => {
  const tried = new Set<string>();
  return {
    async learn(store, { name, traits, intervals }, { series, span, coverage, interval }) {
      if (traits.kind === 'latest' || (series !== null && series.firstListed !== null)) return false;
      if (tried.has(keyOf(name))) return false;
      // Windows are only looked into where one of them has come back without a candle at its beginning.
      const earliest = coverage.find(({ state }) => state === 'known')?.from;
      const doubt = coverage.find(({ state }) => state === 'suspect');
      if (
        traits.kind === 'window' &&
        (doubt === undefined || (earliest !== undefined && doubt.from > earliest))
      )
        return false;
      tried.add(keyOf(name));
      const first = await findListing(
        name,
        { traits, intervals, before: doubt?.to ?? span.to },
        requests.ask,
      );
      if (first === null) return false;
      const symbol = requests.spellingOf(name.exchange, name.symbol) ?? name.symbol;
      await store.noteListing(
        { ...name, symbol },
        { from: Math.min(span.from, first), first: periodStart(interval, first), at: now() },
      );
      return true;
    },
  };
};
