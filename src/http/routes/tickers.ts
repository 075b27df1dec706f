/** Tickers of many symbols in one answer: what is known of each, and why nothing is known of the others. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { etagOf } from '../../cache/etag.js';
import {
  ownSource,
  type CacheState,
  type ManyTickers,
  type MarketData,
  type ServedAnswer,
} from '../../market-data/market-data-api.js';
import { isVenueFault } from '../../market-data/request-faults.js';
import { tickers } from '../../schemas/market.js';
import { tickersQuery } from '../../schemas/query.js';
import { requireJson, sendAnswer } from '../answers/json-answer.js';
import { UPSTREAM_ERRORS } from '../openapi/problem-responses.js';
import { clientOf } from '../requests/client.js';

export interface TickersRouteOptions {
  readonly marketData: Pick<MarketData, 'resolveExchange'> & ManyTickers;
  readonly sandbox: boolean;
  readonly now: () => number;
}

const SCHEMA = {
  tags: ['markets'],
  'x-market-answer': true,
  operationId: 'getTickers',
  summary: 'Tickers of many symbols',
  description: `Each as /v1/markets/ticker has it, in the order asked; what could not be had is named in \`errors\`. One request to
the venue where it has one for that. Counts as so many requests as there are symbols.`,
  querystring: tickersQuery,
  'x-answer': tickers,
  'x-errors': UPSTREAM_ERRORS,
} as const;

/** The first that is among the answers names the whole. */
const STATES: readonly CacheState[] = ['STALE', 'MISS', 'HIT', 'STORE', 'LIVE'];

const COMMA = Buffer.from(',');
const joined = (bodies: readonly Buffer[]): Buffer[] =>
  bodies.flatMap((body, index) => (index === 0 ? [body] : [COMMA, body]));

export const tickersRoutes: FastifyPluginCallbackZod<TickersRouteOptions> = (app, options, done) => {
  const { marketData, sandbox, now } = options;
  app.addHook('onRequest', requireJson);

  /** Headers that are true for all: those of the oldest. */
  const together = (
    found: readonly ServedAnswer[],
    isWhole: boolean,
  ): Omit<ServedAnswer, 'body' | 'etag'> => {
    const at = now();
    const [oldest] = [...found].sort((a, b) => a.receivedAt - b.receivedAt);
    if (oldest === undefined)
      return { cache: 'MISS', receivedAt: at, freshUntil: at, source: ownSource(sandbox) };
    return {
      cache: STATES.find((state) => found.some(({ cache }) => cache === state)) ?? 'MISS',
      receivedAt: oldest.receivedAt,
      freshUntil: isWhole ? Math.min(...found.map(({ freshUntil }) => freshUntil)) : oldest.receivedAt,
      source: oldest.source,
    };
  };

  app.get('/v1/markets/tickers', { schema: SCHEMA }, async (request, reply) => {
    const { symbols } = request.query;
    const { name, exchange } = marketData.resolveExchange(request.query.exchange);
    request.exchangeId = exchange;
    app.permitOf(request).requireExchange(exchange);
    app.countMore(request, { more: symbols.length - 1, units: symbols.length });
    if (request.units !== null) request.units = symbols.length;
    const asked = { ...request.query, client: clientOf(request) };
    const found = await marketData.tickers(asked, request.signal);
    const [first] = found.errors;
    // Nothing at all, and not for what was asked: an answer that says so by its status.
    if (
      found.tickers.length === 0 &&
      first !== undefined &&
      found.errors.every(({ error }) => isVenueFault(error))
    )
      throw first.error;
    const errors = found.errors.map(({ symbol, error }) => ({
      symbol,
      code: error.code,
      detail: error.message,
    }));
    const body = Buffer.concat([
      Buffer.from(`{"exchange":${JSON.stringify(name)},"tickers":[`),
      ...joined(found.tickers.map((each) => each.body)),
      Buffer.from(`],"errors":${JSON.stringify(errors)}}`),
    ]);
    const answer = { body, etag: etagOf(body), ...together(found.tickers, errors.length === 0) };
    return sendAnswer(request, reply, { answer, at: now() });
  });
  done();
};
