/**
 * The venues behind worker threads, behind the interface of ExchangeClient: whatever a venue or CCXT does to a thread, this
 * thread goes on serving. Each exchange lives in one worker of a small pool, always the same.
 */
import { availableParallelism } from 'node:os';
import { Worker, type ResourceLimits } from 'node:worker_threads';
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Log } from '../../log/log.js';
import type { CallOptions, ExchangeClient, ExchangeDescription } from '../exchange-client.js';
import type { WorkerLike } from './connection.js';
import type { WorkerClientOptions, WorkerData } from './protocol.js';
import { VenueWorker, type WorkerStats } from './venue-worker.js';
import { maxWorkerBytes } from './worker-health.js';

/** V8's own limit, as a part of the one that a worker reports itself: over it the thread ends, not the process. */
const OLD_SPACE = 1.28;
const maxOldSpaceMb = (exchanges: number): number =>
  Math.ceil((OLD_SPACE * maxWorkerBytes(exchanges)) / 1_048_576);
/** A description makes no upstream call; it waits for the module of its exchange to load. */
const DESCRIBE_TIMEOUT_MS = 15_000;

export interface SupervisorOptions {
  /** At least 1; auto: one an exchange, up to the cores less one. */
  readonly workers: number | 'auto';
  /** The enabled exchanges, by CCXT id. */
  readonly exchanges: readonly ExchangeId[];
  readonly clientOptions: Omit<WorkerClientOptions, 'exchanges'>;
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations and deadlines; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  /** Starts a thread that serves the protocol; a test puts its own in its place. */
  readonly spawn?: ((data: WorkerData, resourceLimits: ResourceLimits) => WorkerLike) | undefined;
}

export interface Supervisor extends ExchangeClient {
  /** Starts the threads before anybody asks; the first call does it otherwise. Idempotent. */
  start(): void;
  stats(): readonly WorkerStats[];
}

const spawnThread = (data: WorkerData, resourceLimits: ResourceLimits): WorkerLike =>
  new Worker(new URL('./worker-entry.js', import.meta.url), {
    workerData: data,
    name: data.clientOptions.exchanges.join(','),
    resourceLimits,
    // Debugger and loader flags are the serving thread's own.
    execArgv: [],
  });

const notEnabled = (exchange: string): AppError =>
  new AppError('exchange_not_enabled', `${exchange.slice(0, 32)} is not enabled on this server.`);

/** How many workers serve `exchanges`. */
export const poolSize = (
  workers: number | 'auto',
  exchanges: number,
  cores = availableParallelism(),
): number => Math.max(1, Math.min(exchanges, workers === 'auto' ? cores - 1 : workers));

export const createSupervisor = ({
  workers,
  exchanges,
  clientOptions,
  log,
  now,
  monotonic = now,
  spawn = spawnThread,
}: SupervisorOptions): Supervisor => {
  const size = poolSize(workers, exchanges.length);
  const pool = Array.from({ length: size }, (_, index) => {
    const own = exchanges.filter((__, position) => position % size === index);
    return new VenueWorker({
      index,
      exchanges: own,
      spawn: (data) => spawn(data, { maxOldGenerationSizeMb: maxOldSpaceMb(own.length) }),
      clientOptions: { ...clientOptions, exchanges: own },
      log,
      now,
      monotonic,
    });
  });
  const workerByExchange = new Map(
    exchanges.flatMap((exchange, position) => {
      const worker = pool[position % size];
      return worker === undefined ? [] : [[exchange, worker] as const];
    }),
  );
  const workerOf = (exchange: ExchangeId): VenueWorker => {
    const worker = workerByExchange.get(exchange);
    if (worker === undefined) throw notEnabled(exchange);
    return worker;
  };
  // A description never changes: CCXT's own tables. Bounded by the enabled exchanges.
  const descriptions = new Map<ExchangeId, ExchangeDescription>();

  return {
    describe: async (exchange) => {
      const known = descriptions.get(exchange);
      if (known !== undefined) return known;
      const options: CallOptions = { deadline: monotonic() + DESCRIBE_TIMEOUT_MS, priority: 'caller' };
      const description = await workerOf(exchange).call(exchange, options, (rpc) =>
        rpc.$call('describe', exchange),
      );
      descriptions.set(exchange, description);
      return description;
    },
    markets: async (exchange, options) =>
      workerOf(exchange).call(exchange, options, (rpc, callId, wire) =>
        rpc.$call('markets', callId, exchange, wire),
      ),
    fetch: async (request, options) =>
      workerOf(request.exchange).call(request.exchange, options, (rpc, callId, wire) =>
        rpc.$call('fetch', callId, request, wire),
      ),
    watch: (topic, sink) => {
      const worker = workerByExchange.get(topic.exchange);
      if (worker !== undefined) return worker.watch(topic, sink);
      queueMicrotask(() => sink.onEnd(notEnabled(topic.exchange)));
      return { close: () => undefined };
    },
    health: () => pool.flatMap((worker) => worker.health()),
    close: async () => {
      await Promise.all(pool.map((worker) => worker.close()));
    },
    start: () => pool.forEach((worker) => worker.start()),
    stats: () => pool.map((worker) => worker.stats()),
  };
};
