/**
 * The venues as a serving process has them: behind the feeder. Calls that were with a feeder that died go to its successor,
 * for which they wait as long as they may; feeds end, and are opened anew by who reads them.
 */
import { AppError } from '../errors.js';
import type {
  CallOptions,
  ExchangeClient,
  ExchangeDescription,
  ExchangeHealth,
  WatchHandle,
} from '../exchanges/exchange-client.js';
import { Connection, tooManyCalls, type WorkerRpc } from '../exchanges/worker/connection.js';
import type { Reply, WireOptions } from '../exchanges/worker/protocol.js';
import { STEADY_ORIGIN } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { FEEDER, type Wanted } from './feeder-protocol.js';
import { socketPath } from './local-socket.js';
import { PortAttempt } from './port-client.js';

const REPORT_EVERY_MS: Millis = 250;
/** Calls that wait for the feeder. */
const MAX_IN_FLIGHT = 5_000;
/** The feeder's own word on a deadline, which knows more, comes before ours. */
const DEADLINE_MARGIN_MS = 10;
/** A description makes no upstream call. */
const DESCRIBE_TIMEOUT_MS: Millis = 15_000;
/** A feeder that is away for so long is not just being replaced. */
const MISSED_AFTER_MS: Millis = 5_000;

/** Marks the loss of a feeder, which says nothing about the call that it was lost with. */
const LOST = Symbol('feeder lost');
const lost = (): AppError =>
  new AppError('upstream_unavailable', 'The process that asks the exchanges is being replaced.', {
    retryAfterMs: 1_000,
    cause: LOST,
  });

const unknownHealth = (
  exchange: ExchangeId,
  limit: { requests: number; windowMs: Millis },
): ExchangeHealth => ({
  ...{ exchange, markets: 'not_loaded', marketsLoadedAt: null, coolDownUntil: null, circuit: 'closed' },
  budget: { limit: limit.requests, remaining: limit.requests, windowMs: limit.windowMs },
  ...{ worker: 'starting', workerRestarts: 0, lastError: null, since: 0 },
});

export interface FeederExchangesOptions {
  /** Of the sockets. */
  readonly folder: string;
  readonly exchanges: readonly ExchangeId[];
  readonly budget: { readonly requests: number; readonly windowMs: Millis };
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

type Invoke<T> = (rpc: WorkerRpc, callId: number, options: WireOptions) => Promise<Reply<T>>;

export class FeederExchanges implements ExchangeClient {
  readonly #options: FeederExchangesOptions;
  #connection: Connection;
  #attempt: PortAttempt;
  #health: readonly ExchangeHealth[];
  readonly #reporter: NodeJS.Timeout;
  #inFlight = 0;
  #lastId = 0;
  #closed = false;
  /** Since when no feeder answers; null: one does. */
  #awaySince: Millis | null;

  constructor(options: FeederExchangesOptions) {
    const { exchanges, budget, monotonic } = options;
    this.#options = options;
    this.#health = exchanges.map((exchange) => unknownHealth(exchange, budget));
    this.#awaySince = monotonic();
    [this.#attempt, this.#connection] = this.#connect();
    this.#reporter = setInterval(() => void this.#report(), REPORT_EVERY_MS).unref();
  }

  async describe(exchange: ExchangeId): Promise<ExchangeDescription> {
    const deadline = this.#options.monotonic() + DESCRIBE_TIMEOUT_MS;
    return this.#call(exchange, { deadline, priority: 'caller' }, (rpc) => rpc.$call('describe', exchange));
  }

  markets: ExchangeClient['markets'] = (exchange, options) =>
    this.#call(exchange, options, (rpc, callId, wire) => rpc.$call('markets', callId, exchange, wire));

  fetch: ExchangeClient['fetch'] = (request, options) =>
    this.#call(request.exchange, options, (rpc, callId, wire) => rpc.$call('fetch', callId, request, wire));

  watch: ExchangeClient['watch'] = (topic, sink): WatchHandle => {
    const connection = this.#connection;
    const watchId = (this.#lastId += 1);
    connection.addWatch(watchId, sink);
    connection.send('watch', watchId, topic);
    return { close: () => queueMicrotask(() => connection.closeWatch(watchId)) };
  };

  health(): readonly ExchangeHealth[] {
    if (this.#awaySince === null) return this.#health;
    const isMissed = this.#options.monotonic() - this.#awaySince > MISSED_AFTER_MS;
    const worker = isMissed ? 'restarting' : 'starting';
    return this.#health.map((health) => ({ ...health, worker }));
  }

  close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#reporter);
    this.#connection.end(new AppError('shutting_down', 'The server is shutting down.'));
    return Promise.resolve();
  }

  #connect(): [PortAttempt, Connection] {
    const { folder, log, monotonic } = this.#options;
    const attempt = new PortAttempt(socketPath(folder, FEEDER), 'exchanges' satisfies Wanted);
    const connection: Connection = new Connection({
      worker: {
        postMessage: (message) => attempt.postMessage(message),
        on: (event: string, listener: (about: never) => void) => {
          // A socket has no `error` beside its end.
          if (event !== 'error')
            attempt.on(event as 'message' | 'exit', listener as (about: unknown) => void);
        },
        terminate: () => {
          attempt.end();
          return Promise.resolve();
        },
      },
      onGateChange: () => undefined,
      onLog: (level, details, message) => log[level](details, message),
      onDeath: () => {
        if (this.#connection !== connection || this.#closed) return;
        this.#awaySince = monotonic();
        log.warn({}, 'the feeder is gone; another one takes its place');
        [this.#attempt, this.#connection] = this.#connect();
        connection.end(lost());
      },
    });
    return [attempt, connection];
  }

  /** The end of a feeder ends no call: it goes to the next one, within its deadline. */
  async #call<T>(exchange: ExchangeId, options: CallOptions, invoke: Invoke<T>): Promise<T> {
    for (;;) {
      const connection = this.#connection;
      try {
        return await this.#callOnce(connection, exchange, { options, invoke });
      } catch (thrown) {
        const isLost = thrown instanceof AppError && thrown.cause === LOST;
        if (!isLost || this.#closed || connection === this.#connection) throw thrown;
      }
    }
  }

  async #callOnce<T>(
    connection: Connection,
    exchange: ExchangeId,
    { options, invoke }: { readonly options: CallOptions; readonly invoke: Invoke<T> },
  ): Promise<T> {
    if (this.#closed) throw new AppError('shutting_down', 'The server is shutting down.');
    if (this.#inFlight >= MAX_IN_FLIGHT) throw tooManyCalls(exchange);
    const callId = (this.#lastId += 1);
    const { deadline, priority, client, attempts, signal } = options;
    const wire = { deadline: deadline - DEADLINE_MARGIN_MS - STEADY_ORIGIN, priority, client, attempts };
    this.#inFlight += 1;
    try {
      const ms = deadline - this.#options.monotonic();
      return await connection.reply(invoke(connection.rpc, callId, wire), { exchange, callId, ms, signal });
    } finally {
      this.#inFlight -= 1;
    }
  }

  async #report(): Promise<void> {
    const [attempt, connection] = [this.#attempt, this.#connection];
    if (!attempt.isConnected) return;
    try {
      const { health } = await connection.rpc.$call('report', false);
      if (connection !== this.#connection) return;
      this.#health = health;
      this.#awaySince = null;
    } catch {
      // The connection has ended.
    }
  }
}
