/** Candles: as JSON, or as CSV for who wants a table. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { ohlcv } from '../../schemas/market.js';
import { candlesQuery, DEFAULT_CANDLES } from '../../schemas/query.js';
import { createMarketAnswers, type MarketAnswersDeps } from '../answers/market-answer.js';
import { UPSTREAM_ERRORS } from '../openapi/problem-responses.js';
import { candlePresentation, fileStem } from '../answers/presentation.js';

const SCHEMA = {
  tags: ['markets'],
  'x-market-answer': true,
  operationId: 'getOhlcv',
  summary: 'Candles',
  description: `Oldest first. Candles are never invented: what the exchange does not have is named in \`gaps\`, of CSV by
the header Data-Gaps. CSV has the columns timestamp,open,high,low,close,volume,closed, CRLF, and nothing for null.`,
  querystring: candlesQuery,
  'x-answer': ohlcv,
  'x-csv': z.string(),
  'x-errors': [...UPSTREAM_ERRORS, 'symbol_not_found', 'interval_not_supported'],
} as const;

export const candleRoutes: FastifyPluginCallbackZod<MarketAnswersDeps> = (app, options, done) => {
  const answer = createMarketAnswers(options);
  app.addHook('onRequest', options.responseCache.hook);
  app.get('/v1/markets/ohlcv', { schema: SCHEMA }, (request, reply) => {
    const { format, download, limit: asked, ...range } = request.query;
    const query = { ...range, limit: app.permitOf(request).candles(asked, DEFAULT_CANDLES) };
    const isCommon = query.limit === (asked ?? DEFAULT_CANDLES);
    const stem = download ? fileStem(query.exchange, query.symbol, query.interval) : null;
    const presentation = candlePresentation({ format, fileStem: stem });
    const form = presentation.formFor(request.headers.accept);
    if (form === null)
      throw new AppError('not_acceptable', 'This address answers with application/json or text/csv only.');
    return answer(request, reply, { query: { kind: 'ohlcv', ...query }, form, presentation, isCommon });
  });
  done();
};
