/** Candles where they are kept: a load by way of the ledger, and its answers as entries of the cache. */
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';
import type { OhlcvRequest, ExchangeClient, MarketAnswer } from '../exchanges/exchange-client.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { LedgerAnswer } from '../ledger/ledger-answer.js';
import type { LedgerReader } from '../ledger/reader.js';
import type { Millis } from '../schemas/common.js';
import { ohlcv } from '../schemas/market.js';
import { venueSource } from './market-data-api.js';
import { freshnessOf, type FreshnessSettings } from './freshness.js';
import { AppError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { isVenueFault } from './request-faults.js';

interface EntryMaking {
  readonly ttl: FreshnessSettings;
  readonly sandbox: boolean;
  readonly now: () => Millis;
}

/** What is stored is as true in five minutes as it is now, however long ago it was checked. */
export const entryOfLedger = (
  request: OhlcvRequest,
  { body, receivedAt, closesAt, complete, via }: LedgerAnswer,
  { ttl, sandbox, now }: EntryMaking,
): CacheEntry => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const life = freshnessOf(request, { receivedAt: now(), closesAt }, ttl);
  return {
    body: bytes,
    etag: etagOf(bytes),
    receivedAt,
    closesAt,
    source: venueSource(request.exchange, via, sandbox),
    ...(complete ? life : { freshUntil: receivedAt, staleUntil: receivedAt }),
  };
};

/** One look into the store for all who ask the same at once. */
export const createKnownAnswers = (
  ledger: LedgerReader,
): ((key: string, request: OhlcvRequest) => Promise<LedgerAnswer | null>) => {
  const flights = createSingleFlight<LedgerAnswer | null>();
  return (key, request) => {
    // The latest candles are never all settled.
    if (request.since === undefined && request.until === undefined) return Promise.resolve(null);
    return flights.run(key, () => ledger.known(request));
  };
};

/** What a load needs of the candle ledger. */
export type LedgerForLoads = Pick<Ledger, 'load' | 'partly' | 'record' | 'agreed'>;

/** Asks the venue for all that the caller wants, or a part of it. Rejects with an AppError. */
type Ask = (request: OhlcvRequest) => Promise<MarketAnswer>;

/** `shared`: others may have it too, for as long as it is fresh. */
export type CandleLoaded =
  | { readonly request: OhlcvRequest; readonly known: LedgerAnswer; readonly shared: boolean }
  | { readonly answer: MarketAnswer };

const behindCandles = ohlcv.pick({ next_since: true }).extend({ gaps: ohlcv.shape.gaps.unwrap() });

/** Candles that a venue gives at once where the number is not known. */
const LIKELY_PAGE = 100;

/** More pages are asked for than the budget can ever admit. */
const isTooLong = ({ code, errors }: AppError): boolean =>
  code === 'invalid_request' && errors?.[0]?.parameter === 'limit';

export const createCandleLoad = (ledger: LedgerForLoads, exchanges: Pick<ExchangeClient, 'describe'>) => {
  /** The answer, and the writing of its candles into the ledger. */
  const askAndKeep = async (request: OhlcvRequest, ask: Ask) => {
    const answer = await ask({ ...request, evidence: true });
    const { evidence, symbol } = answer;
    const { exchange, interval } = request;
    const kept =
      evidence === undefined ? Promise.resolve() : ledger.record({ exchange, symbol, interval }, evidence);
    return { answer, kept };
  };

  /**
   * What is missing has the reason that coverage gives it. The caller waits for the candles to be kept only where something
   * is missing.
   */
  const withAgreedGaps = async (
    { exchange, interval }: OhlcvRequest,
    answer: MarketAnswer,
    kept: Promise<void>,
  ): Promise<MarketAnswer> => {
    const text = Buffer.from(answer.body).toString();
    // Behind the candles, which need not be parsed for it.
    const at = text.lastIndexOf('"gaps":');
    if (at < 0) return answer;
    const behind = behindCandles.parse(JSON.parse(`{${text.slice(at)}`));
    const gaps = await ledger.agreed({ exchange, symbol: answer.symbol, interval }, behind.gaps, {
      evidence: answer.evidence,
      kept,
    });
    const body = Buffer.from(
      text.slice(0, at) + JSON.stringify({ gaps, next_since: behind.next_since }).slice(1),
    );
    return { ...answer, body, mayHeal: gaps.some(({ reason }) => reason === 'unconfirmed') };
  };

  /** As many candles as the budget admits, so that there is something to answer. */
  const keepWhatFits = async (request: OhlcvRequest, ask: Ask): Promise<void> => {
    const { candles } = await exchanges.describe(request.exchange);
    const traits = request.symbol.includes(':') ? candles?.contract : candles?.spot;
    const limit = Math.min(request.limit, traits?.page ?? LIKELY_PAGE);
    const { kept } = await askAndKeep({ ...request, limit }, ask);
    await kept;
  };

  /** What the ledger knows, however slow it is; null: nothing, or the caller is at fault. */
  const afterFault = async (
    request: OhlcvRequest,
    { ask, error, mayQueue }: { readonly ask: Ask; readonly error: AppError; readonly mayQueue: boolean },
  ): Promise<LedgerAnswer | null> => {
    if (isTooLong(error)) await keepWhatFits(request, ask);
    else if (!isVenueFault(error)) return null;
    return ledger.partly(request, 'not_loaded_yet', mayQueue);
  };

  /** Rejects with what `ask` rejects with, where the ledger knows nothing. */
  return async (request: OhlcvRequest, ask: Ask, mayQueue: boolean): Promise<CandleLoaded> => {
    const known = await ledger.load(request, ask, mayQueue);
    if (known !== null) return { request, known, shared: known.complete };
    try {
      const { answer, kept } = await askAndKeep(request, ask);
      return { answer: await withAgreedGaps(request, answer, kept) };
    } catch (thrown) {
      const rest = await afterFault(request, { ask, error: AppError.from(thrown), mayQueue });
      if (rest === null) throw thrown;
      return { request, known: rest, shared: false };
    }
  };
};
