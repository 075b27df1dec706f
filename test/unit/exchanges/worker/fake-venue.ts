/** A venue for the worker's tests, and a thread for it that runs beside the test: the real protocol over a real port. */
import { NO_STATS } from '../../../../src/schemas/market.js';
import { EventEmitter } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import type { AppError } from '../../../../src/errors.js';
import type { GateState } from '../../../../src/exchanges/rate-limit/upstream-gate.js';
import type {
  ExchangeClient,
  ExchangeHealth,
  MarketAnswer,
  StreamItem,
  WatchSink,
} from '../../../../src/exchanges/exchange-client.js';
import type { WorkerLike } from '../../../../src/exchanges/worker/connection.js';
import type { WorkerData, WorkerReport } from '../../../../src/exchanges/worker/protocol.js';
import { serveWorker } from '../../../../src/exchanges/worker/serve-worker.js';

/** What the thread would make its client of; the fake venue takes none of it. */
export const CLIENT_OPTIONS: Omit<WorkerData['clientOptions'], 'exchanges'> = {
  exchangeOptions: {},
  budget: { requests: 100, windowMs: 60_000 },
  upstreamTimeoutMs: 8000,
  proxy: { https: '', http: '', no: '' },
  sandboxUrl: null,
  userAgent: 'test',
};

/** Turns of the event loop: messages over a port take one or two. Time does not pass. */
export const turns = async (count = 12): Promise<void> => {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

export const gateState = (exchange: string, state: Partial<GateState> = {}): GateState => ({
  exchange,
  coolDownUntil: null,
  coolDownSince: null,
  coolDownStatus: null,
  coolDownReason: null,
  refusals: 0,
  latestCoolDownUntil: 0,
  nearLimitUntil: { callers: 0, polls: 0 },
  budget: { limit: 100, remaining: 100, windowMs: 60_000 },
  waiting: 0,
  used: [],
  reserveUsed: [],
  ...state,
});

export const healthOf = (exchange: string, health: Partial<ExchangeHealth> = {}): ExchangeHealth => ({
  exchange,
  markets: 'loaded',
  marketsLoadedAt: 1,
  coolDownUntil: null,
  circuit: 'closed',
  budget: { limit: 100, remaining: 42, windowMs: 60_000 },
  worker: 'inline',
  workerRestarts: 0,
  lastError: null,
  since: 5,
  ...health,
});

export const answer = (text: string, body: Uint8Array = new TextEncoder().encode(text)): MarketAnswer => ({
  body,
  symbol: 'BTC/USDT',
  receivedAt: 1,
  closesAt: null,
});

type Hooks = Parameters<Parameters<typeof serveWorker>[0]['createClient']>[0];

/** Answers as the test sets it up; keeps what it was asked. */
export class FakeVenue {
  readonly watches: { topic: string; sink: WatchSink; closed: number }[] = [];
  readonly signals: AbortSignal[] = [];
  readonly asked: { kind: string; options: unknown }[] = [];
  /** Exchanges whose markets were asked for. */
  readonly loaded: string[] = [];
  hooks: Hooks | undefined;
  gates: GateState[] = [];
  healths: ExchangeHealth[] = [];
  closed = 0;
  onFetch: ExchangeClient['fetch'] = async (request) =>
    Promise.resolve(answer('symbol' in request ? request.symbol : ''));
  onWatch: (sink: WatchSink) => void = () => undefined;
  onClose: () => Promise<void> = async () => Promise.resolve();

  readonly client: ExchangeClient & { gateStates: () => readonly GateState[] } = {
    describe: async (exchange) =>
      Promise.resolve({
        exchange,
        name: exchange.toUpperCase(),
        capabilities: { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: 'websocket' },
        watchable: ['ticker'],
        intervals: ['1m'],
        bookIntegrity: 'sequence',
      }),
    fetch: (request, options) => {
      this.asked.push({ kind: request.kind, options: { ...options, signal: undefined } });
      if (options.signal !== undefined) this.signals.push(options.signal);
      return this.onFetch(request, options);
    },
    markets: async (exchange) => {
      this.loaded.push(exchange);
      return Promise.resolve({ markets: [], loadedAt: 7 });
    },
    watch: (topic, sink) => {
      const watch = { topic: topic.symbol, sink, closed: 0 };
      this.watches.push(watch);
      this.onWatch(sink);
      return { close: () => void (watch.closed += 1) };
    },
    health: () => this.healths,
    gateStates: () => this.gates,
    close: async () => {
      this.closed += 1;
      await this.onClose();
    },
  };
}

/** One started "thread" and the levers to make it misbehave. */
interface FakeThread {
  readonly data: WorkerData;
  readonly venue: FakeVenue;
  /** It takes no more messages, as a thread in an endless loop. */
  hang(): void;
  /** It was only late: it takes what came meanwhile. */
  wake(): void;
  /** It dies by itself. */
  die(error?: Error): void;
  terminated: boolean;
  threadStats: Omit<WorkerReport, 'health' | 'gates'>;
}

/** `spawn` for a supervisor; `threads` grows with each start. */
export const fakeThreads = (prepare: (venue: FakeVenue, place: number) => void = () => undefined) => {
  const threads: FakeThread[] = [];
  const spawn = (data: WorkerData): WorkerLike => {
    const { port1: mine, port2: theirs } = new MessageChannel();
    const events = new EventEmitter();
    const venue = new FakeVenue();
    venue.healths = data.clientOptions.exchanges.map((exchange) => healthOf(exchange));
    prepare(venue, threads.length);
    let hung = false;
    const late: unknown[] = [];
    const thread: FakeThread = {
      data,
      venue,
      terminated: false,
      threadStats: { memoryBytes: 1000, eventLoopDelayP99Ms: 1, unhandledRejections: 0 },
      hang: () => void (hung = true),
      wake: () => {
        hung = false;
        for (const message of late.splice(0)) mine.postMessage(message);
      },
      die: (error) => {
        if (error !== undefined) events.emit('error', error);
        events.emit('exit', 1);
        mine.close();
      },
    };
    threads.push(thread);
    serveWorker({
      port: theirs,
      monotonic: Date.now,
      threadStats: () => thread.threadStats,
      createClient: (hooks) => {
        venue.hooks = hooks;
        return venue.client;
      },
    });
    const listen = (event: string, listener: (value: never) => void): void => {
      if (event === 'message') mine.on('message', listener as (message: unknown) => void);
      else events.on(event, listener as (value: unknown) => void);
    };
    return {
      on: listen,
      postMessage: (message) => {
        if (hung) late.push(message);
        else mine.postMessage(message);
      },
      terminate: async () => {
        thread.terminated = true;
        mine.close();
        events.emit('exit', 1);
        return Promise.resolve(1);
      },
    };
  };
  return { threads, spawn };
};

/** Keeps what a reader of a feed sees. */
export const recordingSink = () => {
  const items: StreamItem[] = [];
  const ends: (AppError | null)[] = [];
  return {
    items,
    ends,
    onItem: (item: StreamItem) => void items.push(item),
    onEnd: (error: AppError | null) => void ends.push(error),
  };
};

export const tickerItem = (last: number): StreamItem => ({
  channel: 'ticker',
  bid: null,
  ask: null,
  last,
  timestamp: 1,
  stats: NO_STATS,
  rawJson: '{}',
});
