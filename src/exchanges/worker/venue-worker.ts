/**
 * One slot of the pool: a worker thread and its successors. Sees to it that there is one that answers, and that every
 * call settles by its deadline whatever the thread does.
 */
import { AppError } from '../../errors.js';
import { settleWithin } from '../../lib/deadline.js';
import { STEADY_ORIGIN } from '../../lib/steady-clock.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Log } from '../../log/log.js';
import type { GateState } from '../rate-limit/upstream-gate.js';
import type { CallOptions, ExchangeHealth, StreamTopic, WatchHandle, WatchSink } from '../exchange-client.js';
import { Connection, tooManyCalls, type WorkerLike, type WorkerRpc } from './connection.js';
import { Heartbeat, RestartBackoff, hasMarkets, mirroredHealth } from './worker-health.js';
import type { Reply, WireOptions, WorkerData, WorkerReport } from './protocol.js';

export const HEARTBEAT_MS = 250;
/** Gate states ride on every fourth heartbeat; a cool-down is told at once. */
const GATES_EVERY = 4;
/** Calls in flight in one worker. */
export const MAX_IN_FLIGHT = 1000;
/** The worker's own word on a deadline, which knows more, comes before ours. */
const DEADLINE_MARGIN_MS = 25;
/** How long a worker may take to close its sockets before it is ended. */
const CLOSE_GRACE_MS = 1000;

export interface VenueWorkerOptions {
  readonly index: number;
  readonly exchanges: readonly ExchangeId[];
  readonly spawn: (data: WorkerData) => WorkerLike;
  readonly clientOptions: WorkerData['clientOptions'];
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
}

export interface WorkerStats {
  readonly index: number;
  readonly exchanges: readonly ExchangeId[];
  readonly state: ExchangeHealth['worker'];
  readonly restarts: number;
  readonly inFlight: number;
  readonly watches: number;
  /** Of the latest report; null before the first. */
  readonly report: Omit<WorkerReport, 'health' | 'gates'> | null;
}

/** Marks the loss of a thread, which says nothing about the call that it was lost with. */
const LOST = Symbol('worker lost');
const isLost = (thrown: unknown): boolean => thrown instanceof AppError && thrown.cause === LOST;

type Invoke<T> = (rpc: WorkerRpc, callId: number, options: WireOptions) => Promise<Reply<T>>;

export class VenueWorker {
  readonly #options: VenueWorkerOptions;
  readonly #backoff = new RestartBackoff();
  readonly #gates = new Map<ExchangeId, GateState>();
  /** Exchanges whose markets some predecessor had: a successor loads them at once. */
  readonly #used = new Set<ExchangeId>();
  #connection: Connection | null = null;
  #state: ExchangeHealth['worker'] = 'starting';
  #stateSince: Millis;
  #beatTimer: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #restartAt: Millis = 0;
  #restarts = 0;
  #beats = 0;
  #heartbeat: Heartbeat;
  #inFlight = 0;
  #lastId = 0;
  #closed = false;

  constructor(options: VenueWorkerOptions) {
    this.#options = options;
    this.#heartbeat = new Heartbeat(options.exchanges.length);
    this.#stateSince = options.now();
  }

