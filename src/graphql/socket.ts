/**
 * The server's side of `graphql-transport-ws`
 * (GraphQL over WebSocket, of the working group of GraphQL over HTTP): operations over one WebSocket. It
 * writes through the connection's outbox like every other stream, so that a slow reader gets the latest of what it missed.
 */
import type { GraphQLFormattedError } from 'graphql';
import { CloseCode, MessageType, parseMessage, type Message, type SubscribeMessage } from 'graphql-ws';
import type { Permit } from '../access/permit.js';
import { AppError } from '../errors.js';
import { nestsDeeperThan } from '../lib/nesting.js';
import type { Millis } from '../schemas/common.js';
import { Allowance } from '../streams/clients/client-messages.js';
import type { Connection } from '../streams/clients/connection.js';
import { RETRY_WHEN_FULL } from '../streams/clients/limits.js';
import { CLOSE } from '../streams/clients/connection.js';
import type { AdmittedTopic, SubscriptionSlots } from '../streams/clients/subscriptions.js';
import type { SharedEvent } from '../streams/hub-api.js';
import { createSharedEvent } from '../streams/events.js';
import { isSubscription, type GraphqlEngine, type Prepared } from './engine.js';
import { formatFault } from './faults.js';
import { INIT_TIMEOUT, MAX_ID_LENGTH, MAX_MESSAGE_DEPTH, MAX_OPERATIONS } from './limits.js';
import type { Renderings } from './rendering.js';
import { joinStream, OperationReader, questionOf, type StreamServices } from './subscribing.js';

export interface SocketServices extends StreamServices {
  readonly engine: GraphqlEngine;
  readonly renderings: Renderings;
  /** All subscriptions of the server. */
  readonly slots: SubscriptionSlots;
  readonly sandbox: boolean;
  /** The clock of durations. */
  readonly monotonic: () => Millis;
  readonly initTimeoutMs?: Millis | undefined;
}

export interface SocketClient {
  readonly connection: Connection;
  /** The client. */
  readonly client: string;
  readonly requestId: string;
  /** Authenticates the client by the payload of `connection_init`; throws where it is refused. */
  readonly authenticate: (
    payload: Readonly<Record<string, unknown>> | undefined,
  ) => Promise<SocketCaller> | SocketCaller;
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

export class GraphqlSocket {
  readonly #services: SocketServices;
  readonly #client: SocketClient;
  readonly #allowance: Allowance;
  readonly #operations = new Map<string, Operation>();
  readonly #initTimer: NodeJS.Timeout;
  #init: 'awaited' | 'received' | 'acknowledged' = 'awaited';
  #caller: SocketCaller | null = null;
  #forget = (): void => undefined;

