/** From a market query to its answer, which is kept for the next request with the same URL. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { MarketData, MarketQuery } from '../../market-data/market-data-api.js';
import { candleUnits } from '../../access/permit.js';
import { clientOf } from '../requests/client.js';
import type { ResponseCache } from '../response-cache/response-cache.js';
import { sendAnswer } from './json-answer.js';
import { JSON_ONLY, type MediaForm, type Presentation } from './presentation.js';

export interface MarketAnswersDeps {
  readonly marketData: MarketData;
  readonly responseCache: ResponseCache;
  readonly now: () => number;
}

interface Asked {
  readonly query: MarketQuery;
  /** Default: JSON. */
  readonly form?: MediaForm;
  readonly presentation?: Presentation;
  /** false: the answer is not what others get from the same URL. Default true. */
  readonly isCommon?: boolean;
}

export type AnswerMarket = (
  request: FastifyRequest,
  reply: FastifyReply,
  asked: Asked,
) => Promise<FastifyReply>;

/** Rejects with an AppError. */
export const createMarketAnswers =
  ({ marketData, responseCache, now }: MarketAnswersDeps): AnswerMarket =>
  async (request, reply, { query, form = 'json', presentation = JSON_ONLY, isCommon = true }) => {
    // Of an exchange that is not enabled there may be candles in the ledger.
    const { exchange } =
      query.kind === 'ohlcv'
        ? marketData.resolveStoredExchange(query.exchange)
        : marketData.resolveExchange(query.exchange);
    request.exchangeId = exchange;
    const permit = request.server.permitOf(request);
    permit.requireExchange(exchange);
    const candles = query.kind === 'ohlcv' ? { candles: query.limit, units: candleUnits(query.limit) } : null;
    if (candles !== null && request.units !== null) {
      // What costs one unit was looked at when the request came.
      if (candles.units > 1) request.server.holdUnits(request, candles.units);
      request.units = candles.units;
    }
    const { mayBackfill } = permit;
    const asked = { ...query, client: clientOf(request), mayBackfill };
    const answer = await marketData.get(asked, request.signal);
    if (isCommon)
      responseCache.remember(request, {
        ...{ answer, exchange, presentation, ...candles },
        ...(query.kind === 'ticker' ? { isLive: marketData.livenessOf(query) } : {}),
      });
    return sendAnswer(request, reply, { answer, at: now(), form, presentation });
  };
