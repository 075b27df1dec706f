/** One request of the contract, asked of a venue through CCXT and answered as finished JSON. */
import type { ExchangeId, Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { Candle, Gap, TickerStats, Trade } from '../../schemas/market.js';
import type {
  CallOptions,
  CandleEvidence,
  MarketAnswer,
  MarketRequest,
  OhlcvRequest,
} from '../exchange-client.js';
import {
  type BookFigures,
  type Receipt,
  type TickerFigures,
  begunCandles,
  hasBookSides,
  normalizeCandles,
  normalizeOrderBook,
  normalizeTicker,
  normalizeTrades,
  senselessAnswer,
} from '../normalizer.js';
import { correctedTrades, timedBook, timedTicker } from '../venues/corrections.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';
import { askedDepth } from '../venues/venue-sizes.js';
import { currentUpstreamCall } from './call-context.js';
import { type FetchPage, evidenceOf, marketIdOf, rememberPages } from './candle-pages.js';
import { collectCandles, withPagesBooked } from './candles.js';
import { isTable, member } from './ccxt-exchange.js';
import type { ReadyVenue, Venue } from './venue.js';

/** The first members of every answer. The serving thread swaps an alias in without parsing, so `exchange` comes first. */
interface AnswerHead {
  readonly exchange: ExchangeId;
  readonly symbol: UnifiedSymbol;
}

const encoder = new TextEncoder();
const finished = (value: Readonly<Record<string, unknown>>): Uint8Array =>
  encoder.encode(JSON.stringify(value));

const tickerBody = (
  { exchange, symbol }: AnswerHead,
  { bid, ask, last, timestamp, raw }: TickerFigures,
): Uint8Array => finished({ exchange, symbol, bid, ask, last, timestamp, raw });

const orderBookBody = (
  { exchange, symbol }: AnswerHead,
  { bids, asks, timestamp }: BookFigures,
): Uint8Array => finished({ exchange, symbol, bids, asks, timestamp });

const tradesBody = ({ exchange, symbol }: AnswerHead, trades: readonly Trade[]): Uint8Array =>
  finished({ exchange, symbol, trades });

/** `gaps` and `next_since` are left out where there is none. */
const ohlcvBody = (
  { exchange, symbol, interval }: AnswerHead & { readonly interval: string },
  {
    candles,
    gaps,
    nextSince,
  }: {
    readonly candles: readonly Candle[];
    readonly gaps: readonly Gap[];
    readonly nextSince: Millis | null;
  },
): Uint8Array =>
  finished({
    exchange,
    symbol,
    interval,
    candles,
    ...(gaps.length > 0 ? { gaps } : undefined),
    ...(nextSince === null ? undefined : { next_since: nextSince }),
  });

/** Envelopes around a venue's list. */
const MAX_DEPTH = 4;

/** The list in an answer that holds this very row. */
const listWith = (row: unknown, json: unknown, depth = 0): readonly unknown[] | undefined => {
  if (Array.isArray(json)) return json.includes(row) ? (json as readonly unknown[]) : undefined;
  if (!isTable(json) || depth >= MAX_DEPTH) return undefined;
  for (const value of Object.values(json)) {
    const found = listWith(row, value, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
};

/**
 * CCXT sorts trades by time and id, whose order says nothing where there are no ids or random ones: within a millisecond the
 * row's place in the venue's list does, read from whichever end is the older one.
 *
 * CCXT's trades in the order of the venue's list, oldest first; as they came where their rows are not in the answer.
 */
const inListOrder = (trades: unknown, answer: unknown): unknown => {
  if (!Array.isArray(trades) || trades.length < 2) return trades;
  const rows = listWith(member(trades[0], 'info'), answer);
  if (rows === undefined) return trades;
  const places = new Map(rows.map((row, index) => [row, index]));
  const placed = Array.from(trades, (trade: unknown) => ({
    trade,
    place: places.get(member(trade, 'info')) ?? -1,
  }));
  if (placed.some(({ place }) => place < 0)) return trades;
  const sorted = placed.sort((a, b) => a.place - b.place).map(({ trade }) => trade);
  const [first, last] = [member(sorted[0], 'timestamp'), member(sorted.at(-1), 'timestamp')];
  const oldestFirst = typeof first === 'number' && typeof last === 'number' && first < last;
  return oldestFirst ? sorted : sorted.reverse();
};

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

/** Of answers that are told by other members. */
export const NO_BODY = new Uint8Array(0);

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
  readonly stats?: TickerStats;
}

const finishTicker = (
  { exchange }: Venue,
  fetched: unknown,
  { symbol, receipt }: { readonly symbol: UnifiedSymbol; readonly receipt: Receipt },
): Finished => {
  const ticker = timedTicker(exchange, fetched, answeredJson());
  const figures = normalizeTicker(ticker, receipt);
  return { body: tickerBody({ exchange, symbol }, figures), timed: figures.timed, stats: figures.stats };
};

const answerOf = (
  { body, timed, stats }: Finished,
  { symbol, receivedAt }: { readonly symbol: UnifiedSymbol; readonly receivedAt: Millis },
): MarketAnswer => ({
  ...{ body, symbol, receivedAt, closesAt: null },
  ...(timed ? {} : { untimed: true }),
  ...(stats === undefined ? {} : { stats }),
});

/** One of CCXT's tickers as an answer. Throws where it makes no sense. */
export const tickerAnswer = (
  venue: Venue,
  fetched: unknown,
  { symbol, receivedAt }: { readonly symbol: UnifiedSymbol; readonly receivedAt: Millis },
): MarketAnswer => {
  const receipt = { exchange: venue.exchange, now: receivedAt, venueNow: venue.clock.now() };
  return answerOf(finishTicker(venue, fetched, { symbol, receipt }), { symbol, receivedAt });
};

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
      const type = symbol.includes(':') ? 'swap' : 'spot';
      const fetched = await (quirks.tickersByType
        ? ccxt.fetchTicker(symbol, { type })
        : ccxt.fetchTicker(symbol));
      return finishTicker(venue, fetched, { symbol, receipt: receiptOf(asked) });
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
  return answerOf(await finish(asked), { symbol, receivedAt: received() });
};