  /** Takes the connection over: its end closes every operation. */
  constructor(services: SocketServices, client: SocketClient) {
    this.#services = services;
    this.#client = client;
    this.#allowance = new Allowance(services.monotonic());
    this.#initTimer = setTimeout(() => {
      if (this.#init === 'awaited')
        this.#close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
    }, services.initTimeoutMs ?? INIT_TIMEOUT);
    this.#initTimer.unref();
    client.connection.onEnd = () => {
      clearTimeout(this.#initTimer);
      this.#forget();
      for (const id of [...this.#operations.keys()]) this.#end(id);
    };
  }

  /** One message of the client; null for a binary one. Never throws. */
  receive(text: string | null): void {
    const { connection } = this.#client;
    if (connection.ended) return;
    let message: Message;
    try {
      if (text === null) throw new Error('A message must be text.');
      message = parseMessage(text);
      if (nestsDeeperThan(message, MAX_MESSAGE_DEPTH)) throw new Error('The message nests too deeply.');
    } catch {
      this.#close(CloseCode.BadRequest, 'Invalid message received');
      return;
    }
    if ('id' in message && message.id.length > MAX_ID_LENGTH) {
      this.#close(CloseCode.BadRequest, `An id has at most ${MAX_ID_LENGTH} characters.`);
      return;
    }
    const at = this.#services.monotonic();
    const wait = this.#waitFor(message, at);
    if (wait > 0 && this.#allowance.countViolation(at)) {
      connection.close(CLOSE.policy, 'Too many messages.');
      return;
    }
    this.#serve(message, wait);
  }

  /** How long (ms) until a message of this type may come; 0: it may. An end of an operation always may. */
  #waitFor({ type }: Message, at: Millis): Millis {
    switch (type) {
      case MessageType.Subscribe:
        return this.#allowance.takeSymbols(1, at);
      case MessageType.Ping:
      case MessageType.Pong:
        return this.#allowance.take(at);
      default:
        return 0;
    }
  }

  #serve(message: Message, wait: Millis): void {
    switch (message.type) {
      case MessageType.ConnectionInit:
        void this.#initialise(message.payload);
        return;
      case MessageType.Ping:
        if (wait > 0) return;
        this.#send({
          type: MessageType.Pong,
          ...(message.payload === undefined ? {} : { payload: message.payload }),
        });
        return;
      case MessageType.Pong:
        return;
      case MessageType.Complete:
        this.#end(message.id);
        return;
      case MessageType.Subscribe:
        this.#begin(message, wait);
        return;
      default:
        this.#close(CloseCode.BadRequest, 'Clients send no messages of this type.');
    }
  }

  async #initialise(payload: Readonly<Record<string, unknown>> | undefined): Promise<void> {
    if (this.#init !== 'awaited') {
      this.#close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
      return;
    }
    this.#init = 'received';
    try {
      this.#caller = await this.#client.authenticate(payload);
    } catch {
      this.#close(CloseCode.Forbidden, 'Forbidden');
      return;
    }
    if (this.#client.connection.ended) return;
    this.#forget = this.#caller.onEnd(() => {
      this.#close(CloseCode.Forbidden, 'The credential has ended.');
    });
    this.#init = 'acknowledged';
    this.#send({ type: MessageType.ConnectionAck });
  }

  #begin({ id, payload }: SubscribeMessage, wait: Millis): void {
    if (this.#init !== 'acknowledged') {
      this.#close(CloseCode.Unauthorized, 'Unauthorized');
      return;
    }
    if (this.#operations.has(id)) {
      this.#close(CloseCode.SubscriberAlreadyExists, 'There is an operation with this id.');
      return;
    }
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
    const caller = this.#known();
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
    const { permit, answered } = this.#known();
    const { json } = await this.#services.engine.execute(prepared, { client, signal, requestId, permit });
    answered(prepared.units);
    if (this.#operations.get(id) !== operation) return;
    this.#operations.delete(id);
    this.#sendText(`{"id":${JSON.stringify(id)},"type":"next","payload":${json}}`);
    this.#send({ id, type: MessageType.Complete });
  }

  async #subscribe(id: string, operation: Operation, prepared: Prepared): Promise<void> {
    const { engine, renderings, slots, sandbox, marketData } = this.#services;
    const { connection, client } = this.#client;
    const question = questionOf(engine.schema, prepared);
    const { exchange } = marketData.resolveExchange(question.exchange);
    const admitted = this.#known().admitTopic(exchange, question);
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

  #known(): SocketCaller {
    if (this.#caller === null) throw new AppError('internal_error', 'Operations come after connection_init.');
    return this.#caller;
  }

  /** Nothing happens where there is no such operation. */
  #end(id: string): void {
    const operation = this.#operations.get(id);
    if (operation === undefined) return;
    this.#operations.delete(id);
    operation.abort.abort();
    operation.close?.();
  }

  #error(id: string, payload: readonly GraphQLFormattedError[]): void {
    this.#send({ id, type: MessageType.Error, payload });
  }

  #send(message: { readonly type: MessageType; readonly [member: string]: unknown }): void {
    this.#sendText(JSON.stringify(message));
  }

  #sendText(json: string): void {
    this.#client.connection.deliver(createSharedEvent({ type: 'reply', json }), null);
  }

  #close(code: CloseCode, reason: string): void {
    this.#client.connection.close(code, reason);
  }
}
