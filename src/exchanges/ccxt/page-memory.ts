/** What answers have proven of a venue's pages of candles, so that the next call need not find it out once more. */
import type { UnifiedSymbol } from '../../schemas/common.js';
import type { CandlePlan } from './candle-plan.js';

export interface PageTraits {
  /** Rows a page, where they are fewer than the venue promises. */
  readonly rows?: number | undefined;
  /** It gives its latest rows whatever start is asked for: only a whole page reaches back to it. */
  readonly latestOnly?: true | undefined;
}

/** No venue promises pages and gives fewer rows than these: such a page was a slip, and is not held against it. */
const LEAST_ROWS = 50;

interface Series {
  readonly symbol: UnifiedSymbol;
  readonly interval: string;
}

/** Of one venue: by interval, for spot markets and derivatives apart, which have endpoints of their own. */
export class PageMemory {
  readonly #known = new Map<string, PageTraits>();

  #keyOf({ symbol, interval }: Series): string {
    return `${interval} ${symbol.includes(':') ? 'contract' : 'spot'}`;
  }

  note(series: Series, traits: PageTraits): void {
    const { rows = 0, latestOnly } = traits;
    const proven: PageTraits = {
      ...(rows >= LEAST_ROWS ? { rows } : {}),
      ...(latestOnly === true ? { latestOnly } : {}),
    };
    const key = this.#keyOf(series);
    if (Object.keys(proven).length > 0) this.#known.set(key, { ...this.#known.get(key), ...proven });
  }

  /** The plan as the venue's pages have shown themselves. */
  refine(series: Series, plan: CandlePlan): CandlePlan {
    const traits = this.#known.get(this.#keyOf(series));
    if (traits === undefined) return plan;
    const { rows = Infinity, latestOnly = false } = traits;
    const candlePage = Math.min(plan.quirks.candlePage, rows);
    return { ...plan, quirks: { ...plan.quirks, candlePage }, wholePages: latestOnly };
  }
}
