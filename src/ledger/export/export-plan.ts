/** What an export holds: the range, its gaps, and its candles read page by page. */
import type { Gap } from '../../schemas/market.js';
import { gapsOf } from '../answer.js';
import type { Span } from '../coverage.js';
import type { SeriesRange } from '../series-range.js';
import type { SeriesName, StoredCandle } from '../settle.js';
import type { CandleStore, SeriesInfo } from '../store.js';

const PAGE = 5_000;

export interface ExportPlan {
  readonly name: SeriesName;
  readonly series: SeriesInfo | null;
  readonly span: Span;
  readonly gaps: readonly Gap[];
  /** Candles in pages, oldest first. Rejects as the store does. */
  pages(): AsyncIterable<readonly StoredCandle[]>;
}

export const planExport = (
  store: Pick<CandleStore, 'rows'>,
  { name, series, span, coverage }: SeriesRange,
): ExportPlan => ({
  ...{ name, series, span },
  gaps: gapsOf(span, coverage, 'not_loaded_yet'),
  async *pages() {
    let { from } = span;
    while (series !== null) {
      const rows = await store.rows(series.id, { from, to: span.to }, PAGE);
      if (rows.length > 0) yield rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return;
      from = last.timestamp + 1;
    }
  },
});
