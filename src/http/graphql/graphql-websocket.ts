/** GraphQL over WebSocket: the upgrade, and what becomes of it. */
import type { FastifyInstance } from 'fastify';
import { AppError } from '../../errors.js';
import { clientOf } from '../requests/client.js';
import { GRAPHQL_PROTOCOL, textOf, webSocketRoute, WebSocketPeer } from '../streams/websocket.js';
import { identify } from './caller.js';
import type { GraphqlRouteOptions, LoadedGraphql } from './loading.js';

/** Heartbeats are no messages of this protocol; pings find dead peers. */
class GraphqlPeer extends WebSocketPeer {
  readonly heartbeat = null;
}

export const graphqlWebSocket = (
  app: FastifyInstance,
  options: GraphqlRouteOptions,
  loaded: () => Promise<LoadedGraphql>,
) => {
  const { connections } = options;
  return webSocketRoute({
    sandbox: connections.sandbox,
    async prepare(request) {
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
      if (!offered.includes(GRAPHQL_PROTOCOL))
        throw new AppError('invalid_request', `This address speaks ${GRAPHQL_PROTOCOL}.`, {
          errors: [{ parameter: 'Sec-WebSocket-Protocol', reason: `must hold ${GRAPHQL_PROTOCOL}` }],
        });
      const parts = await loaded();
      const client = clientOf(request);
      const connection = connections.admit('websocket', request.raw.socket, client);
      await connection.confirmed;
      return { parts, client, connection, request, anybody: app.callerOf(request) };
    },
    begin(ws, { parts, client, connection, request, anybody }, { requestId }) {
      const session = new parts.GraphqlSocket(parts.services, {
        ...{ connection, client, requestId },
        authenticate: (payload) =>
          identify({
            ...options,
            access: app.access,
            request,
            anybody,
            payload,
            rule: options.introspection,
          }),
      });
      ws.on('pong', () => connection.pong());
      ws.on('message', (data, isBinary) => {
        session.receive(textOf(data, isBinary));
      });
      connection.attach(() => new GraphqlPeer(ws));
    },
  });
};
