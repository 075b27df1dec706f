/** The operations of one WebSocket: each charged, then executed or subscribed, and ended by either side. */
import type { GraphQLFormattedError } from 'graphql';
import { MessageType, type SubscribeMessage } from 'graphql-ws';
import type { Permit } from '../access/permit.js';
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { Connection } from '../streams/clients/connection.js';
import { RETRY_WHEN_FULL } from '../streams/clients/limits.js';
import type { AdmittedTopic, SubscriptionSlots } from '../streams/clients/subscriptions.js';
import type { SharedEvent } from '../streams/hub-api.js';
import { createSharedEvent } from '../streams/events.js';
import { isSubscription, type GraphqlEngine, type Prepared } from './engine.js';
import { formatFault } from './faults.js';
import { MAX_OPERATIONS } from './limits.js';
import type { Renderings } from './rendering.js';
import { joinStream, OperationReader, questionOf, type StreamServices } from './subscribing.js';

export interface OperationServices extends StreamServices {
  readonly engine: GraphqlEngine;
  readonly renderings: Renderings;
  /** All subscriptions of the server. */
  readonly slots: SubscriptionSlots;
  readonly sandbox: boolean;
}

export interface OperationClient {
  readonly connection: Connection;
  /** The client. */
  readonly client: string;
  readonly requestId: string;
}

/** What a client may do, once it is known. */
export interface SocketCaller {
  /** Whether it may ask for the schema. */
  readonly introspection: boolean;
  /** Whether its documents are remembered. */
  readonly registers: boolean;
  /** What its plan lets it ask for. */
  readonly permit: Permit;
  /** Charges an operation; throws what refuses it. */
  charge(units: number): void;
  /** A query got its answer, which costs so many units of the day and the month. */
  readonly answered: (units: number) => void;
  /** A subscription to a topic, of a CCXT id; throws what refuses it. */
  admitTopic(exchange: string, topic: { readonly symbol: string }): AdmittedTopic;
  /** What refuses an operation of this sort. */
  fault(sort: 'query' | 'subscription'): AppError | undefined;
  /** Calls `end` when its credential ends; gives what forgets that. */
  onEnd(end: () => void): () => void;
}

interface Operation {
  readonly abort: AbortController;
  /** Of a subscription. */
  close: (() => void) | null;
}

/** The frame is made for this one client, the result in it for all. */
const nextOf = (id: string, json: string, event: SharedEvent): SharedEvent =>
  createSharedEvent({
    type: event.type,
    json: `{"id":${id},"type":"next","payload":${json}}`,
    conflationKey: event.conflationKey,
  });

const sendJson = (connection: Connection, json: string): void => {
  connection.deliver(createSharedEvent({ type: 'reply', json }), null);
};

/** A message of the protocol, to one client. */
export const sendMessage = (
  connection: Connection,
  message: { readonly type: MessageType; readonly [member: string]: unknown },
): void => {
  sendJson(connection, JSON.stringify(message));
};

export class SocketOperations {
  readonly #services: OperationServices;
  readonly #client: OperationClient;
  readonly #caller: SocketCaller;
  readonly #operations = new Map<string, Operation>();

  constructor(services: OperationServices, client: OperationClient, caller: SocketCaller) {
    this.#services = services;
    this.#client = client;
    this.#caller = caller;
  }

  has(id: string): boolean {
    return this.#operations.has(id);
  }

  /** An operation with a new id. `wait`: how long (ms) it comes too early. */
  begin({ id, payload }: SubscribeMessage, wait: Millis): void {
    if (wait > 0) {
      const error = new AppError('client_rate_limited', 'Too many messages.', { retryAfterMs: wait });
      this.#error(id, [formatFault(error, this.#client.requestId)]);
      return;
    }
    if (this.#operations.size >= MAX_OPERATIONS) {
      const words = `A connection has at most ${MAX_OPERATIONS} operations.`;
      const error = new AppError('stream_limit_reached', words, { retryAfterMs: RETRY_WHEN_FULL });
      this.#error(id, [formatFault(error, this.#client.requestId)]);
      return;
    }
    const operation: Operation = { abort: new AbortController(), close: null };
    this.#operations.set(id, operation);
    void this.#run(id, operation, payload);
  }

