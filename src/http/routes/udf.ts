/** UDF for TradingView's libraries and OpenBB Workspace, in the protocol's own words, errors included. */
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../errors.js';
import { untilLoaded } from '../../lib/once.js';
import { candleUnits } from '../../access/permit.js';
import { sendRefusal } from '../problems/error-handler.js';
import { asAppError, toProblem } from '../problems/problem.js';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';
import { clientOf } from '../requests/client.js';
import type { UdfAnswers, UdfCaller, UdfDeps } from '../udf/answers.js';

export type UdfRoutesOptions = UdfDeps;

/** Adapters read the body alone, whatever the status: `s` tells an error there. */
const sendUdfError = (request: FastifyRequest, reply: FastifyReply, error: AppError): FastifyReply => {
  const { code, retryable, retry_after_ms, request_id } = toProblem(error, {
    url: request.raw.url ?? '/',
    requestId: request.id,
  });
  const body = { s: 'error', errmsg: error.message, code, retryable, retry_after_ms, request_id };
  return sendRefusal(request, reply, { error, type: JSON_CONTENT_TYPE, body });
};

export const udfRoutes: FastifyPluginCallback<UdfRoutesOptions> = (app, options, done) => {
  // Loaded by the first question: nobody else pays for it.
  const load = untilLoaded(async () => {
    const { UdfAnswers, udfConfig, openBbFiles } = await import('../udf/answers.js');
    return {
      answers: new UdfAnswers(options),
      config: JSON.stringify(udfConfig(options.enabled)),
      files: openBbFiles(options.enabled),
    };
  });

  app.setErrorHandler((thrown, request, reply) => {
    const error = asAppError(thrown);
    if (error.code === 'internal_error') app.logBug(error.cause ?? error, { request_id: request.id });
    return sendUdfError(request, reply, error);
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
  const sendText = (reply: FastifyReply, json: string, cacheControl: string): FastifyReply =>
    reply.header('content-type', JSON_CONTENT_TYPE).header('cache-control', cacheControl).send(json);

  const schema = { hide: true };
  app.get('/udf/config', { schema, config: { unlimited: true } }, async (_request, reply) =>
    sendText(reply, (await load()).config, `${app.answersArePrivate ? 'private' : 'public'}, max-age=60`),
  );
  app.get('/udf/time', { schema }, (_request, reply) =>
    reply
      .header('content-type', 'text/plain; charset=utf-8')
      .header('cache-control', 'no-store')
      .send(String(Math.floor(options.now() / 1000))),
  );
  const questions = {
    symbols: 'symbols',
    search: 'search',
    history: 'history',
    timescale_marks: 'marks',
    quotes: 'quotes',
  } as const satisfies Readonly<Record<string, keyof UdfAnswers>>;
  for (const [path, question] of Object.entries(questions))
    app.get(`/udf/${path}`, { schema }, async (request, reply) => {
      const { answers } = await load();
      return sendText(
        reply,
        JSON.stringify(await answers[question](request.query, callerOf(request))),
        'no-store',
      );
    });
  app.get('/udf/*', { schema }, () => {
    throw new AppError('not_found', 'There is nothing here.');
  });

  app.get('/widgets.json', { schema }, async (_request, reply) =>
    sendText(reply, JSON.stringify((await load()).files.widgets), 'public, max-age=60'),
  );
  app.get('/apps.json', { schema }, async (_request, reply) =>
    sendText(reply, JSON.stringify((await load()).files.apps), 'public, max-age=60'),
  );
  done();
};
