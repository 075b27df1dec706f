/** Fetches one missing part of an answer from the venue and stores the pages. */
import { z } from 'zod';
import { candle } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import type { MarketAnswer, OhlcvRequest } from '../exchanges/exchange-client.js';
import { addPeriods } from '../lib/intervals.js';
import { joinCandles } from './answer.js';
import { clip, put, type Span } from './coverage.js';
import { pagesOf } from './evidence.js';
import { countIn, wantedOf, type KnownView } from './known-view.js';
import { settlePage } from './settle.js';
import type { Writer } from './writer.js';

const MAX_LIMIT = 2000;

export type AskVenue = (request: OhlcvRequest) => Promise<MarketAnswer>;

const fetchedAnswer = z.object({ candles: z.array(candle) });

/** The request for `part`. Where the candle before it is known it is asked for again: the venue may have corrected it. */
const requestOf = (view: KnownView, part: Span): OhlcvRequest => {
  const { request, name, interval, coverage } = view;
  const before = clip(coverage, { from: addPeriods(interval, part.from, -1), to: part.from });
  const overlap = before[0]?.state === 'known' ? 1 : 0;
  const since = addPeriods(interval, part.from, -overlap);
  const held = wantedOf(view).filter(({ timestamp }) => timestamp < part.from).length;
  // Of the latest candles all of the part is wanted; else what the limit leaves.
  const wanted = request.since === undefined ? MAX_LIMIT : request.limit - held + overlap;
  const limit = Math.min(MAX_LIMIT, wanted, countIn(interval, { from: since, to: part.to }));
  return {
    ...{ kind: 'ohlcv', exchange: request.exchange, symbol: name.symbol, interval: request.interval },
    since,
    limit,
    evidence: true,
  };
};

interface FetchedPart {
  readonly view: KnownView;
  readonly closesAt: Millis | null;
}

/** Rejects as `ask` does. */
export const createPartFetch =
  ({ writer, settleMs }: { readonly writer: Pick<Writer, 'add'>; readonly settleMs: Millis }) =>
  async (view: KnownView, part: Span, ask: AskVenue): Promise<FetchedPart> => {
    const answer = await ask(requestOf(view, part));
    const pages = answer.evidence === undefined ? [] : pagesOf(view.name, answer.evidence);
    for (const page of pages) void writer.add(page);
    let { coverage } = view;
    for (const page of pages) {
      const settled = settlePage({ ...page, askedAt: Math.min(page.askedAt, view.at) }, settleMs);
      coverage = put(coverage, settled?.coverage ?? []);
    }
    const { candles } = fetchedAnswer.parse(JSON.parse(Buffer.from(answer.body).toString()));
    return {
      view: {
        ...view,
        coverage,
        fetched: joinCandles(view.fetched, candles),
        tailAsked: view.tailAsked || part.to > view.settledEnd,
      },
      closesAt: answer.closesAt,
    };
  };
