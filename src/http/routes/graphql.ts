/** `/graphql` over HTTP, Server-Sent Events and WebSocket, and `/schema.graphql`. */
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../errors.js';
import type { Executed, OperationRequest, Prepared } from '../../graphql/engine.js';
import { untilLoaded } from '../../lib/once.js';
import { clientOf } from '../requests/client.js';
import { introspects, operationFault, registers, requireCaller } from '../graphql/caller.js';
import {
  asServedAnswer,
  dataSourceOf,
  GRAPHQL_PRESENTATION,
  sendKept,
  sendRefusal,
  sendText,
  type FinishedForm,
} from '../graphql/answers.js';
import { formsFor, operationInUrl, operationsInBody, readOperation } from '../graphql/request.js';
import { graphqlWebSocket } from '../graphql/graphql-websocket.js';
import { loadGraphql, type GraphqlRouteOptions, type LoadedGraphql } from '../graphql/loading.js';
import { ownSource } from '../../market-data/market-data-api.js';

/** Characters of a JSON body beside its document and its variables. */
const BODY_LIMIT = 64 * 1024;

export const graphqlRoutes: FastifyPluginCallback<GraphqlRouteOptions> = (app, options, done) => {
  const { limits, charge, responseCache, limited, now, connections } = options;
  const mayOf = ({ principal }: FastifyRequest) => ({
    introspection: introspects(options.introspection, principal),
    registers: registers(principal),
  });
  const loaded = untilLoaded(() =>
    loadGraphql(options, (error) => {
      app.logBug(error);
    }),
  );
  app.addHook('onRequest', responseCache.hook);
  // What is not JSON is not read: forms and plain text could be sent by any page without asking (CSRF).
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: BODY_LIMIT * limits.batch },
    (_request, body, parsed) => {
      parsed(null, body);
    },
  );
  app.addContentTypeParser('*', (_request, _payload, parsed) => {
    parsed(
      new AppError('unsupported_media_type', 'GraphQL takes bodies of application/json only.'),
      undefined,
    );
  });

  /** What a finished answer leaves in. */
  const formOf = (request: FastifyRequest): FinishedForm => {
    const { finished, stream } = formsFor(request.headers.accept);
    if (finished !== null) return finished;
    if (stream) return 'application/json';
    throw new AppError(
      'not_acceptable',
      'This address answers with application/json, application/graphql-response+json or text/event-stream.',
    );
  };

  const refuse = (
    request: FastifyRequest,
    reply: FastifyReply,
    { engine, thrown }: { readonly engine: LoadedGraphql['engine']; readonly thrown: unknown },
  ): FastifyReply => {
    const { fault, errors } = engine.refused(thrown, request.id);
    // Before GraphQL, and those that HTTP has a status for: as everywhere else.
    if (
      fault.code === 'insufficient_scope' ||
      fault.code === 'payload_too_large' ||
      fault.status === 429 ||
      fault.status >= 500
    )
      throw fault;
    const form = formOf(request);
    return sendRefusal(request, reply, {
      fault,
      errors,
      form,
      mustFail: formsFor(request.headers.accept).streamFirst,
    });
  };

  const callerOf = (request: FastifyRequest) => ({
    client: clientOf(request),
    signal: request.signal,
    requestId: request.id,
    permit: app.permitOf(request),
  });

  const sendExecuted = (
    request: FastifyRequest,
    reply: FastifyReply,
    { executed, prepared }: { readonly executed: Executed; readonly prepared: Prepared },
  ): FastifyReply => {
    const form = formOf(request);
    const { json, kept, used } = executed;
    if (!kept || request.method !== 'GET' || form !== 'application/json')
      return sendText(reply, { json, form, source: dataSourceOf(used, connections.sandbox) });
    const answer = asServedAnswer(executed);
    // Answered by its URL, the operation would cost no more than the request.
    // The plans of callers who are known differ: what one may have, another may not.
    if (app.access === null && (!limited || prepared.units === 1))
      responseCache.remember(request, {
        answer,
        exchange: used.length === 1 ? (used[0]?.source ?? '') : 'several',
        presentation: GRAPHQL_PRESENTATION,
        isLive: () => used.some(({ isLive }) => isLive?.() === true),
      });
    return sendKept(request, reply, { answer, at: now() });
  };

  /** One operation of a request: refused, streamed, or executed. */
  const serve = async (
    request: FastifyRequest,
    reply: FastifyReply,
    asked: OperationRequest,
  ): Promise<FastifyReply> => {
    const parts = await loaded();
    const { engine, services } = parts;
    let prepared: Prepared;
    try {
      prepared = engine.prepare(asked, mayOf(request));
      const lacking = operationFault(
        request.principal,
        parts.isSubscription(prepared) ? 'subscription' : 'query',
      );
      if (lacking !== undefined) throw lacking;
      app.permitOf(request).requireCost(prepared.units);
      charge(request, prepared.units);
      if (request.units !== null) request.units = prepared.units;
    } catch (thrown) {
      return refuse(request, reply, { engine, thrown });
    }
    const { stream, streamFirst, finished } = formsFor(request.headers.accept);
    if (parts.isSubscription(prepared)) {
      try {
        if (stream) return await parts.streamSubscription(request, reply, { services, prepared });
        throw new AppError(
          'invalid_request',
          'A subscription needs WebSocket, or Accept: text/event-stream.',
        );
      } catch (thrown) {
        return refuse(request, reply, { engine, thrown });
      }
    }
    if (finished === null && !stream) formOf(request);
    const executed = await engine.execute(prepared, callerOf(request));
    if (!streamFirst) return sendExecuted(request, reply, { executed, prepared });
    return parts.streamResult(request, reply, {
      ...{ connections, json: executed.json },
      source: ownSource(connections.sandbox),
    });
  };

  /** The operations of a batch, one after the other charged, together executed; each has its own errors. */
  const serveBatch = async (
    request: FastifyRequest,
    reply: FastifyReply,
    items: readonly unknown[],
  ): Promise<FastifyReply> => {
    const { engine, isSubscription } = await loaded();
    const form = formOf(request);
    const lacking = operationFault(request.principal, 'query');
    if (lacking !== undefined) throw lacking;
    const prepared = items.map((item) => {
      try {
        const one = engine.prepare(readOperation(item), mayOf(request));
        app.permitOf(request).requireCost(one.units);
        if (!isSubscription(one)) return one;
        throw new AppError('invalid_request', 'A batch holds no subscriptions.');
      } catch (thrown) {
        return engine.refused(thrown, request.id);
      }
    });
    const units = prepared.reduce((sum, one) => sum + ('units' in one ? one.units : 1), 0);
    charge(request, units);
    if (request.units !== null) request.units = units;
    const results = await Promise.all(
      prepared.map(async (one) =>
        'units' in one
          ? (await engine.execute(one, callerOf(request))).json
          : JSON.stringify({ errors: one.errors }),
      ),
    );
    return sendText(reply, { json: `[${results.join(',')}]`, form });
  };

  const socket = graphqlWebSocket(app, options, loaded);

  app.route({
    method: 'GET',
    url: '/graphql',
    exposeHeadRoute: false,
    schema: { hide: true },
    // A WebSocket brings its credential with connection_init at the latest; whoever only asks brings it now.
    config: { webSocket: true, credentialLater: true, ticket: 'graphql' },
    async preHandler(request, reply) {
      if (request.ws) await socket.preHandler.call(app, request, reply);
      else requireCaller(app.access, request);
    },
    wsHandler: socket.wsHandler,
    handler: async (request, reply) => {
      let asked: OperationRequest;
      try {
        asked = operationInUrl(request.raw.url ?? '/');
      } catch (thrown) {
        return refuse(request, reply, { engine: (await loaded()).engine, thrown });
      }
      return serve(request, reply, asked);
    },
  });

  app.post('/graphql', { schema: { hide: true } }, async (request, reply) => {
    let read: { readonly batch: readonly unknown[] } | { readonly single: OperationRequest };
    try {
      const { batch, items } = operationsInBody(request.body, limits.batch);
      read = batch ? { batch: items } : { single: readOperation(items[0]) };
    } catch (thrown) {
      return refuse(request, reply, { engine: (await loaded()).engine, thrown });
    }
    return 'batch' in read ? serveBatch(request, reply, read.batch) : serve(request, reply, read.single);
  });

  app.get('/schema.graphql', { schema: { hide: true } }, async (_request, reply) => {
    const { engine } = await loaded();
    return reply
      .header('cache-control', 'public, max-age=3600')
      .header('content-type', 'text/plain; charset=utf-8')
      .send(engine.sdl);
  });
  done();
};
