/** The protocol of WS /ws: many subscriptions over one connection. Its messages are in schemas/stream-protocol.ts. */
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { readInput } from '../../invalid-input.js';
import type { Millis } from '../../schemas/common.js';
import type { Problem } from '../../schemas/problem.js';
import {
  clientMessage,
  reqId,
  streamSymbol,
  type ClientMessage,
  type ReqId,
} from '../../schemas/stream-protocol.js';
import { createSharedEvent } from '../events.js';
import { Allowance, keepAliveOf, pingReply, readObject } from './client-messages.js';
import { CLOSE, type Connection } from './connection.js';
import type { HealthFeed } from './health-feed.js';
import { Subscriptions, type SubscriptionServices } from './subscriptions.js';

/** Who may use a connection that is open already. */
export interface SessionAuth {
  /** Why nothing but `auth` is served now; null: everything is. */
  refusal(): AppError | null;
  /** null: the credential is good. Never rejects; one at a time. */
  authenticate(token: string): Promise<AppError | null>;
}

/** Admits every client; a credential is not read. */
const NO_AUTH: SessionAuth = { refusal: () => null, authenticate: async () => Promise.resolve(null) };

export interface SessionOptions extends SubscriptionServices {
  readonly connection: Connection;
  readonly health: HealthFeed;
  readonly now: () => Millis;
  /** A monotonic clock. */
  readonly monotonic: () => Millis;
  /** Counts so many symbols against the client's limit; throws `client_rate_limited` where they are too many. */
  readonly countSymbols?: ((symbols: number) => void) | undefined;
  /** Default: every client is admitted. */
  readonly auth?: SessionAuth | undefined;
  /** An error as this connection's clients see it. */
  readonly toProblem: (error: AppError) => Problem;
}

type SubscriptionMessage = Extract<ClientMessage, { method: 'subscribe' | 'unsubscribe' }>;
/** About markets, which the health channel is not. */
interface TopicMessage {
  readonly method: SubscriptionMessage['method'];
  readonly params: Exclude<SubscriptionMessage['params'], { channel: 'health' }>;
  readonly req_id?: ReqId | undefined;
}
type AuthMessage = Extract<ClientMessage, { method: 'auth' }>;

/** Messages kept while a credential is verified: clients need not wait for the answer before they subscribe. */
const MAX_KEPT_MESSAGES = 64;

const envelope = z.looseObject({
  method: z.string().max(32).optional().catch(undefined),
  req_id: reqId.optional().catch(undefined),
});

const METHODS: ReadonlySet<unknown> = new Set(clientMessage.options.map(({ shape }) => shape.method.value));

/** A message of this protocol, right or wrong; a `ping` counts as a keep-alive of any protocol. */
const isOwn = (message: object | undefined): boolean =>
  message !== undefined && 'method' in message && message.method !== 'ping' && METHODS.has(message.method);

export class Session {
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  readonly #subscriptions: Subscriptions;
  readonly #allowance: Allowance;
  readonly #auth: SessionAuth;
  /** Ends the health channel; null: it is not subscribed. */
  #leaveHealth: (() => void) | null = null;
  /** What came while a credential is verified; null: none is. */
  #kept: object[] | null = null;

