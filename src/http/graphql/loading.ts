/**
 * What GraphQL needs of the server, and its modules, which are loaded with the first call: a server without GraphQL calls
 * does not pay for them.
 */
import type { FastifyRequest } from 'fastify';
import type { EngineOptions } from '../../graphql/engine.js';
import type { SocketServices } from '../../graphql/socket.js';
import { createSubscriptionSlots } from '../../streams/clients/subscriptions.js';
import type { ResponseCache } from '../response-cache/response-cache.js';
import type { CallerLimits, IntrospectionRule } from './caller.js';
import type { StreamingServices } from './event-stream.js';

type StreamOptions = Pick<StreamingServices, 'hub' | 'connections'>;

export interface GraphqlRouteOptions extends Omit<EngineOptions, 'onBug'>, StreamOptions, CallerLimits {
  readonly responseCache: ResponseCache;
  /** The clock of durations. */
  readonly monotonic: () => number;
  readonly initTimeoutMs?: number | undefined;
  /** Who may ask for the schema: everybody, nobody, or who brings a credential. */
  readonly introspection: IntrospectionRule;
  /**
   * Charges the operations of a request, 1 unit or more, before they are executed; the request itself is among them. Throws
   * what refuses them.
   */
  readonly charge: (request: FastifyRequest, units: number) => void;
  /** Whether requests are counted: an answer that costs more than its request is then not kept by its URL. */
  readonly limited: boolean;
}

export const loadGraphql = async (options: GraphqlRouteOptions, onBug: (error: unknown) => void) => {
  const [
    { GraphqlEngine, isSubscription },
    { createRenderings },
    { GraphqlSocket },
    { streamResult, streamSubscription },
  ] = await Promise.all([
    import('../../graphql/engine.js'),
    import('../../graphql/rendering.js'),
    import('../../graphql/socket.js'),
    import('./event-stream.js'),
  ]);
  const engine = new GraphqlEngine({ ...options, onBug });
  const { hub, marketData, connections, streamLimits, now, monotonic, initTimeoutMs } = options;
  const { sandbox } = connections;
  const services: SocketServices & StreamingServices = {
    ...{ engine, hub, marketData, connections, sandbox, streamLimits, now, monotonic, initTimeoutMs },
    renderings: createRenderings(engine),
    slots: createSubscriptionSlots(),
  };
  return { engine, services, isSubscription, GraphqlSocket, streamResult, streamSubscription };
};
export type LoadedGraphql = Awaited<ReturnType<typeof loadGraphql>>;
