/** The pages of an answer as the venue gave them, for who keeps candles: plain data that crosses a message port. */
import type { CandleEvidence, CandlePage, CandleTraits } from '../exchange-client.js';
import type { CandleRow } from '../normalizer.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';
import type { Millis } from '../../schemas/common.js';
import type { FetchPage } from './candle-plan.js';
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

/** `fetchPage`, whose pages are remembered. `now`: the venue's clock. */
export const rememberPages = (
  fetchPage: FetchPage,
  now: () => Millis,
): { readonly fetchPage: FetchPage; readonly pages: readonly CandlePage[] } => {
  const pages: CandlePage[] = [];
  return {
    pages,
    fetchPage: async (page) => {
      const askedAt = now();
      const rows = await fetchPage(page);
      pages.push({ since: page.since ?? null, limit: page.limit, askedAt, rows: packed(rows) });
      return rows;
    },
  };
};

export const evidenceOf = (
  quirks: VenueQuirks,
  marketId: string | null,
  pages: readonly CandlePage[],
): CandleEvidence => ({ marketId, traits: candleTraitsOf(quirks), pages });