  /** Takes the connection over: its end closes every subscription. */
  constructor(options: SessionOptions) {
    this.#options = options;
    this.#connection = options.connection;
    this.#subscriptions = new Subscriptions(options);
    this.#allowance = new Allowance(options.monotonic());
    this.#auth = options.auth ?? NO_AUTH;
    this.#connection.onEnd = () => {
      this.#subscriptions.closeAll();
      this.#leaveHealth?.();
    };
  }

  /** One message of the client; null for a binary one. Never throws. */
  receive(text: string | null): void {
    if (this.#connection.ended) return;
    const wait = this.#allowance.take(this.#options.monotonic());
    if (wait > 0) {
      const error = new AppError('client_rate_limited', 'Too many messages.', { retryAfterMs: wait });
      this.#refuse(error, {});
      return;
    }
    const read = readObject(text);
    const keepAlive = isOwn(read) ? null : keepAliveOf(read ?? text ?? '');
    if (keepAlive?.kind === 'ping') this.#pong(keepAlive.req_id);
    if (keepAlive !== null) return;
    if (read === undefined) {
      this.#refuse(new AppError('invalid_request', 'A message must be a JSON object in a text frame.'), {});
      return;
    }
    this.#takeInTurn(read);
  }

  #takeInTurn(read: object): void {
    if (this.#kept === null) this.#take(read);
    else if (this.#kept.length < MAX_KEPT_MESSAGES) this.#kept.push(read);
    else
      this.#refuse(new AppError('client_rate_limited', 'Too many messages before the answer to auth.'), {});
  }

  #take(read: object): void {
    try {
      const message = readInput(clientMessage, read, 'message');
      if (message.method === 'auth') {
        void this.#authenticate(message);
        return;
      }
      const refusal = this.#auth.refusal();
      if (refusal !== null) throw refusal;
      this.#serve(message);
    } catch (thrown) {
      const { method, req_id } = envelope.safeParse(read).data ?? {};
      this.#refuse(AppError.from(thrown), { method, req_id });
    }
  }

  /** A credential that is not good ends the connection. Never rejects. */
  async #authenticate({ method, params, req_id }: AuthMessage): Promise<void> {
    this.#kept = [];
    const refusal = await this.#auth.authenticate(params.token);
    const kept = this.#kept;
    this.#kept = null;
    if (this.#connection.ended) return;
    if (refusal !== null) {
      const problem = this.#options.toProblem(refusal);
      this.#connection.fail(refusal, { ...problem, method, req_id, ...sandboxMark(this.#options) });
      return;
    }
    this.#reply({ method, req_id, success: true });
    for (const message of kept) this.#takeInTurn(message);
  }

  #pong(req_id: ReqId | undefined): void {
    const refusal = this.#kept === null ? this.#auth.refusal() : null;
    if (refusal !== null) {
      this.#refuse(refusal, { method: 'ping', req_id });
      return;
    }
    this.#connection.deliver(pingReply(req_id, this.#options.now()), null);
  }

  #serve(message: Exclude<ClientMessage, AuthMessage>): void {
    const { method, req_id } = message;
    if (method === 'ping') this.#pong(req_id);
    else if (method === 'list') this.#reply({ method, req_id, success: true, subscriptions: this.#list() });
    else if (message.params.channel === 'health') this.#serveHealth(method, req_id);
    else this.#serveSymbols({ method, params: message.params, req_id });
  }

  #list(): readonly object[] {
    const topics = this.#subscriptions.list();
    return this.#leaveHealth === null ? topics : [...topics, { channel: 'health' }];
  }

  /** Subscribed once, however often it is asked for: it counts as one symbol. */
  #serveHealth(method: SubscriptionMessage['method'], req_id: ReqId | undefined): void {
    const isNew = method === 'subscribe' && this.#leaveHealth === null;
    if (isNew) this.#options.countSymbols?.(1);
    this.#reply({ method, req_id, success: true, channel: 'health' });
    if (isNew)
      this.#leaveHealth = this.#options.health.subscribe((event) => this.#connection.deliver(event, null));
    if (method === 'subscribe') return;
    this.#leaveHealth?.();
    this.#leaveHealth = null;
  }

  #serveSymbols(message: TopicMessage): void {
    const { method, params, req_id } = message;
    const wait =
      method === 'subscribe'
        ? this.#allowance.takeSymbols(params.symbol.length, this.#options.monotonic())
        : 0;
    if (wait > 0) {
      const error = new AppError('client_rate_limited', 'Too many symbols.', { retryAfterMs: wait });
      this.#refuse(error, { method, req_id });
      return;
    }
    try {
      if (method === 'subscribe') this.#options.countSymbols?.(params.symbol.length);
    } catch (thrown) {
      this.#refuse(AppError.from(thrown), { method, req_id });
      return;
    }
    for (const symbol of params.symbol) void this.#serveSymbol(message, symbol);
  }

  /** Answers for one symbol of a request; a good one waits for no other. Never rejects. */
  async #serveSymbol({ method, params, req_id }: TopicMessage, given: string): Promise<void> {
    const { channel, exchange } = params;
    const interval = 'interval' in params ? params.interval : undefined;
    const head = { method, req_id };
    try {
      const topic = { channel, exchange, symbol: readInput(streamSymbol, given, 'symbol'), interval };
      if (method === 'unsubscribe') {
        this.#subscriptions.remove(topic);
        this.#reply({ ...head, success: true, ...topic });
        return;
      }
      const { threshold, stats, since } = { threshold: undefined, stats: undefined, ...params };
      if (since !== undefined && params.symbol.length > 1)
        throw new AppError('invalid_request', 'since is of one symbol: it takes exactly one.');
      const options = {
        threshold: typeof threshold === 'number' ? threshold : undefined,
        stats: stats === true ? (true as const) : undefined,
        since: typeof since === 'string' ? since : undefined,
      };
      await this.#subscriptions.add(topic, options, (symbol) => {
        this.#reply({ ...head, success: true, ...topic, symbol });
      });
    } catch (error) {
      const problem = this.#options.toProblem(AppError.from(error));
      this.#reply({ ...head, success: false, channel, exchange, symbol: given, interval, problem });
    }
  }

  #reply(body: {
    readonly method: string;
    readonly req_id: ReqId | undefined;
    readonly [member: string]: unknown;
  }): void {
    const json = JSON.stringify({ event_type: 'reply', ...body });
    this.#connection.deliver(createSharedEvent({ type: 'reply', json }), null);
  }

  /** Tells what was wrong; a client that goes on like that is closed. */
  #refuse(error: AppError, envelope: { method?: string | undefined; req_id?: ReqId | undefined }): void {
    const problem = this.#options.toProblem(error);
    const json = JSON.stringify({
      event_type: 'error',
      ...problem,
      ...envelope,
      ...sandboxMark(this.#options),
    });
    this.#connection.deliver(createSharedEvent({ type: 'error', json }), null);
    if (this.#allowance.countViolation(this.#options.monotonic()))
      this.#connection.close(CLOSE.policy, 'Too many faulty messages.');
  }
}

const sandboxMark = ({ sandbox }: { readonly sandbox: boolean }): object => (sandbox ? { sandbox } : {});
