/** The serving thread's end of one worker thread, from its start to its end. A restarted worker is a new connection. */
import { createBirpc, type BirpcReturn } from 'birpc';
import { AppError } from '../../errors.js';
import type { WatchSink } from '../exchange-client.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { settleWithin } from '../../lib/deadline.js';
import {
  TAKEN_AT_ONCE,
  unwrapReply,
  WORKER_EVENTS,
  type Reply,
  type ServingFunctions,
  type WorkerFunctions,
} from './protocol.js';

/** The little of node's Worker that is needed, so that a test can put another port in its place. */
export interface WorkerLike {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  terminate(): Promise<unknown>;
}

export type WorkerRpc = BirpcReturn<WorkerFunctions, ServingFunctions, false>;

interface CallInTime {
  readonly exchange: ExchangeId;
  readonly callId: number;
  /** What is left until its deadline. */
  readonly ms: Millis;
  readonly signal?: AbortSignal | undefined;
}

export const tooManyCalls = (exchange: ExchangeId): AppError =>
  new AppError('overloaded', `Too many calls to ${exchange} are under way.`, { retryAfterMs: 1000 });

interface ConnectionDeps {
  readonly worker: WorkerLike;
  readonly onGateChange: ServingFunctions['gateChanged'];
  readonly onLog: ServingFunctions['log'];
  /** Once, unless `end` came first: the thread has died by itself. */
  readonly onDeath: (reason: string) => void;
}

export class Connection {
  readonly rpc: WorkerRpc;
  readonly #worker: WorkerLike;
  readonly #watches = new Map<number, WatchSink>();
  #taken = 0;
  #ended = false;

  constructor({ worker, onGateChange, onLog, onDeath }: ConnectionDeps) {
    this.#worker = worker;
    const died = (reason: string): void => {
      if (!this.#ended) onDeath(reason);
    };
    worker.on('error', (error) => died(error instanceof Error ? error.message : 'unknown error'));
    worker.on('exit', (code) => died(`exit code ${code}`));
    const functions: ServingFunctions = {
      items: (batch) => {
        for (const [watchId, item] of batch) {
          try {
            this.#watches.get(watchId)?.onItem(item);
          } catch (error) {
            // One reader's fault must not cost the others their items.
            onLog('error', { error }, 'a reader of a feed failed');
          }
        }
        this.#tookBatch();
      },
      subscribed: (watchId, socket) => this.#watches.get(watchId)?.onSubscribed?.(socket),
      ended: (watchId, error) => this.#endWatch(watchId, error === null ? null : AppError.fromPlain(error)),
      gateChanged: onGateChange,
      log: onLog,
    };
    this.rpc = createBirpc<WorkerFunctions, ServingFunctions, false>(functions, {
      proxify: false,
      eventNames: [...WORKER_EVENTS],
      bind: 'functions',
      timeout: -1,
      post: (message) => worker.postMessage(message),
      on: (listener) => void worker.on('message', listener),
    });
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  /** Sends an event; to a thread that is gone it is lost, as it should be. */
  send<K extends (typeof WORKER_EVENTS)[number]>(name: K, ...args: Parameters<WorkerFunctions[K]>): void {
    if (this.#ended) return;
    // birpc works the arguments out from the name, which the compiler can't follow for a name that is generic itself.
    this.rpc.$callEvent(name, ...(args as never)).catch(() => undefined);
  }

  /** The reply to a call, or the error in it; rejects with an AppError, after `ms` at the latest, and then the call is aborted. */
  async reply<T>(work: Promise<Reply<T>>, { exchange, callId, ms, signal }: CallInTime): Promise<T> {
    try {
      const reply = await settleWithin(work, {
        ms,
        signal,
        giveUp: ({ timedOut, reason }) => {
          this.send('abort', callId);
          if (reason instanceof AppError) return reason;
          return new AppError(
            'upstream_timeout',
            timedOut ? `${exchange} did not answer in time.` : `The call to ${exchange} was given up.`,
            { cause: reason },
          );
        },
      });
      return unwrapReply(reply);
    } catch (thrown) {
      throw AppError.from(thrown);
    }
  }

  addWatch(watchId: number, sink: WatchSink): void {
    this.#watches.set(watchId, sink);
  }

  /** Ends a watch at its reader's wish; the worker's own `ended` that follows finds no watch. */
  closeWatch(watchId: number): void {
    if (!this.#watches.has(watchId)) return;
    this.send('unwatch', watchId);
    this.#endWatch(watchId, null);
  }

  /** Ends the thread, whatever it is doing: pending calls and watches end with `error`. Idempotent. */
  end(error: AppError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.rpc.$close(error);
    for (const watchId of [...this.#watches.keys()]) this.#endWatch(watchId, error);
    this.#worker.terminate().catch(() => undefined);
  }

  #tookBatch(): void {
    this.#taken += 1;
    if (this.#taken < TAKEN_AT_ONCE) return;
    this.send('taken', this.#taken);
    this.#taken = 0;
  }

  #endWatch(watchId: number, error: AppError | null): void {
    const sink = this.#watches.get(watchId);
    this.#watches.delete(watchId);
    sink?.onEnd(error);
  }
}
