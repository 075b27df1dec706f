/** The worker's side: serves an ExchangeClient over a message port. Runs in a thread, or in a test beside its caller. */
import { createBirpc } from 'birpc';
import type { MessagePort, Transferable } from 'node:worker_threads';
import { AppError } from '../../errors.js';
import type { Log } from '../../log/log.js';
import type { GateState, GateStates } from '../rate-limit/upstream-gate.js';
import type { ExchangeClient, WatchHandle } from '../exchange-client.js';
import { ItemBatcher } from './item-batcher.js';
import { portLog } from '../../log/port-log.js';
import {
  SERVING_EVENTS,
  replyOf,
  type ServingFunctions,
  type WireOptions,
  type WorkerFunctions,
  type WorkerReport,
} from './protocol.js';

/** What the serving thread may hold open in one worker; it bounds calls itself, watches by its topics. */
const MAX_WATCHES = 20_000;
/** For loading markets that nobody waits for yet. */
const WARM_TIMEOUT_MS = 30_000;

export interface ServeWorkerOptions {
  readonly port: MessagePort;
  readonly createClient: (hooks: {
    readonly log: Log;
    readonly onGateChange: (state: GateState) => void;
  }) => ExchangeClient & GateStates;
  /** The part of a report that only the thread itself knows. */
  readonly vitals: () => Pick<WorkerReport, 'memoryBytes' | 'eventLoopDelayP99Ms' | 'unhandledRejections'>;
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

export const serveWorker = ({ port, createClient, vitals, monotonic }: ServeWorkerOptions): ServedWorker => {
  const calls = new Map<number, AbortController>();
  const watches = new Map<number, WatchHandle>();

  const emit = <K extends keyof ServingFunctions>(
    name: K,
    ...args: Parameters<ServingFunctions[K]>
  ): void => {
    // The cast: birpc works the arguments out from the name, which the compiler can't follow for a generic name.
    // Only a closed port or a value that can't be cloned rejects: nobody is left to tell.
    rpc.$callEvent(name, ...(args as never)).catch(() => undefined);
  };
  const log = portLog((level, details, message) => emit('log', level, details, message));
  const batcher = new ItemBatcher({
    now: monotonic,
    send: (batch) => emit('items', batch),
    onOverflow: (watchId) => end(watchId, new AppError('overloaded', 'The feed was faster than its reader.')),
  });

  /** Ends a watch once, whoever ends it. */
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
      // Whoever asks for these markets next meets the same fault and hears of it.
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
      ...vitals(),
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
