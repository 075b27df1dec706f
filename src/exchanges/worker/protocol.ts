/**
 * What the serving thread and a venue worker say to each other over birpc. Everything here survives structured cloning;
 * errors cross as plain data inside a `Reply`, never as thrown values.
 */
import { AppError, type PlainError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { LogLevel } from '../../log/port-log.js';
import type { GateState } from '../rate-limit/upstream-gate.js';
import type { Config } from '../../config/config.js';
import type {
  CallOptions,
  ExchangeDescription,
  ExchangeHealth,
  MarketAnswer,
  MarketList,
  MarketRequest,
  StreamItem,
  StreamTopic,
  TickersRequest,
} from '../exchange-client.js';

/** Where servers meet that share budgets, as the cluster's driver wants it. */
export interface BusPlace {
  /** Of Redis; may hold a password. */
  readonly url: string;
  readonly namespace: string;
  readonly serverId: string;
  /** Servers of the same egress leave by the same address, so that a venue counts them as one. */
  readonly egress: string;
  /** Simulated venues: nothing is shared with servers of real ones. */
  readonly sandbox: boolean;
}

export type Reply<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: PlainError };

/** A call's options without its signal: `abort(callId)` stands for it. */
export type WireOptions = Pick<CallOptions, 'deadline' | 'priority' | 'client' | 'attempts'>;

/** Settings of the CCXT client, all of them plain data. */
export interface WorkerClientOptions {
  readonly exchanges: readonly ExchangeId[];
  readonly exchangeOptions: Config['exchangeOptions'];
  readonly budget: Config['budget'];
  readonly upstreamTimeoutMs: Millis;
  readonly proxy: Config['proxy'];
  readonly sandboxUrl: string | null;
  readonly userAgent: string;
  /** The servers that share the budgets; null: this one counts alone. */
  readonly bus?: BusPlace | null | undefined;
}

/** Handed over when a worker starts. */
export interface WorkerData {
  readonly clientOptions: WorkerClientOptions;
  /** Where its predecessor's gates stood. */
  readonly gates: readonly GateState[];
  /** Of the clock that deadlines are told by. */
  readonly clockOrigin: Millis;
}

export interface WorkerReport {
  readonly health: readonly ExchangeHealth[];
  /** Empty unless asked for. */
  readonly gates: readonly GateState[];
  /** Heap and external memory that the worker's isolate holds, without garbage, in bytes. */
  readonly memoryBytes: number;
  /** Of the worker's event loop since the last report. */
  readonly eventLoopDelayP99Ms: Millis;
  readonly unhandledRejections: number;
}

export type WatchedItem = readonly [watchId: number, item: StreamItem];

/** Served by the worker. */
export interface WorkerFunctions {
  describe(exchange: ExchangeId): Promise<Reply<ExchangeDescription>>;
  fetch(
    callId: number,
    request: MarketRequest | TickersRequest,
    options: WireOptions,
  ): Promise<Reply<MarketAnswer>>;
  markets(callId: number, exchange: ExchangeId, options: WireOptions): Promise<Reply<MarketList>>;
  report(withGates: boolean): WorkerReport;
  close(): Promise<void>;
  // Events: they have no answer.
  abort(callId: number): void;
  /** Load the markets of these exchanges before somebody asks. */
  warm(exchanges: readonly ExchangeId[]): void;
  watch(watchId: number, topic: StreamTopic): void;
  unwatch(watchId: number): void;
  /** So many more batches of items have been taken: as many more may be sent. */
  taken(batches: number): void;
}
export const WORKER_EVENTS = ['abort', 'warm', 'watch', 'unwatch', 'taken'] as const;

/** Batches of items that may be on their way before the serving thread has told of those that it took. */
export const MAX_UNTAKEN_BATCHES = 16;
/** It tells of so many at once: each message wakes the worker, which costs more than what it says. */
export const TAKEN_AT_ONCE = MAX_UNTAKEN_BATCHES / 2;

/** Served by the serving thread; all of them events. */
export interface ServingFunctions {
  items(batch: readonly WatchedItem[]): void;
  /** The watch was subscribed on the connection of this name. */
  subscribed(watchId: number, socket: string): void;
  /** The watch is over: broken (error) or closed (null). */
  ended(watchId: number, error: PlainError | null): void;
  gateChanged(state: GateState): void;
  log(level: LogLevel, details: Readonly<Record<string, unknown>>, message: string): void;
}
export const SERVING_EVENTS = ['items', 'subscribed', 'ended', 'gateChanged', 'log'] as const;

/** `work`'s outcome as a Reply; a fault that is no AppError is an internal error. */
export const replyOf = async <T>(work: () => Promise<T>): Promise<Reply<T>> => {
  try {
    return { ok: true, value: await work() };
  } catch (thrown) {
    return { ok: false, error: AppError.from(thrown).toPlain() };
  }
};

/** The inverse of `replyOf`: the value, or the AppError thrown. */
export const unwrapReply = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw AppError.fromPlain(reply.error);
};
