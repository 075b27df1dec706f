/** One request of the contract, asked of a venue through CCXT and answered as finished JSON. */
import type { Millis } from '../../schemas/common.js';
import {
  begunCandles,
  normalizeCandles,
  normalizeOrderBook,
  normalizeTicker,
  normalizeTrades,
  senselessAnswer,
  type Receipt,
} from '../normalizer.js';
import type {
  CallOptions,
  CandleEvidence,
  MarketAnswer,
  MarketRequest,
  OhlcvRequest,
} from '../exchange-client.js';
import { hasBookSides } from '../answer-shapes.js';
import { currentUpstreamCall } from './call-context.js';
import { ohlcvBody, orderBookBody, tickerBody, tradesBody } from './answer-body.js';
import { evidenceOf, marketIdOf, rememberPages } from './candle-evidence.js';
import type { FetchPage } from './candle-plan.js';
import { collectCandles } from './candles.js';
import { withPagesBooked } from './page-booking.js';
import { correctedTrades, timedBook, timedTicker } from '../venues/corrections.js';
import { inListOrder } from './trade-order.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';
import { askedDepth } from '../venues/venue-sizes.js';
import type { ReadyVenue, Venue } from './venue.js';

interface AskOptions extends CallOptions {
  /** Clock of the receipt. */
  readonly receivedAt: () => Millis;
}

interface Asked<Request extends MarketRequest = MarketRequest> {
  readonly venue: Venue;
  readonly ready: ReadyVenue;
  readonly request: Request;
  readonly receivedAt: () => Millis;
}

const NO_BODY = new Uint8Array(0);

const receiptOf = ({ venue, receivedAt }: Asked): Receipt => ({
  exchange: venue.exchange,
  now: receivedAt(),
  venueNow: venue.clock.now(),
});

const answerCandles = async (asked: Asked<OhlcvRequest>): Promise<MarketAnswer> => {
  const { venue, ready, request, receivedAt } = asked;
  const { exchange, clock } = venue;
  const { symbol, interval: text, since, until, limit } = request;
  const interval = await venue.requireInterval(text);
  const askVenue: FetchPage = async (page) => {
    const rows = await ready.ccxt.fetchOHLCV(symbol, text, page.since, page.limit);
    const receipt = receiptOf(asked);
    const given = normalizeCandles(rows, receipt);
    const begun = begunCandles(given, receipt, interval.ms);
    if (begun.length === 0 && given.length > 0) throw senselessAnswer(exchange);
    return begun;
  };
  const quirks = venue.quirksOf(ready.ccxt, symbol);
  const series = { symbol, interval: text };
  const asPromised = { interval, since, until, limit, quirks, now: () => clock.now() };
  const plan = venue.pages.refine(series, asPromised);
  const remembered =
    request.evidence === true ? rememberPages(askVenue, { interval, now: () => clock.now() }) : null;
  const fetchPage = remembered?.fetchPage ?? askVenue;
  const evidence = (): CandleEvidence | undefined =>
    remembered === null
      ? undefined
      : evidenceOf(plan.quirks, marketIdOf(ready.ccxt.markets, symbol), remembered.pages);
  if (request.onePage === true) {
    await fetchPage({ since, limit: Math.min(limit, plan.quirks.candlePage) }).catch((thrown: unknown) => {
      // A refusal is evidence too: of what the venue does not keep.
      if (remembered?.pages.at(-1)?.refused === undefined) throw thrown;
    });
    return { body: NO_BODY, symbol, receivedAt: receivedAt(), closesAt: null, evidence: evidence() };
  }
  const collected = await withPagesBooked(venue, plan, () => collectCandles(plan, fetchPage));
  const { closesAt, gaps } = collected;
  venue.noteInterval(collected.interval);
  venue.pages.note(series, collected.traits);
  return {
    body: ohlcvBody({ exchange, symbol, interval: text }, collected),
    symbol,
    receivedAt: receivedAt(),
    closesAt: closesAt === null ? null : clock.toLocal(closesAt),
    mayHeal: gaps.some(({ reason }) => reason === 'unconfirmed'),
    evidence: evidence(),
  };
};

/** What the venue last answered in this call, as JSON. */
const answeredJson = (): unknown => currentUpstreamCall()?.answered?.json;

/** Whether an answer without levels is an empty book. */
const isEmptyBook = (json: unknown, { booksAreLists }: VenueQuirks): boolean =>
  hasBookSides(json) || (booksAreLists && Array.isArray(json) && json.length === 0);

interface Finished {
  readonly body: Uint8Array;
  /** The venue gave a time. */
  readonly timed: boolean;
}

const finish = async (
  asked: Asked & { readonly request: Exclude<MarketRequest, OhlcvRequest> },
): Promise<Finished> => {
  const { venue, ready, request } = asked;
  const { ccxt } = ready;
  const { symbol } = request;
  const quirks = venue.quirksOf(ccxt, symbol);
  const head = { exchange: venue.exchange, symbol };
  switch (request.kind) {
    case 'ticker': {
      const fetched = await ccxt.fetchTicker(symbol);
      const ticker = timedTicker(venue.exchange, fetched, answeredJson());
      const figures = normalizeTicker(ticker, receiptOf(asked));
      return { body: tickerBody(head, figures), timed: figures.timed };
    }
    case 'orderbook': {
      const fetched = await ccxt.fetchOrderBook(symbol, askedDepth(quirks, request.limit));
      const dated = timedBook(venue.exchange, fetched, answeredJson());
      const book = normalizeOrderBook(dated, receiptOf(asked), request.limit);
      // CCXT makes an empty book of anything without levels.
      if (book.bids.length + book.asks.length === 0 && !isEmptyBook(answeredJson(), quirks))
        throw senselessAnswer(venue.exchange);
      return { body: orderBookBody(head, book), timed: book.timed };
    }
    case 'trades': {
      const most = Math.min(request.limit, quirks.maxTrades);
      const fetched = await ccxt.fetchTrades(symbol, undefined, most);
      const trades = correctedTrades(venue.exchange, inListOrder(fetched, answeredJson()));
      const latest = normalizeTrades(trades, receiptOf(asked)).slice(-request.limit);
      return { body: tradesBody(head, latest), timed: true };
    }
  }
};

/**
 * Checks what can be checked without the venue, resolves the symbol among its own, asks, and answers. Rejects with
 * AppErrors and with whatever CCXT throws.
 */
export const answerRequest = async (
  venue: Venue,
  request: MarketRequest,
  { receivedAt, ...options }: AskOptions,
): Promise<MarketAnswer> => {
  await venue.requireMethod(request.kind, 'fetch');
  if (request.kind === 'ohlcv') await venue.requireInterval(request.interval);
  const { symbol, ...ready } = await venue.readyFor(request.symbol, options);
  if (request.kind === 'ohlcv')
    return answerCandles({ venue, ready, receivedAt, request: { ...request, symbol } });
  // One moment of receipt, for the answer and for what in it has no time of its own.
  let at: Millis | undefined;
  const received = (): Millis => (at ??= receivedAt());
  const asked = { venue, ready, receivedAt: received, request: { ...request, symbol } };
  const { body, timed } = await finish(asked);
  return { body, symbol, receivedAt: received(), closesAt: null, ...(timed ? {} : { untimed: true }) };
};
