/** UDF for TradingView's libraries and OpenBB Workspace, in the protocol's own words, errors included. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { AppError, type ErrorCode } from '../../errors.js';
import { untilLoaded } from '../../lib/once.js';
import { candleUnits } from '../../access/permit.js';
import {
  openBbApps,
  openBbWidgets,
  udfConfig,
  udfHistory,
  udfMarks,
  udfQuotes,
  udfQuotesQuery,
  udfRangeQuery,
  udfSearchQuery,
  udfSearchResults,
  udfSymbol,
  udfSymbolQuery,
  udfTime,
} from '../../schemas/udf.js';
import { sendRefusal } from '../problems/error-handler.js';
import { asAppError } from '../problems/problem.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';
import { UPSTREAM_ERRORS } from '../openapi/problem-responses.js';
import { clientOf } from '../requests/client.js';
import type { createUdfAnswers } from '../udf/answers.js';
import type { UdfCaller, UdfDeps } from '../udf/caller.js';
import { udfErrorOf } from '../udf/udf-error.js';

const common = { tags: ['charts'], 'x-error-form': 'udf' } as const;
const aboutSymbols: readonly ErrorCode[] = [...UPSTREAM_ERRORS, 'symbol_not_found'];
const aboutBars: readonly ErrorCode[] = [...aboutSymbols, 'interval_not_supported'];

const SCHEMAS = {
  config: {
    ...common,
    operationId: 'getUdfConfig',
    summary: 'What the feed can do',
    description: 'The first question of a chart. No client limit refuses it.',
    'x-answer': udfConfig,
  },
  time: {
    ...common,
    operationId: 'getUdfTime',
    summary: "The server's time",
    description: 'In seconds, as text.',
    'x-answer': udfTime,
    'x-answer-type': 'text/plain',
  },
  symbols: {
    ...common,
    operationId: 'getUdfSymbol',
    summary: 'How a chart shows a market',
    description: 'Its price scale, its resolutions and its names.',
    querystring: udfSymbolQuery,
    'x-answer': udfSymbol,
    'x-errors': aboutSymbols,
  },
  search: {
    ...common,
    operationId: 'searchUdf',
    summary: 'Markets by a part of their names',
    description: 'Of all enabled exchanges, or of one. An exchange that fails is left out.',
    querystring: udfSearchQuery,
    'x-answer': udfSearchResults,
    'x-errors': UPSTREAM_ERRORS,
  },
  history: {
    ...common,
    operationId: 'getUdfHistory',
    summary: 'Bars of a market',
    description: 'Of `[from, to)`, or `countback` bars before `to`. Candles without prices are left out.',
    querystring: udfRangeQuery,
    'x-answer': udfHistory,
    'x-errors': aboutBars,
  },
  marks: {
    ...common,
    operationId: 'getUdfTimescaleMarks',
    summary: 'Marks where candles are missing',
    description: 'One for each stretch without candles, with the reason.',
    querystring: udfRangeQuery,
    'x-answer': udfMarks,
    'x-errors': aboutBars,
  },
  quotes: {
    ...common,
    operationId: 'getUdfQuotes',
    summary: 'Quotes of many symbols',
    description:
      'One question for each exchange; what refuses a symbol stands in its place. Counts as so many requests.',
    querystring: udfQuotesQuery,
    'x-answer': udfQuotes,
    'x-errors': ['invalid_request'],
  },
  widgets: {
    ...common,
    operationId: 'getOpenBbWidgets',
    summary: "OpenBB Workspace's list of widgets",
    description: 'A chart over /udf.',
    'x-answer': openBbWidgets,
  },
  apps: {
    ...common,
    operationId: 'getOpenBbApps',
    summary: "OpenBB Workspace's list of layouts",
    description: 'One layout, with that chart.',
    'x-answer': openBbApps,
  },
} as const;

type Answers = ReturnType<typeof createUdfAnswers>;

export const udfRoutes: FastifyPluginCallbackZod<UdfDeps> = (app, options, done) => {
  const load = untilLoaded(async () => {
    const [{ createUdfAnswers: create }, { udfConfigOf }, { openBbFiles }] = await Promise.all([
      import('../udf/answers.js'),
      import('../udf/config.js'),
      import('../udf/openbb.js'),
    ]);
    const { widgets, apps } = openBbFiles(options.enabled);
    return {
      answers: create(options),
      config: JSON.stringify(udfConfigOf(options.enabled)),
      widgets: JSON.stringify(widgets),
      apps: JSON.stringify(apps),
    };
  });

  app.setErrorHandler((thrown, request, reply) => {
    const error = asAppError(thrown);
    if (error.code === 'internal_error') app.logBug(error.cause ?? error, { request_id: request.id });
    const body = udfErrorOf(error, { url: request.raw.url ?? '/', requestId: request.id });
    return sendRefusal(request, reply, { error, type: JSON_CONTENT_TYPE, body });
  });

  const callerOf = (request: FastifyRequest): UdfCaller => {
    const permit = app.permitOf(request);
    return {
      client: clientOf(request),
      signal: request.signal,
      requireExchange: (exchange) => {
        permit.requireExchange(exchange);
      },
      candles: (wanted) => permit.candles(undefined, wanted),
      reserve: (candles) => {
        const units = candleUnits(candles);
        // What costs one unit was looked at when the request came.
        if (units > Math.max(1, request.heldUnits)) app.holdUnits(request, units - request.heldUnits);
      },
      gave: (candles) => {
        if (request.units !== null) request.units = candleUnits(candles);
      },
      countSymbols: (symbols) => {
        app.countMore(request, { more: symbols - 1, units: symbols });
        if (request.units !== null) request.units = symbols;
      },
      mayBackfill: permit.mayBackfill,
    };
  };
  const KEPT = `${app.answersArePrivate ? 'private' : 'public'}, max-age=60`;
  const asJson = { 'content-type': JSON_CONTENT_TYPE, 'cache-control': 'no-store' };
  const send = async (
    request: FastifyRequest,
    reply: FastifyReply,
    ask: (answers: Answers, caller: UdfCaller) => Promise<object>,
  ): Promise<FastifyReply> => {
    // Refusals too are not kept.
    reply.headers(asJson);
    const { answers } = await load();
    return reply.send(JSON.stringify(await ask(answers, callerOf(request))));
  };

  app.get('/udf/config', { schema: SCHEMAS.config, config: { unlimited: true } }, async (_request, reply) =>
    reply.headers({ ...asJson, 'cache-control': KEPT }).send((await load()).config),
  );
  app.get('/udf/time', { schema: SCHEMAS.time }, (_request, reply) =>
    reply
      .headers({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
      .send(String(Math.floor(options.now() / 1000))),
  );
  app.get('/udf/symbols', { schema: SCHEMAS.symbols }, (request, reply) =>
    send(request, reply, (answers, caller) => answers.symbol(request.query, caller)),
  );
  app.get('/udf/search', { schema: SCHEMAS.search }, (request, reply) =>
    send(request, reply, (answers, caller) => answers.search(request.query, caller)),
  );
  app.get('/udf/history', { schema: SCHEMAS.history }, (request, reply) =>
    send(request, reply, (answers, caller) => answers.history(request.query, caller)),
  );
  app.get('/udf/timescale_marks', { schema: SCHEMAS.marks }, (request, reply) =>
    send(request, reply, (answers, caller) => answers.marks(request.query, caller)),
  );
  app.get('/udf/quotes', { schema: SCHEMAS.quotes }, (request, reply) =>
    send(request, reply, (answers, caller) => answers.quotes(request.query, caller)),
  );
  app.get('/udf/*', { schema: { hide: true } }, () => {
    throw new AppError('not_found', 'There is nothing here.');
  });

  app.get('/widgets.json', { schema: SCHEMAS.widgets }, async (_request, reply) =>
    reply.headers({ ...asJson, 'cache-control': 'public, max-age=60' }).send((await load()).widgets),
  );
  app.get('/apps.json', { schema: SCHEMAS.apps }, async (_request, reply) =>
    reply.headers({ ...asJson, 'cache-control': 'public, max-age=60' }).send((await load()).apps),
  );
  done();
};
