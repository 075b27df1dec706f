/** The pages of an answer as the venue gave them, for who keeps candles: plain data that crosses a message port. */
import type { CandleEvidence, CandlePage, CandleTraits, PageTooOld } from '../exchange-client.js';
import type { CandleRow } from '../normalizer.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';
import type { Millis } from '../../schemas/common.js';
import type { FetchPage } from './candle-plan.js';
import { periodEnd, type Interval } from '../../lib/intervals.js';
import { oldestKept, refusalOf } from './out-of-history.js';
import { member } from './tables.js';

const FIGURES = 6;

const packed = (rows: readonly CandleRow[]): Float64Array => {
  const figures = new Float64Array(rows.length * FIGURES);
  rows.forEach(({ timestamp, open, high, low, close, volume }, index) => {
    figures.set(
      [timestamp, open ?? NaN, high ?? NaN, low ?? NaN, close ?? NaN, volume ?? NaN],
      index * FIGURES,
    );
  });
  return figures;
};

export const candleTraitsOf = (quirks: VenueQuirks): CandleTraits => ({
  page: quirks.candlePage,
  kind: quirks.onlyLatestCandles ? 'latest' : quirks.candleWindows ? 'window' : 'jump',
  omitsEmpty: quirks.omitsEmptyCandles,
});

/** Where a market's own id stands among CCXT's markets. */
export const marketIdOf = (markets: unknown, symbol: string): string | null => {
  const id = member(member(markets, symbol), 'id');
  return typeof id === 'string' ? id : null;
};

/** null: the page failed for another reason than its age. */
const tooOld = (
  thrown: unknown,
  since: Millis,
  { interval, now }: { readonly interval: Interval; readonly now: Millis },
): PageTooOld | null => {
  const refusal = refusalOf(thrown);
  if (refusal?.kind !== 'too_old') return null;
  const { count, unit } = refusal;
  const next = periodEnd(interval, since);
  if (count === null) return { to: next, told: false };
  return { to: Math.max(next, oldestKept({ count, unit }, interval, now)), told: true };
};

/** `fetchPage`, whose pages are remembered, those too that were refused as too old. `now`: the venue's clock. */
export const rememberPages = (
  fetchPage: FetchPage,
  { interval, now }: { readonly interval: Interval; readonly now: () => Millis },
): { readonly fetchPage: FetchPage; readonly pages: readonly CandlePage[] } => {
  const pages: CandlePage[] = [];
  return {
    pages,
    fetchPage: async (page) => {
      const askedAt = now();
      const asked = { since: page.since ?? null, limit: page.limit, askedAt };
      try {
        const rows = await fetchPage(page);
        pages.push({ ...asked, rows: packed(rows) });
        return rows;
      } catch (thrown) {
        const refused =
          page.since === undefined ? null : tooOld(thrown, page.since, { interval, now: askedAt });
        if (refused !== null) pages.push({ ...asked, rows: packed([]), refused });
        throw thrown;
      }
    },
  };
};

export const evidenceOf = (
  quirks: VenueQuirks,
  marketId: string | null,
  pages: readonly CandlePage[],
): CandleEvidence => ({ marketId, traits: candleTraitsOf(quirks), pages });
