/**
 * The server's side of `graphql-transport-ws`
 * (GraphQL over WebSocket, of the working group of GraphQL over HTTP): the order of its messages and what closes the
 * WebSocket. It writes through the connection's outbox like every other stream, so that a slow reader gets the latest of
 * what it missed.
 */
import { CloseCode, MessageType, parseMessage, type Message, type SubscribeMessage } from 'graphql-ws';
import { nestsDeeperThan } from '../lib/nesting.js';
import type { Millis } from '../schemas/common.js';
import { Allowance } from '../streams/clients/client-messages.js';
import { CLOSE } from '../streams/clients/connection.js';
import { INIT_TIMEOUT, MAX_ID_LENGTH, MAX_MESSAGE_DEPTH } from './limits.js';
import {
  sendMessage,
  SocketOperations,
  type OperationClient,
  type OperationServices,
  type SocketCaller,
} from './socket-operations.js';

export interface SocketServices extends OperationServices {
  /** The clock of durations. */
  readonly monotonic: () => Millis;
  readonly initTimeoutMs?: Millis | undefined;
}

export interface SocketClient extends OperationClient {
  /** Authenticates the client by the payload of `connection_init`; throws where it is refused. */
  readonly authenticate: (
    payload: Readonly<Record<string, unknown>> | undefined,
  ) => Promise<SocketCaller> | SocketCaller;
}

export class GraphqlSocket {
  readonly #services: SocketServices;
  readonly #client: SocketClient;
  readonly #allowance: Allowance;
  readonly #initTimer: NodeJS.Timeout;
  #init: 'awaited' | 'received' = 'awaited';
  /** null until `connection_init` is acknowledged. */
  #operations: SocketOperations | null = null;
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
      this.#operations?.endAll();
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
        this.#operations?.end(message.id);
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
    let caller: SocketCaller;
    try {
      caller = await this.#client.authenticate(payload);
    } catch {
      this.#close(CloseCode.Forbidden, 'Forbidden');
      return;
    }
    if (this.#client.connection.ended) return;
    this.#forget = caller.onEnd(() => {
      this.#close(CloseCode.Forbidden, 'The credential has ended.');
    });
    this.#operations = new SocketOperations(this.#services, this.#client, caller);
    this.#send({ type: MessageType.ConnectionAck });
  }

  #begin(message: SubscribeMessage, wait: Millis): void {
    if (this.#operations === null) this.#close(CloseCode.Unauthorized, 'Unauthorized');
    else if (this.#operations.has(message.id))
      this.#close(CloseCode.SubscriberAlreadyExists, 'There is an operation with this id.');
    else this.#operations.begin(message, wait);
  }

  #send(message: Parameters<typeof sendMessage>[1]): void {
    sendMessage(this.#client.connection, message);
  }

  #close(code: CloseCode, reason: string): void {
    this.#client.connection.close(code, reason);
  }
}
