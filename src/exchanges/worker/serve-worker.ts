/** The worker's side: serves an ExchangeClient over a message port. Runs in a thread, or in a test beside its caller. */
import { createBirpc } from 'birpc';
import type { Transferable } from 'node:worker_threads';
import { AppError } from '../../errors.js';
import type { Log } from '../../log/log.js';
import type { GateState, GateStates } from '../rate-limit/upstream-gate.js';
import type { Millis } from '../../schemas/common.js';
import type { ExchangeClient, StreamItem, WatchHandle } from '../exchange-client.js';
import { portLog } from '../../log/port-log.js';
import {
  MAX_UNTAKEN_BATCHES,
  SERVING_EVENTS,
  replyOf,
  type ServingFunctions,
  type WatchedItem,
  type WireOptions,
  type WorkerFunctions,
  type WorkerReport,
} from './protocol.js';

/**
 * Where the last batch held several items, the next waits this long for its companions: venues send their symbols in
 * bursts, and what reaches the serving thread together leaves it in one write a client.
 */
export const COMPANION_WAIT_MS = 1;
/** Batches are at least this far apart. */
export const BATCH_INTERVAL_MS = 4;
/** Items of one watch that may wait; only trades and candles, which are never conflated, can reach it. */
export const MAX_WAITING_ITEMS = 2000;

export interface ItemBatcherDeps {
  readonly now: () => Millis;
  readonly send: (batch: readonly WatchedItem[]) => void;
  /** A watch has outrun its reader for too long; its items are gone and it should end. */
  readonly onOverflow: (watchId: number) => void;
}

/**
 * Gathers a worker's stream items into batches: one message to the serving thread for many items. A lone feed's item
 * leaves at once; a flood leaves every few milliseconds, tickers and order books conflated to the latest of each watch.
 */
