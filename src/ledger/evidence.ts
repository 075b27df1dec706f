/** From what a venue's client hands over to pages in the ledger's words. */
import type { Candle } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import type { CandleEvidence, CandlePage } from '../exchanges/exchange-client.js';
import { parseInterval, periodEnd } from '../lib/intervals.js';
import type { PageEvidence, SeriesName, StoredCandle } from './settle.js';

const FIGURES = 6;
const figure = (value: number | undefined): number | null => {
  const given = Number(value);
  return Number.isNaN(given) ? null : given;
};

const rowsOf = ({ rows }: CandlePage): StoredCandle[] =>
  Array.from({ length: rows.length / FIGURES }, (_, index) => {
    const at = index * FIGURES;
    return {
      timestamp: Number(rows[at]),
      open: figure(rows[at + 1]),
      high: figure(rows[at + 2]),
      low: figure(rows[at + 3]),
      close: figure(rows[at + 4]),
      volume: figure(rows[at + 5]),
    };
  });

export const pagesOf = (name: SeriesName, { marketId, traits, pages }: CandleEvidence): PageEvidence[] =>
  pages.map((page) => ({
    ...{ exchange: name.exchange, symbol: name.symbol, interval: name.interval },
    marketId,
    source: 'rest',
    kind: traits.kind,
    omitsEmpty: traits.omitsEmpty,
    since: page.since,
    limit: page.limit,
    pageSize: traits.page,
    askedAt: page.askedAt,
    refused: page.refused,
    rows: rowsOf(page),
  }));

/**
 * Candles of a feed whose successor has come. A hole in a feed proves nothing, so each run of neighbours is a page of its
 * own. `receivedAt`: when the last of them came.
 */
export const feedPagesOf = (
  name: SeriesName,
  candles: readonly Candle[],
  receivedAt: Millis,
): PageEvidence[] => {
  const interval = parseInterval(name.interval);
  if (interval === undefined) return [];
  const runs: { readonly rows: Candle[]; end: Millis }[] = [];
  for (const candle of candles.filter(({ closed }) => closed)) {
    const run = runs.at(-1);
    const end = periodEnd(interval, candle.timestamp);
    if (run?.end === candle.timestamp) {
      run.rows.push(candle);
      run.end = end;
    } else runs.push({ rows: [candle], end });
  }
  return runs.map(({ rows }) => ({
    ...{ exchange: name.exchange, symbol: name.symbol, interval: name.interval },
    ...{ marketId: null, source: 'websocket', kind: 'jump', omitsEmpty: false, since: null },
    limit: rows.length,
    pageSize: rows.length,
    askedAt: receivedAt,
    rows,
  }));
};
