/** Live streams: SSE, WebSocket, and the document that describes them. */
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { UPSTREAM_ERRORS } from '../openapi/problem-responses.js';
import { toProblem } from '../problem-answer.js';
import { eventStreamHeaders, lastEventIdOf, openEventStream, requireEventStream } from '../sse.js';
import { textOf, webSocketRoute, WebSocketPeer } from '../websocket.js';
import { asyncApiDocument } from '../../schemas/asyncapi.js';
import { tickerStreamQuery } from '../../schemas/query.js';
import { Allowance } from '../../streams/clients/allowance.js';
import { readInput } from '../../streams/clients/invalid-input.js';
import { CLOSE } from '../../streams/clients/peer.js';
import { Session } from '../../streams/clients/session.js';
import { openTickerStream, type TickerStreamServices } from '../../streams/clients/ticker-stream.js';

export interface StreamRouteOptions extends TickerStreamServices {
  /** Of the server, for its AsyncAPI document. */
  readonly version: string;
  readonly now: () => number;
  /** The clock of durations; nobody sets it. */
  readonly monotonic: () => number;
}

const noQuery = z.strictObject({});

/** The schema documents the route; the handler reads the query itself, for an answer that names every fault. */
const tickerStreamRoute = {
  url: '/v1/stream/ticker',
  config: { longLived: true },
  schema: {
    tags: ['streams'],
    operationId: 'streamTicker',
    summary: 'Live ticker as Server-Sent Events',
    description: `The latest ticker at once, then one event whenever \`last\` has moved by the threshold; heartbeats, and a
status event whenever the feed's state changes. \`/asyncapi.json\` describes the events.`,
    'x-answer': z.string(),
    'x-errors': [...UPSTREAM_ERRORS, 'symbol_not_found' as const],
    querystring: tickerStreamQuery,
    produces: ['text/event-stream'],
  },
  validatorCompiler: () => (value: unknown) => ({ value }),
};

export const streamRoutes: FastifyPluginCallback<StreamRouteOptions> = (app, options, done) => {
  const { hub, marketData, connections, now, monotonic, version } = options;
  const sourceOf = (exchange: string): string => (connections.sandbox ? 'sandbox' : exchange);

  const openTicker = (kind: 'sse' | 'websocket', request: FastifyRequest) => {
    const query = readInput(tickerStreamQuery, request.query);
    request.exchangeId = marketData.resolveExchange(query.exchange).exchange;
    return openTickerStream(options, {
      kind,
      socket: request.raw.socket,
      ...query,
      lastEventId: lastEventIdOf(request),
    });
  };

  app.route({
    method: 'GET',
    exposeHeadRoute: false,
    ...tickerStreamRoute,
    handler: async (request, reply) => {
      requireEventStream(request);
      const stream = await openTicker('sse', request);
      stream.start(() => openEventStream(request, reply, sourceOf(stream.exchange)));
      return reply.hijack();
    },
  });

  app.route({
    method: 'HEAD',
    ...tickerStreamRoute,
    schema: { hide: true },
    config: {},
    // Everything that GET does but the stream: what GET would refuse is refused here, for the same reason.
    handler: async (request, reply) => {
      requireEventStream(request);
      const { connection, exchange } = await openTicker('sse', request);
      connection.abandon();
      request.exchangeId = exchange;
      return reply.headers(Object.fromEntries(eventStreamHeaders(request, sourceOf(exchange)))).send();
    },
  });

  app.route({
    url: '/ws/ticker',
    schema: { hide: true },
    config: { longLived: true, webSocket: true },
    ...webSocketRoute({
      prepare: async (request) => openTicker('websocket', request),
      begin(socket, { connection, start }) {
        const allowance = new Allowance(monotonic());
        socket.on('pong', () => connection.pong());
        socket.on('message', () => {
          if (allowance.strike()) connection.close(CLOSE.policy, 'This stream takes no messages; /ws does.');
        });
        start(() => new WebSocketPeer(socket));
      },
    }),
  });

  app.route({
    url: '/ws',
    schema: { hide: true },
    config: { longLived: true, webSocket: true },
    ...webSocketRoute({
      prepare(request) {
        readInput(noQuery, request.query);
        return connections.admit('websocket', request.raw.socket);
      },
      begin(socket, connection, context) {
        const { sandbox } = connections;
        const problemOf = (error: Parameters<typeof toProblem>[0]) => toProblem(error, context);
        const session = new Session({
          connection,
          hub,
          marketData,
          sandbox,
          now,
          monotonic,
          toProblem: problemOf,
        });
        socket.on('pong', () => connection.pong());
        socket.on('message', (data, isBinary) => session.receive(textOf(data, isBinary)));
        connection.attach(() => new WebSocketPeer(socket));
      },
    }),
  });

  const document = JSON.stringify(asyncApiDocument({ version }));
  app.get('/asyncapi.json', { schema: { hide: true } }, (_request, reply) => {
    void reply.type('application/json; charset=utf-8').send(document);
  });
  done();
};
