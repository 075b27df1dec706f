/** Live streams: SSE and WebSocket. */
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { Principal } from '../../access/principal.js';
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { UPSTREAM_ERRORS } from '../openapi/problem-responses.js';
import { toProblem } from '../problems/problem.js';
import { clientOf } from '../requests/client.js';
import {
  eventStreamHeaders,
  type EventStreamHead,
  lastEventIdOf,
  openEventStream,
  requireEventStream,
} from '../streams/sse.js';
import { createSocketAuth } from '../access/socket-auth.js';
import type { LimitedStream, StreamLimits } from '../limits/stream-limits.js';
import { endWithPrincipal } from '../access/credential-end.js';
import { textOf, webSocketRoute, WebSocketPeer } from '../streams/websocket.js';
import { readInput } from '../../invalid-input.js';
import { venueSource } from '../../market-data/market-data-api.js';
import { ticketQuery, tickerStreamQuery } from '../../schemas/query.js';
import { Allowance, keepAliveOf, pingReply, readObject } from '../../streams/clients/client-messages.js';
import { CLOSE, type Connection } from '../../streams/clients/connection.js';
import { createSubscriptionSlots } from '../../streams/clients/subscriptions.js';
import type { HealthFeed } from '../../streams/clients/health-feed.js';
import { Session } from '../../streams/clients/session.js';
import {
  openTickerStream,
  type TickerStream,
  type TickerStreamServices,
} from '../../streams/clients/ticker-stream.js';

export interface StreamRouteOptions extends TickerStreamServices {
  readonly limits: StreamLimits;
  readonly health: HealthFeed;
  readonly now: () => number;
  /** A monotonic clock. */
  readonly monotonic: () => number;
  /** From the upgrade of /ws to its credential, in milliseconds; default 5,000. */
  readonly authWithinMs?: number | undefined;
}

type TickerStreamQuery = z.output<typeof tickerStreamQuery>;

const tickerStreamRoute = {
  url: '/v1/stream/ticker',
  config: { longLived: true, units: 0, ticket: 'sse' as const },
  schema: {
    tags: ['streams'],
    operationId: 'streamTicker',
    summary: 'Live ticker as Server-Sent Events',
    description: `The latest ticker at once, then one event whenever \`last\` has moved by the threshold; heartbeats, and a
status event whenever the feed's state changes. \`/asyncapi.json\` describes the events.`,
    'x-answer': z.string(),
    'x-errors': [...UPSTREAM_ERRORS, 'symbol_not_found' as const, 'stream_limit_reached' as const],
    querystring: tickerStreamQuery,
    produces: ['text/event-stream'],
  },
};