  /** Starts the thread if none was started yet; its restarts are its own affair. */
  start(): void {
    if (this.#closed || this.#beatTimer !== undefined) return;
    this.#beatTimer = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#beatTimer.unref();
    this.#spawn();
  }

  /** A call whose thread is lost goes once more to the successor, where that is there at once. */
  async call<T>(exchange: ExchangeId, options: CallOptions, invoke: Invoke<T>): Promise<T> {
    try {
      return await this.#call(exchange, options, invoke);
    } catch (thrown) {
      if (!isLost(thrown) || this.#connection === null || options.signal?.aborted === true) throw thrown;
      return this.#call(exchange, options, invoke);
    }
  }

  async #call<T>(exchange: ExchangeId, options: CallOptions, invoke: Invoke<T>): Promise<T> {
    const connection = this.#reach(exchange);
    if (this.#inFlight >= MAX_IN_FLIGHT) throw tooManyCalls(exchange);
    const callId = (this.#lastId += 1);
    const { deadline, priority, client, signal } = options;
    const wire = { deadline: deadline - DEADLINE_MARGIN_MS, priority, client };
    this.#inFlight += 1;
    try {
      const ms = deadline - this.#options.monotonic();
      return await connection.reply(invoke(connection.rpc, callId, wire), { exchange, callId, ms, signal });
    } finally {
      this.#inFlight -= 1;
    }
  }

  watch(topic: StreamTopic, sink: WatchSink): WatchHandle {
    let connection: Connection;
    try {
      connection = this.#reach(topic.exchange);
    } catch (thrown) {
      // As any feed: the end comes after the handle.
      queueMicrotask(() => sink.onEnd(AppError.from(thrown)));
      return { close: () => undefined };
    }
    const watchId = (this.#lastId += 1);
    connection.addWatch(watchId, sink);
    connection.send('watch', watchId, topic);
    return { close: () => queueMicrotask(() => connection.closeWatch(watchId)) };
  }

  health(): readonly ExchangeHealth[] {
    const { exchanges, clientOptions, now, monotonic } = this.#options;
    return exchanges.map((exchange) =>
      mirroredHealth({
        exchange,
        reported: this.#heartbeat.report?.health.find((health) => health.exchange === exchange),
        gate: this.#gates.get(exchange),
        budget: clientOptions.budget,
        worker: this.#state,
        workerSince: this.#stateSince,
        workerRestarts: this.#restarts,
        now: now(),
        monotonic: monotonic(),
      }),
    );
  }

  stats(): WorkerStats {
    const { index, exchanges } = this.#options;
    const { report } = this.#heartbeat;
    return {
      index,
      exchanges,
      state: this.#state,
      restarts: this.#restarts,
      inFlight: this.#inFlight,
      watches: this.#connection?.watchCount ?? 0,
      report,
    };
  }

  /** Lets the worker close its sockets for a moment, then ends it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#beatTimer);
    clearTimeout(this.#restart);
    const connection = this.#connection;
    if (connection === null) return;
    const shutDown = new AppError('shutting_down', 'The server is shutting down.');
    await settleWithin(connection.rpc.$call('close'), { ms: CLOSE_GRACE_MS, giveUp: () => shutDown }).catch(
      () => undefined,
    );
    connection.end(shutDown);
    this.#connection = null;
  }

  #reach(exchange: ExchangeId): Connection {
    if (this.#closed) throw new AppError('shutting_down', 'The server is shutting down.');
    this.start();
    if (this.#connection !== null) return this.#connection;
    throw this.#lost(exchange, Math.max(1, this.#restartAt - this.#options.monotonic()));
  }

  /** No upstream is named: the venue has nothing to do with it. */
  #lost(exchanges: string, retryAfterMs?: Millis): AppError {
    return new AppError('upstream_unavailable', `The worker for ${exchanges} is being restarted.`, {
      retryAfterMs,
      cause: LOST,
    });
  }

  /** A thread that begins where its predecessor was; throws where none can be started. */
  #start(): Connection {
    const { exchanges, clientOptions, spawn, log, index } = this.#options;
    const data = {
      clientOptions: { ...clientOptions, exchanges },
      gates: [...this.#gates.values()],
      clockOrigin: STEADY_ORIGIN,
    };
    const connection: Connection = new Connection({
      worker: spawn(data),
      onGateChange: (state) => this.#gates.set(state.exchange, state),
      onLog: (level, details, message) => log[level]({ ...details, worker: index }, message),
      onDeath: (reason) => {
        if (this.#connection === connection) this.#replace(reason);
      },
    });
    if (this.#used.size > 0) connection.send('warm', [...this.#used]);
    return connection;
  }

  #spawn(): void {
    this.#heartbeat = new Heartbeat(this.#options.exchanges.length);
    try {
      this.#connection = this.#start();
    } catch (thrown) {
      this.#replace(thrown instanceof Error ? thrown.message : 'it could not be started');
    }
  }

  #replace(reason: string): void {
    const { exchanges, index, log, monotonic } = this.#options;
    const connection = this.#connection;
    this.#connection = null;
    if (this.#closed) {
      connection?.end(this.#lost(exchanges.join(', ')));
      return;
    }
    const wait = this.#backoff.next(monotonic());
    this.#restarts += 1;
    this.#restartAt = monotonic() + wait;
    this.#to('restarting');
    const memoryBytes = this.#heartbeat.report?.memoryBytes;
    log.warn({ worker: index, exchanges, reason, memoryBytes, waitMs: wait }, 'a worker is replaced');
    const lost = this.#lost(exchanges.join(', '), wait > 0 ? wait : undefined);
    // The successor comes first: what is lost with its predecessor goes there at once.
    if (wait === 0) this.#spawn();
    else {
      this.#heartbeat = new Heartbeat(exchanges.length);
      this.#restart = setTimeout(() => this.#spawn(), wait);
      this.#restart.unref();
    }
    connection?.end(lost);
  }

  #beat(): void {
    const connection = this.#connection;
    if (connection === null) return;
    const isWaitedFor = this.#inFlight > 0 || connection.watchCount > 0;
    const verdict = this.#heartbeat.beat(isWaitedFor);
    if (verdict === 'hung') this.#replace('it hangs');
    if (verdict !== 'ask') return;
    const withGates = this.#beats % GATES_EVERY === 0;
    this.#beats += 1;
    connection.rpc.$call('report', withGates).then(
      (report) => {
        if (this.#connection === connection) this.#take(report);
      },
      () => undefined, // The connection ended; its successor counts anew.
    );
  }

  #take(report: WorkerReport): void {
    const verdict = this.#heartbeat.answered(report);
    for (const gate of report.gates) this.#gates.set(gate.exchange, gate);
    for (const { exchange, markets } of report.health) if (hasMarkets(markets)) this.#used.add(exchange);
    if (this.#state !== 'running') {
      this.#to('running');
      this.#backoff.started(this.#options.monotonic());
    }
    if (verdict === 'outgrown') this.#replace('it outgrew its memory');
  }

  #to(state: ExchangeHealth['worker']): void {
    this.#state = state;
    this.#stateSince = this.#options.now();
  }
}
