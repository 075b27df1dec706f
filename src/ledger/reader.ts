/**
 * Answers candle requests from the store. Missing parts are fetched from the venue and joined; what cannot be fetched in
 * time becomes a gap.
 */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { CandleEvidence, OhlcvRequest } from '../exchanges/exchange-client.js';
import { settleWithin } from '../lib/deadline.js';
import type { Gap } from '../schemas/market.js';
import { agreedGaps, type GapReason } from './answer.js';
import { clip, missing, put, type Coverage, type Span } from './coverage.js';
import { pagesOf } from './evidence.js';
import { extentOf, hasKnown, nextPart, openSpans, storedEdges, type KnownView } from './known-view.js';
import { joinedAnswer, storedAnswer, type LedgerAnswer } from './ledger-answer.js';
import { createPartFetch, type AskVenue } from './part-fetch.js';
import { settlePage, type SeriesName } from './settle.js';
import { StoreError } from './store-error.js';
import { createStoreViews } from './store-views.js';
import type { StoreHandle } from './store-status.js';
import type { StoreTimes } from './store-times.js';
import type { Writer } from './writer.js';

/** A file answers within a millisecond. A database slower than this is skipped while the venue can be called. */
export const SHARED_READ_MS: Millis = 50;
const BUDGET_MS: Millis = 2_000;
/** Calls to the venue for one answer. */
const MAX_PARTS = 4;

export interface ReaderDeps {
  readonly handle: StoreHandle;
  readonly writer: Pick<Writer, 'add'>;
  readonly settleMs: Millis;
  readonly times: StoreTimes;
  /** How long a shared store may take while the venue can be asked instead. */
  readonly sharedReadMs: Millis;
  /** Queues jobs for what could not be fetched in time. */
  readonly queueJob: (name: SeriesName, span: Span) => Promise<void>;
  readonly now: () => Millis;
}

/** An answer's pages, and their way into the store. */
interface AnsweredPages {
  readonly evidence: CandleEvidence | undefined;
  readonly kept: Promise<void>;
}

/** `mayQueue` false: missing parts stay unknown, and no job is queued for them. Default true. */
export interface LedgerReader {
  /** From the store alone, without an upstream call; null where the range is not wholly known. */
  known(request: OhlcvRequest): Promise<LedgerAnswer | null>;
  /** null: the store knows nothing of the range. Rejects as the upstream call does. */
  load(request: OhlcvRequest, ask: AskVenue, mayQueue?: boolean): Promise<LedgerAnswer | null>;
  /** The known part, for an exchange that is not enabled; null: nothing is known. */
  partly(request: OhlcvRequest, unknown: GapReason, mayQueue?: boolean): Promise<LedgerAnswer | null>;
  /**
   * Gaps of the exchange's own answer, as coverage tells them once `kept` is; where the store is slow or fails, as the pages
   * of the answer themselves prove them.
   */
  agreed(name: SeriesName, gaps: readonly Gap[], from: AnsweredPages): Promise<readonly Gap[]>;
}

/** What the pages of one answer prove about their periods. */
const provenBy = (name: SeriesName, evidence: CandleEvidence | undefined, settleMs: Millis): Coverage[] =>
  (evidence === undefined ? [] : pagesOf(name, evidence)).reduce<Coverage[]>(
    (known, page) => put(known, settlePage(page, settleMs)?.coverage ?? []),
    [],
  );

export const createReader = (deps: ReaderDeps): LedgerReader => {
  const { handle, writer, settleMs, times, sharedReadMs, queueJob, now } = deps;
  const viewOf = createStoreViews({ handle, settleMs, times, now });
  const fetchPart = createPartFetch({ writer, settleMs });
  const budget = (): Millis => (handle.shared ? sharedReadMs : BUDGET_MS);

  const later = (view: KnownView): void => {
    const open = openSpans(view);
    const [first, last] = [open[0], open.at(-1)];
    if (first !== undefined && last !== undefined)
      void queueJob(view.name, { from: first.from, to: last.to });
  };

  return {
    async known(request) {
      const view = await viewOf(request, budget());
      if (view === null) return null;
      const { span, tail } = extentOf(view, storedEdges(view));
      const inside = clip(view.coverage, span);
      if (tail || missing(span, inside, view.at).length > 0) return null;
      // A range without a candle is an answer too: its gaps say what is proven, and what is to be asked for again.
      return inside.length > 0 ? storedAnswer(view, 'not_loaded_yet') : null;
    },
    async partly(request, unknown, mayQueue = true) {
      const view = await viewOf(request, BUDGET_MS);
      if (view === null || !hasKnown(view)) return null;
      if (unknown === 'not_loaded_yet' && mayQueue) later(view);
      return storedAnswer(view, unknown);
    },
    async agreed(name, gaps, { evidence, kept }) {
      const [first, last] = [gaps[0], gaps.at(-1)];
      if (first === undefined || last === undefined) return gaps;
      const proven = (): readonly Gap[] => agreedGaps(gaps, provenBy(name, evidence, settleMs));
      const store = handle.store();
      if (store === null) return proven();
      const read = async (): Promise<readonly Gap[]> => {
        await kept;
        const series = await store.series(name);
        if (series === null) return proven();
        const span = { from: first.from, to: last.to };
        return agreedGaps(gaps, await store.coverage(series.id, span, Number.MAX_SAFE_INTEGER));
      };
      const giveUp = (): StoreError => new StoreError('unavailable', 'The store is slow.');
      return settleWithin(read(), { ms: budget(), giveUp }).catch(proven);
    },
    async load(request, ask, mayQueue = true) {
      const found = await viewOf(request, budget());
      if (found === null || !hasKnown(found)) return null;
      let view = found;
      let closesAt: Millis | null = null;
      let asked = 0;
      let tried: Millis | null = null;
      for (let part = nextPart(view); part !== null && asked < MAX_PARTS; part = nextPart(view)) {
        // The venue's answer added nothing.
        if (part.from === tried) break;
        tried = part.from;
        try {
          const step = await fetchPart(view, part, ask);
          view = step.view;
          closesAt = step.closesAt ?? closesAt;
          asked += 1;
        } catch (thrown) {
          const error = AppError.from(thrown);
          if (error.code === 'shutting_down' || error.code === 'internal_error') throw error;
          if (mayQueue) later(view);
          return asked === 0
            ? storedAnswer(view, 'not_loaded_yet')
            : { ...joinedAnswer(view, closesAt), complete: false };
        }
      }
      if (mayQueue) later(view);
      // A concurrent request may have stored the part since the first look-up.
      return asked === 0 ? storedAnswer(view, 'not_loaded_yet') : joinedAnswer(view, closesAt);
    },
  };
};