export class ItemBatcher {
  readonly #deps: ItemBatcherDeps;
  readonly #waiting = new Map<number, StreamItem[]>();
  #untaken = 0;
  #lastSentAt: Millis = -Infinity;
  #lastSize = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(deps: ItemBatcherDeps) {
    this.#deps = deps;
  }

  add(watchId: number, item: StreamItem): void {
    if (this.#closed) return;
    let items = this.#waiting.get(watchId);
    if (items === undefined) this.#waiting.set(watchId, (items = []));
    if (item.channel === 'ticker' || item.channel === 'orderbook') items[0] = item;
    else items.push(item);
    if (items.length > MAX_WAITING_ITEMS) {
      this.#waiting.delete(watchId);
      this.#deps.onOverflow(watchId);
      return;
    }
    this.#schedule();
  }

  /** Sends what waits of a watch that ends, so that its last items come before its end. */
  flush(): void {
    this.#unschedule();
    if (this.#waiting.size === 0) return;
    const batch: WatchedItem[] = [];
    for (const [watchId, items] of this.#waiting) for (const item of items) batch.push([watchId, item]);
    this.#waiting.clear();
    this.#lastSize = batch.length;
    this.#untaken += 1;
    this.#lastSentAt = this.#deps.now();
    this.#deps.send(batch);
  }

  taken(batches: number): void {
    this.#untaken = Math.max(0, this.#untaken - batches);
    if (this.#waiting.size > 0) this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#unschedule();
    this.#waiting.clear();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#immediate !== undefined) return;
    if (this.#untaken >= MAX_UNTAKEN_BATCHES) return;
    const spacing = this.#lastSentAt + BATCH_INTERVAL_MS - this.#deps.now();
    const wait = Math.max(spacing, this.#lastSize > 1 ? COMPANION_WAIT_MS : 0);
    // A timer of 0 ms takes 1; items that come in one turn of the loop go together either way.
    if (wait <= 0) this.#immediate = setImmediate(() => this.flush());
    else this.#timer = setTimeout(() => this.flush(), wait).unref();
  }

  #unschedule(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
  }
}

/** What the serving thread may hold open in one worker; it bounds calls itself, watches by its topics. */
const MAX_WATCHES = 20_000;
/** For loading markets before a caller waits for them. */
const WARM_TIMEOUT_MS = 30_000;

/** A message port, or what stands for one. */
interface ServedPort {
  postMessage(message: unknown, moved: readonly Transferable[]): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

export interface ServeWorkerOptions {
  readonly port: ServedPort;
  readonly createClient: (hooks: {
    readonly log: Log;
    readonly onGateChange: (state: GateState) => void;
  }) => ExchangeClient & GateStates;
  /** The part of a report that only the thread itself knows. */
  readonly threadStats: () => Pick<
    WorkerReport,
    'memoryBytes' | 'eventLoopDelayP99Ms' | 'unhandledRejections'
  >;
  /** The clock of durations and deadlines. */
  readonly monotonic: () => number;
}

/**
 * The answer's bytes, to be moved rather than copied. Views into a larger buffer (Node's pool) are left to be copied:
 * moving that buffer would take its other views away.
 */
const transferablesOf = (message: unknown): Transferable[] => {
  const reply = (message as { r?: { ok?: unknown; value?: { body?: unknown } } }).r;
  const body = reply?.value?.body;
  if (!(body instanceof Uint8Array) || body.byteLength !== body.buffer.byteLength) return [];
  return body.buffer instanceof ArrayBuffer ? [body.buffer] : [];
};

export interface ServedWorker {
  readonly log: Log;
  /** Stops serving; the port is the caller's to close. */
  close(): Promise<void>;
}

export const serveWorker = ({
  port,
  createClient,
  threadStats,
  monotonic,
}: ServeWorkerOptions): ServedWorker => {
  const calls = new Map<number, AbortController>();
  const watches = new Map<number, WatchHandle>();

  const emit = <K extends keyof ServingFunctions>(
    name: K,
    ...args: Parameters<ServingFunctions[K]>
  ): void => {
    // The cast: birpc works the arguments out from the name, which the compiler can't follow for a generic name.
    // Only a closed port or a value that can't be cloned rejects, and then there is no port to tell it through.
    rpc.$callEvent(name, ...(args as never)).catch(() => undefined);
  };
  const log = portLog((level, details, message) => emit('log', level, details, message));
  const batcher = new ItemBatcher({
    now: monotonic,
    send: (batch) => emit('items', batch),
    onOverflow: (watchId) => end(watchId, new AppError('overloaded', 'The feed was faster than its reader.')),
  });

  /** Ends a watch once, from either side. */
  const end = (watchId: number, error: AppError | null): void => {
    const handle = watches.get(watchId);
    if (handle === undefined) return;
    watches.delete(watchId);
    batcher.flush();
    emit('ended', watchId, error === null ? null : error.toPlain());
    handle.close();
  };

  /** Runs a call under a signal that `abort(callId)` pulls. */
  const abortable = <T>(
    callId: number,
    options: WireOptions,
    run: (options: WireOptions & { signal: AbortSignal }) => Promise<T>,
  ) =>
    replyOf(async () => {
      const controller = new AbortController();
      calls.set(callId, controller);
      try {
        return await run({ ...options, signal: controller.signal });
      } finally {
        calls.delete(callId);
      }
    });

  const close = async (): Promise<void> => {
    for (const controller of calls.values())
      controller.abort(new AppError('shutting_down', 'The server is shutting down.'));
    batcher.close();
    watches.clear();
    await client.close();
  };

  const functions: WorkerFunctions = {
    describe: (exchange) => replyOf(() => client.describe(exchange)),
    fetch: (callId, request, options) =>
      abortable(callId, options, (withSignal) => client.fetch(request, withSignal)),
    markets: (callId, exchange, options) =>
      abortable(callId, options, (withSignal) => client.markets(exchange, withSignal)),
    abort: (callId) => calls.get(callId)?.abort(),
    warm: (exchanges) => {
      const options = { deadline: monotonic() + WARM_TIMEOUT_MS, priority: 'caller' } as const;
      // The next call that needs these markets meets the same fault and is told.
      for (const exchange of exchanges) client.markets(exchange, options).catch(() => undefined);
    },
    watch: (watchId, topic) => {
      // A placeholder first: a feed may end before `watch` returns.
      watches.set(watchId, { close: () => undefined });
      try {
        if (watches.size > MAX_WATCHES) throw new AppError('overloaded', 'Too many feeds.');
        const handle = client.watch(topic, {
          onSubscribed: (socket) => {
            if (watches.has(watchId)) emit('subscribed', watchId, socket);
          },
          onItem: (item) => {
            if (watches.has(watchId)) batcher.add(watchId, item);
          },
          onEnd: (error) => end(watchId, error),
        });
        if (watches.has(watchId)) watches.set(watchId, handle);
        else handle.close();
      } catch (thrown) {
        end(watchId, AppError.from(thrown));
      }
    },
    unwatch: (watchId) => end(watchId, null),
    taken: (batches) => batcher.taken(batches),
    report: (withGates) => ({
      health: client.health(),
      gates: withGates ? client.gateStates() : [],
      ...threadStats(),
    }),
    close,
  };

  const rpc = createBirpc<ServingFunctions, WorkerFunctions, false>(functions, {
    proxify: false,
    eventNames: [...SERVING_EVENTS],
    bind: 'functions',
    timeout: -1,
    post: (message) => port.postMessage(message, transferablesOf(message)),
    on: (listener) => void port.on('message', listener),
    onGeneralError: (error) => {
      log.error({ error }, 'a message to the serving thread could not be sent');
      return true;
    },
  });
  const client = createClient({ log, onGateChange: (state) => emit('gateChanged', state) });
  return { log, close };
};
