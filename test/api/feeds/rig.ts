/** The hub over the real CCXT client and the sandbox, in this process; a client that can be waited for. */
import { startSandbox, type Sandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.js';
import { createCcxtClient, type CcxtClient } from '../../../src/exchanges/ccxt/ccxt-client.js';
import { loadExchangeClass } from '../../../src/exchanges/ccxt/loader.js';
import { BACKOFF } from '../../../src/exchanges/ccxt/feeds/connections.js';
import { openWatch } from '../../../src/exchanges/ccxt/feeds/watch.js';
import type { StreamItem, StreamTopic, WatchHandle } from '../../../src/exchanges/exchange-client.js';
import type { ServedAnswer } from '../../../src/market-data/market-data-api.js';
import { createLocalHub } from '../../support/local-hub.js';
import { recordingLog } from '../../support/recording-log.js';
import type { SharedEvent, Subscriber, Subscription } from '../../../src/streams/hub-api.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { systemTimers, type Timers } from '../../../src/lib/timers.js';
import type { AppError } from '../../../src/errors.js';

export type StreamEvent = Readonly<Record<string, unknown>>;

/** Something that grows, and those who wait for it to grow enough. */
class Arrivals {
  readonly #waiting = new Set<() => void>();

  arrived(): void {
    for (const check of this.#waiting) check();
  }

  /** Resolves as soon as `condition` holds; looked at whenever something arrives. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }
}

export class StreamClient implements Subscriber {
  readonly events: StreamEvent[] = [];
  readonly #arrivals = new Arrivals();

  onEvent({ json }: SharedEvent): void {
    this.events.push(JSON.parse(json) as StreamEvent);
    this.#arrivals.arrived();
  }

  until(condition: () => boolean): Promise<void> {
    return this.#arrivals.until(condition);
  }

  ofType(type: string): StreamEvent[] {
    return this.events.filter((event) => event['event_type'] === type);
  }

  get states(): unknown[] {
    return this.ofType('status').map(({ state }) => state);
  }

  /** Resolves at the first status of this state after the event with this index. */
  async state(state: string, from = 0): Promise<void> {
    await this.until(() => this.events.slice(from).some((event) => event['state'] === state));
  }

  /** Resolves when `count` further events of a type came. */
  async more(type: string, count: number): Promise<void> {
    const wanted = this.ofType(type).length + count;
    await this.until(() => this.ofType(type).length >= wanted);
  }
}

/** A raw feed's listener that can be waited for. */
class WatchClient {
  readonly items: StreamItem[] = [];
  ended: { error: AppError | null } | null = null;
  readonly #arrivals = new Arrivals();

  onItem = (item: StreamItem): void => {
    this.items.push(item);
    this.#arrivals.arrived();
  };

  onEnd = (error: AppError | null): void => {
    this.ended = { error };
    this.#arrivals.arrived();
  };

  async more(count: number): Promise<void> {
    const wanted = this.items.length + count;
    await this.#arrivals.until(() => this.items.length >= wanted);
  }

  async end(): Promise<AppError | null> {
    await this.#arrivals.until(() => this.ended !== null);
    return this.ended?.error ?? null;
  }
}

/** Waits for what makes no event here (the sandbox's sockets), a look every few milliseconds. */
export const eventually = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

const hurried = (factor: number): Timers => ({
  after: (delay, run) => systemTimers.after(delay / factor, run),
});

export interface Rig {
  readonly sandbox: Sandbox;
  readonly client: CcxtClient;
  readonly hub: ReturnType<typeof createLocalHub>;
  watch(topic: StreamTopic): { readonly heard: WatchClient; readonly handle: WatchHandle };
  join(topic: StreamTopic): Promise<{ readonly client: StreamClient; readonly subscription: Subscription }>;
  /** What clients were told of their feeds, and what was logged; printed when a test fails. */
  diagnosis(): readonly string[];
  close(): Promise<void>;
}

export interface RigOptions {
  readonly sandbox?: SandboxOptions;
  readonly idleTimeoutMs?: number;
  /** How many times faster than real time the hub's timers run, and CCXT dials again. */
  readonly hurry?: number;
  /** Requests a minute; default: more than any test makes. */
  readonly requests?: number;
  readonly upstreamTimeoutMs?: number;
  /** CCXT's pace of each exchange, in ms a request; default: none, so that a test waits for what it is about alone. null: its own. */
  readonly rateLimit?: number | null;
}

export const startRig = async (options: RigOptions = {}): Promise<Rig> => {
  const sandbox = await startSandbox({ ticksPerSecond: 20, ...options.sandbox });
  const exchanges = VENUES.map(({ exchange }) => exchange);
  // A feed's opening has three requests' time, in which a busy machine does not import CCXT's modules as well.
  await Promise.all(exchanges.map((exchange) => loadExchangeClass(exchange)));
  const { rateLimit = 1, hurry = 1 } = options;
  const backoff = { base: BACKOFF.base / hurry, max: BACKOFF.max / hurry };
  const log = recordingLog();
  const clients: StreamClient[] = [];
  const client = createCcxtClient({
    exchanges,
    exchangeOptions: Object.fromEntries(
      exchanges.map((exchange) => [
        exchange,
        { ...(rateLimit === null ? {} : { rateLimit }), options: { ws: { backoff } } },
      ]),
    ),
    budget: { requests: options.requests ?? 10_000, windowMs: 60_000 },
    upstreamTimeoutMs: options.upstreamTimeoutMs ?? 8_000,
    proxy: { https: '', http: '', no: '' },
    sandboxUrl: sandbox.url,
    userAgent: 'test',
    log,
    openWatch,
  });
  const get = async (query: Parameters<typeof client.fetch>[0]): Promise<ServedAnswer> => {
    const answer = await client.fetch(query, { deadline: steadyNow() + 20_000, priority: 'caller' });
    const { receivedAt, untimed } = answer;
    const source = `${query.exchange}; via=rest`;
    const body = Buffer.from(answer.body);
    return { body, etag: '""', cache: 'MISS', receivedAt, freshUntil: receivedAt, source, untimed };
  };
  const hub = createLocalHub({
    exchanges: client,
    marketData: () => ({ get, lists: () => Promise.resolve(true) }),
    settings: { deltaThreshold: 0, lingerMs: 50, idleTimeoutMs: options.idleTimeoutMs ?? 30_000 },
    sandbox: true,
    log,
    now: Date.now,
    monotonic: steadyNow,
    random: Math.random,
    timers: hurried(hurry),
  });
  return {
    sandbox,
    client,
    hub,
    watch: (topic) => {
      const heard = new WatchClient();
      return { heard, handle: client.watch(topic, heard) };
    },
    join: async (topic) => {
      const joined = new StreamClient();
      clients.push(joined);
      const subscription = await hub.subscribe({ topic, name: topic.exchange }, joined);
      return { client: joined, subscription };
    },
    diagnosis: () => [
      ...clients.flatMap((joined) => joined.ofType('status')).map((status) => JSON.stringify(status)),
      ...log.lines.map((line) => JSON.stringify(line)),
    ],
    close: async () => {
      await hub.close();
      await client.close();
      await sandbox.close();
    },
  };
};

interface BookLevels {
  readonly bids: readonly { readonly price: number; readonly amount: number }[];
  readonly asks: readonly { readonly price: number; readonly amount: number }[];
  readonly timestamp: number;
}

/** Whether the market's book was this, level by level, at its time or up to `lagMs` before (times of receipt lag). */
export const isTrueBook = (
  { market }: Sandbox,
  {
    exchange,
    symbol,
  }: { readonly exchange: 'binance' | 'kraken' | 'coinbaseexchange'; readonly symbol: string },
  { bids, asks, timestamp, lagMs }: BookLevels & { readonly lagMs: number },
): boolean => {
  const flat = (side: BookLevels['bids']): string =>
    side.map(({ price, amount }) => `${price}x${amount}`).join();
  const text = (side: readonly (readonly [number, number])[]): string =>
    side.map(([price, amount]) => `${price}x${amount}`).join();
  const depth = bids.length;
  for (let lag = 0; lag <= lagMs; lag += 100) {
    const truth = market.book(exchange, symbol, { time: timestamp - lag, depth });
    if (text(truth.bids) === flat(bids) && text(truth.asks) === flat(asks)) return true;
  }
  return false;
};

export const VENUES = [
  { exchange: 'binance', symbol: 'BTC/USDT', other: 'ETH/USDT' },
  { exchange: 'kraken', symbol: 'BTC/USD', other: 'ETH/USD' },
  { exchange: 'coinbaseexchange', symbol: 'BTC/USD', other: 'ETH/USD' },
] as const;

/** Unhandled rejections while the tests ran; each of them would end a server. */
export const watchRejections = (): { readonly seen: unknown[]; stop(): void } => {
  const seen: unknown[] = [];
  const onRejection = (reason: unknown): void => {
    seen.push(reason);
  };
  process.on('unhandledRejection', onRejection);
  return { seen, stop: () => process.off('unhandledRejection', onRejection) };
};
