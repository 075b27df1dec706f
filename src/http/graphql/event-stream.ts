/**
 * GraphQL over Server-Sent Events, each operation on a connection of its own (the "distinct
 * connections mode" of the protocol of graphql-sse): `next` events, and `complete` behind the last.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AppError } from '../../errors.js';
import { formatFault } from '../../graphql/faults.js';
import type { GraphqlEngine, Prepared } from '../../graphql/engine.js';
import { joinStream, OperationReader, questionOf } from '../../graphql/subscribing.js';
import type { Renderings } from '../../graphql/rendering.js';
import { CLOSE, type Connection, type Peer } from '../../streams/clients/connection.js';
import type { Connections } from '../../streams/clients/connections.js';
import type { SubscriptionSlots } from '../../streams/clients/subscriptions.js';
import type { SharedEvent, StreamHub } from '../../streams/hub-api.js';
import { createSharedEvent, sseEvent } from '../../streams/events.js';
import type { MarketData } from '../../market-data/market-data-api.js';
import { venueSource } from '../../market-data/market-data-api.js';
import { clientOf } from '../requests/client.js';
import { openEventStream } from '../streams/sse.js';
import type { LimitedStream, StreamLimits } from '../limits/stream-limits.js';
import { endWithCaller } from './caller.js';

export interface StreamingServices {
  readonly engine: GraphqlEngine;
  readonly renderings: Renderings;
  readonly hub: StreamHub;
  readonly marketData: Pick<MarketData, 'resolveExchange'>;
  readonly connections: Connections;
  readonly slots: SubscriptionSlots;
  /** What plans allow to have open. */
  readonly streamLimits: StreamLimits;
  readonly now: () => number;
}

/** Keeps proxies from taking a quiet stream for a dead one. */
const COMMENT = Buffer.from(':\n\n');
const KEEP_ALIVE: SharedEvent = {
  ...{ type: 'heartbeat', json: '', conflationKey: 'heartbeat' },
  sse: COMMENT,
  frame: COMMENT,
  frameWithId: COMMENT,
};

const nextOf = (json: string, event: SharedEvent): SharedEvent =>
  sseEvent({ type: event.type, json, name: 'next', conflationKey: event.conflationKey });
const COMPLETE = sseEvent({ type: 'reply', json: '', name: 'complete' });

const open = (request: FastifyRequest, reply: FastifyReply, source: string): Peer => {
  request.becomesLongLived();
  return { ...openEventStream(request, reply, { source }), heartbeat: KEEP_ALIVE };
};

/** A finished result as a stream that ends behind it. */
export const streamResult = async (
  request: FastifyRequest,
  reply: FastifyReply,
  {
    connections,
    json,
    source,
  }: { readonly connections: Connections; readonly json: string; readonly source: string },
): Promise<FastifyReply> => {
  const connection = connections.admit('sse', request.raw.socket, clientOf(request));
  await connection.confirmed;
  connection.attach(() => open(request, reply, source));
  connection.deliver(nextOf(json, createSharedEvent({ type: 'reply', json })), null);
  connection.deliver(COMPLETE, null);
  connection.close(CLOSE.restart, 'The operation is complete.');
  return reply.hijack();
};

/** A connection that is refused holds no place of its caller's plan. */
const admitted = (limited: LimitedStream, admit: () => Connection): Connection => {
  try {
    return admit();
  } catch (thrown) {
    limited.end();
    throw thrown;
  }
};

/** Rejects with an AppError before the first byte. */
export const streamSubscription = async (
  request: FastifyRequest,
  reply: FastifyReply,
  { services, prepared }: { readonly services: StreamingServices; readonly prepared: Prepared },
): Promise<FastifyReply> => {
  const { engine, renderings, connections, slots, marketData } = services;
  const client = clientOf(request);
  const question = questionOf(engine.schema, prepared);
  const { exchange } = marketData.resolveExchange(question.exchange);
  request.exchangeId = exchange;
  const limited = services.streamLimits.open({ client, socket: request.raw.socket }, request.principal);
  const connection = admitted(limited, () => connections.admit('sse', request.raw.socket, client));
  const leaving = new AbortController();
  const { rendering, release } = renderings.take(prepared);
  let leave = (): void => undefined;
  let placed = false;
  connection.onEnd = () => {
    leaving.abort();
    limited.end();
    release();
    if (placed) slots.giveBack(client);
    leave();
  };
  const { sandbox } = connections;
  const reader = new OperationReader({
    key: 'only',
    connection,
    rendering,
    envelope: nextOf,
    question,
    sandbox,
  });
  try {
    const began = limited.openTopic(exchange, question.symbol);
    slots.take(client);
    placed = true;
    await Promise.all([limited.confirmed(), connection.confirmed]);
    const subscription = await joinStream(services, question, { client, signal: leaving.signal, reader });
    leave = () => subscription.close();
    if (connection.ended) leave();
    reader.checkHeld();
    connection.attach(() => open(request, reply, venueSource(exchange, subscription.via, sandbox)));
    reader.release();
    began();
    const end = (fault: AppError): void => {
      const json = JSON.stringify({ errors: [formatFault(fault, request.id)] });
      connection.deliver(nextOf(json, createSharedEvent({ type: 'error', json })), null);
      connection.deliver(COMPLETE, null);
      connection.close(CLOSE.policy, fault.title);
    };
    endWithCaller(request, end, services.now);
  } catch (thrown) {
    connection.abandon();
    throw thrown;
  }
  engine.meter.operation('subscription', 'ok', prepared.units);
  return reply.hijack();
};