export const streamRoutes: FastifyPluginCallback<StreamRouteOptions> = (app, options, done) => {
  const { hub, marketData, connections, limits, health, now, monotonic } = options;
  const slots = createSubscriptionSlots();
  const socketAuth = app.access === null ? null : createSocketAuth(app.access, options.authWithinMs);
  const headOf = ({ exchange, via, resumedAfter }: TickerStream): EventStreamHead => ({
    source: venueSource(exchange, via, connections.sandbox),
    resumedAfter,
  });

  const openTicker = async (
    kind: 'sse' | 'websocket',
    request: FastifyRequest,
    query: TickerStreamQuery,
  ): Promise<TickerStream & { readonly limited: LimitedStream }> => {
    const { exchange } = marketData.resolveExchange(query.exchange);
    request.exchangeId = exchange;
    const limited = limits.open({ client: clientOf(request), socket: request.raw.socket }, request.principal);
    try {
      const began = limited.openTopic(exchange, query.symbol);
      await limited.confirmed();
      const stream = await openTickerStream(options, {
        kind,
        socket: request.raw.socket,
        client: clientOf(request),
        ...query,
        lastEventId: lastEventIdOf(request) ?? query.last_event_id,
      });
      began();
      return { ...stream, limited };
    } catch (error) {
      limited.end();
      throw error;
    }
  };

  /** To be called once the stream has begun: its end must reach the client. */
  const endWithCaller = (request: FastifyRequest, connection: Connection): void => {
    endWithPrincipal(request.principal, {
      connection,
      socket: request.raw.socket,
      context: { url: request.raw.url ?? '/', requestId: request.id },
      sandbox: connections.sandbox,
      now,
    });
  };

  app.route<{ Querystring: TickerStreamQuery }>({
    method: 'GET',
    exposeHeadRoute: false,
    ...tickerStreamRoute,
    handler: async (request, reply) => {
      requireEventStream(request);
      const stream = await openTicker('sse', request, request.query);
      stream.start(() => openEventStream(request, reply, headOf(stream)));
      endWithCaller(request, stream.connection);
      reply.raw.once('close', () => stream.limited.end());
      return reply.hijack();
    },
  });

  app.route<{ Querystring: TickerStreamQuery }>({
    method: 'HEAD',
    ...tickerStreamRoute,
    schema: { querystring: tickerStreamQuery, hide: true },
    config: { units: 0, ticket: 'sse' },
    // Everything that GET does but the stream: what GET would refuse is refused here, for the same reason.
    handler: async (request, reply) => {
      requireEventStream(request);
      const stream = await openTicker('sse', request, request.query);
      stream.connection.abandon();
      stream.limited.end();
      return reply.headers(Object.fromEntries(eventStreamHeaders(request, headOf(stream)))).send();
    },
  });

  app.route({
    url: '/ws/ticker',
    schema: { hide: true },
    config: { longLived: true, units: 0, webSocket: true, ticket: 'ws' },
    ...webSocketRoute({
      sandbox: connections.sandbox,
      // A page cannot read the answer to a refused upgrade: what is wrong with its request is told after it.
      async prepare(request) {
        try {
          const query = readInput(tickerStreamQuery, request.query, 'query');
          const stream = await openTicker('websocket', request, query);
          return { ...stream, endWithCaller: () => endWithCaller(request, stream.connection) };
        } catch (thrown) {
          const error = AppError.from(thrown);
          if (error.status !== 400) throw error;
          request.errorCode = error.code;
          return error;
        }
      },
      begin(socket, stream) {
        if (stream instanceof AppError) throw stream;
        const { connection, start } = stream;
        const allowance = new Allowance(monotonic());
        socket.on('pong', () => connection.pong());
        socket.on('message', (data, isBinary) => {
          const at = monotonic();
          const text = textOf(data, isBinary) ?? '';
          const keepAlive = allowance.take(at) === 0 ? keepAliveOf(readObject(text) ?? text) : null;
          if (keepAlive?.kind === 'ping') connection.deliver(pingReply(keepAlive.req_id, now()), null);
          if (keepAlive === null && allowance.countViolation(at))
            connection.close(CLOSE.policy, 'This stream takes no messages; /ws does.');
        });
        start(() => new WebSocketPeer(socket));
        stream.endWithCaller();
      },
    }),
  });

  app.route({
    url: '/ws',
    schema: { hide: true },
    config: { longLived: true, units: 0, webSocket: true, ticket: 'ws', credentialLater: true },
    ...webSocketRoute({
      sandbox: connections.sandbox,
      async prepare(request) {
        readInput(ticketQuery, request.query, 'query');
        const client = clientOf(request);
        const { principal } = request;
        const { socket } = request.raw;
        const leave = socketAuth?.waitFor(principal) ?? (() => undefined);
        socket.once('close', leave);
        const limited = limits.open({ client, socket }, principal);
        const connection = connections.admit('websocket', socket, client);
        try {
          await Promise.all([limited.confirmed(), connection.confirmed]);
        } catch (error) {
          limited.end();
          connection.abandon();
          throw error;
        }
        const caller = app.callerOf(request);
        return { at: { client, socket }, principal, caller, limited, connection, leave };
      },
      begin(socket, prepared, context) {
        const { at, principal, connection, leave } = prepared;
        const { client } = at;
        // Another one's once a credential has come.
        let { caller, limited } = prepared;
        const onCaller = async (found: Principal): Promise<void> => {
          await limits.learn(found);
          limited.end();
          limited = limits.open(at, found);
          await limited.confirmed();
          caller = { principal: found, client };
        };
        const { sandbox } = connections;
        const problemOf = (error: Parameters<typeof toProblem>[0]) => toProblem(error, context);
        connection.attach(() => new WebSocketPeer(socket, { ids: true }));
        const session = new Session({
          connection,
          auth: socketAuth?.open(
            { ...at, principal },
            { connection, context, sandbox, now, onCaller },
            leave,
          ),
          client,
          slots,
          countSymbols: (symbols) => app.countFor(caller, symbols),
          admitTopic: (exchange, topic) => limited.admitTopic(exchange, topic),
          hub,
          marketData,
          health,
          sandbox,
          now,
          monotonic,
          toProblem: problemOf,
        });
        socket.on('pong', () => connection.pong());
        socket.on('message', (data, isBinary) => session.receive(textOf(data, isBinary)));
      },
    }),
  });
  done();
};