  /** Nothing happens where there is no such operation. */
  end(id: string): void {
    const operation = this.#operations.get(id);
    if (operation === undefined) return;
    this.#operations.delete(id);
    operation.abort.abort();
    operation.close?.();
  }

  endAll(): void {
    for (const id of [...this.#operations.keys()]) this.end(id);
  }

  async #run(id: string, operation: Operation, payload: SubscribeMessage['payload']): Promise<void> {
    const { engine } = this.#services;
    try {
      const prepared = this.#prepare(payload);
      if (isSubscription(prepared)) await this.#subscribe(id, operation, prepared);
      else await this.#execute(id, operation, prepared);
    } catch (thrown) {
      const { errors } = engine.refused(thrown, this.#client.requestId);
      if (this.#operations.get(id) !== operation) return;
      this.#operations.delete(id);
      this.#error(id, errors);
    }
  }

  /** A refused operation costs 1. */
  #prepare({ query, operationName, variables, extensions }: SubscribeMessage['payload']): Prepared {
    const caller = this.#caller;
    const { introspection, registers } = caller;
    const request = {
      query,
      operationName: operationName ?? undefined,
      variables: variables ?? undefined,
      extensions: extensions ?? undefined,
    };
    let units = 1;
    try {
      const prepared = this.#services.engine.prepare(request, { introspection, registers });
      const fault = caller.fault(isSubscription(prepared) ? 'subscription' : 'query');
      if (fault !== undefined) throw fault;
      caller.permit.requireCost(prepared.units);
      ({ units } = prepared);
      return prepared;
    } finally {
      caller.charge(units);
    }
  }

  async #execute(id: string, operation: Operation, prepared: Prepared): Promise<void> {
    const { client, requestId } = this.#client;
    const { signal } = operation.abort;
    const { permit, answered } = this.#caller;
    const { json } = await this.#services.engine.execute(prepared, { client, signal, requestId, permit });
    answered(prepared.units);
    if (this.#operations.get(id) !== operation) return;
    this.#operations.delete(id);
    sendJson(this.#client.connection, `{"id":${JSON.stringify(id)},"type":"next","payload":${json}}`);
    sendMessage(this.#client.connection, { id, type: MessageType.Complete });
  }

  async #subscribe(id: string, operation: Operation, prepared: Prepared): Promise<void> {
    const { engine, renderings, slots, sandbox, marketData } = this.#services;
    const { connection, client } = this.#client;
    const question = questionOf(engine.schema, prepared);
    const { exchange } = marketData.resolveExchange(question.exchange);
    const admitted = this.#caller.admitTopic(exchange, question);
    try {
      slots.take(client);
    } catch (thrown) {
      admitted.end();
      throw thrown;
    }
    const { rendering, release } = renderings.take(prepared);
    const quoted = JSON.stringify(id);
    const envelope = (json: string, event: SharedEvent) => nextOf(quoted, json, event);
    const reader = new OperationReader({ key: id, connection, rendering, envelope, question, sandbox });
    let leave = (): void => undefined;
    const close = (): void => {
      if (operation.close === null) return;
      operation.close = null;
      reader.stop();
      release();
      slots.giveBack(client);
      admitted.end();
      leave();
    };
    operation.close = close;
    try {
      const { signal } = operation.abort;
      if (admitted.confirmed !== null) await admitted.confirmed;
      const subscription = await joinStream(this.#services, question, { client, signal, reader });
      leave = () => subscription.close();
      // Meanwhile the client may have left.
      reader.checkHeld();
      if (this.#operations.get(id) !== operation) leave();
      else reader.release();
    } catch (thrown) {
      close();
      throw thrown;
    }
    admitted.began();
    engine.meter.operation('subscription', 'ok', prepared.units);
  }

  #error(id: string, payload: readonly GraphQLFormattedError[]): void {
    sendMessage(this.#client.connection, { id, type: MessageType.Error, payload });
  }
}
