/** Built servers of one cluster as processes of their own, over a Redis and a sandbox of the test's own, and their clients. */
import { once } from 'node:events';
import { expect } from 'vitest';
import type { WebSocket } from 'ws';
import { steadyNow } from '../../src/lib/steady-clock.js';
import type { ExchangeId } from '../../src/sandbox/listings.js';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.js';
import { startServer } from '../e2e/streams-rig.js';
import { openSocket } from './patient-socket.js';
import { startRedis, type RedisServer } from './redis-server.js';

const PATIENT = { timeout: 30_000, interval: 10 };

interface WireEvent {
  readonly event_type: string;
  readonly symbol: string;
  readonly id?: string;
  readonly trades?: readonly { readonly trade_id: string }[];
  readonly state?: string;
  readonly detail?: string;
  readonly count?: number;
  readonly method?: string;
  readonly ok?: boolean;
}
type SeenEvent = WireEvent & { readonly at: number };

/** One client that follows the trades of many symbols over one socket. */
export class TradesClient {
  readonly events: SeenEvent[] = [];
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      this.events.push({ ...(JSON.parse(data.toString()) as WireEvent), at: steadyNow() });
    });
  }

  static async open(url: string, symbols: readonly string[]): Promise<TradesClient> {
    const socket = await openSocket(url);
    const client = new TradesClient(socket);
    const params = { channel: 'trades', exchange: 'binance', symbol: symbols };
    socket.send(JSON.stringify({ method: 'subscribe', params }));
    return client;
  }

  close(): void {
    this.#socket.terminate();
  }

  of(symbol: string, since = -Infinity): SeenEvent[] {
    return this.events.filter((event) => event.symbol === symbol && event.at >= since);
  }

  /** Under which the symbol's latest shared event was published; 0: there was none. */
  fence(symbol: string): number {
    const ids = this.of(symbol).flatMap(({ id = '' }) => /^(\d+)-/.exec(id)?.[1] ?? []);
    return Number(ids.at(-1) ?? 0);
  }

  /** Has the symbol's trades, from a feed that is live. */
  isLive(symbol: string): boolean {
    const states = this.of(symbol).flatMap(({ state }) => (state === undefined ? [] : [state]));
    return states.at(-1) === 'live' && this.of(symbol).some(({ trades }) => trades !== undefined);
  }

  /** Every trade once and in order, and no id twice; what is missing was told by `lost`, then or later. How many. */
  expectWhole(symbols: readonly string[]): number {
    let missing = 0;
    for (const symbol of symbols) {
      const events = this.of(symbol);
      const ids = events.flatMap(({ id }) => (id === undefined ? [] : [id]));
      expect(new Set(ids).size, `${symbol}: an id comes twice`).toBe(ids.length);
      const numbers = events.flatMap(({ trades = [] }) => trades.map(({ trade_id: id }) => Number(id)));
      for (const [at, number] of numbers.entries())
        if (at > 0) expect(number, `${symbol}: a trade comes again`).toBeGreaterThan(numbers[at - 1]!);
      const span = numbers.length === 0 ? 0 : numbers.at(-1)! - numbers[0]! + 1;
      const told = events
        .filter(({ event_type: type }) => type === 'lost')
        .reduce((sum, { count = Infinity }) => sum + count, 0);
      missing += span - numbers.length;
      expect(span - numbers.length, `${symbol}: missing untold\n${this.#around(symbol)}`).toBeLessThanOrEqual(
        told,
      );
    }
    return missing;
  }

  /** The events about the first hole of a symbol. */
  #around(symbol: string): string {
    const events = this.of(symbol);
    const lastOf = ({ trades = [] }: SeenEvent) => Number(trades.at(-1)?.trade_id ?? NaN);
    const hole = events.findIndex(({ trades = [] }, at) => {
      const before = events.slice(0, at).findLast((event) => event.trades !== undefined);
      return before !== undefined && Number(trades[0]?.trade_id ?? NaN) > lastOf(before) + 1;
    });
    return events
      .slice(Math.max(0, hole - 5), hole + 5)
      .map(({ at, trades = [], ...event }) =>
        JSON.stringify({ at, ...event, trades: trades.map(({ trade_id: id }) => id) }),
      )
      .join('\n');
  }
}

interface OwnedTopic {
  readonly channel: string;
  readonly symbol: string;
}

export interface FleetServer {
  readonly id: string;
  readonly url: string;
  readonly process: Awaited<ReturnType<typeof startServer>>['process'];
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM. */
  close(): Promise<void>;
  /** Symbols of the topics that it owns. */
  owned(): Promise<string[]>;
  ownedTopics(): Promise<OwnedTopic[]>;
  bus(): Promise<{ readonly state: string; readonly owned: number; readonly followed: number }>;
  metric(name: string): Promise<number>;
}

export class Fleet {
  readonly redis: RedisServer;
  readonly sandbox: Sandbox;
  readonly #closers: (() => unknown)[] = [];
  #servers = 0;

  private constructor(redis: RedisServer, sandbox: Sandbox) {
    this.redis = redis;
    this.sandbox = sandbox;
  }

  static async start(
    options: SandboxOptions = {},
    ...redisOptions: Parameters<typeof startRedis>
  ): Promise<Fleet> {
    const redis = await startRedis(...redisOptions);
    const sandbox = await startSandbox({
      ...{ marketsPerVenue: 220, ticksPerSecond: 5, weightLimit: Infinity },
      ...options,
    });
    return new Fleet(redis, sandbox);
  }

  /** Active markets. */
  symbols(count: number, exchange: ExchangeId = 'binance'): string[] {
    return this.sandbox.market
      .markets(exchange)
      .filter(({ active, thin }) => active && !thin)
      .slice(0, count)
      .map(({ symbol }) => symbol);
  }

  async server(env: Record<string, string> = {}): Promise<FleetServer> {
    const id = `s${(this.#servers += 1)}`;
    const started = await startServer({
      ...{ SANDBOX: this.sandbox.url, REDIS_ENABLED: 'true', REDIS_URL: this.redis.url, STORE_URL: 'none' },
      ...{ SERVER_ID: id, EXCHANGE_WORKERS: '1', RATE_LIMIT_REQUESTS: '20000' },
      ...env,
    });
    const { process: child, url } = started;
    const close = (): Promise<void> => started.close();
    this.#closers.push(close);
    const ask = async <T>(path: string): Promise<T> => (await fetch(`${url}${path}`)).json() as Promise<T>;
    const server: FleetServer = {
      ...{ id, url, process: child, close },
      async kill() {
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      },
      owned: async () => (await server.ownedTopics()).map(({ symbol }) => symbol),
      ownedTopics: async () => (await ask<{ cluster: { owned: OwnedTopic[] } }>('/v1/status')).cluster.owned,
      bus: async () =>
        (await ask<{ checks: { bus: Awaited<ReturnType<FleetServer['bus']>> } }>('/v1/health/ready')).checks
          .bus,
      async metric(name) {
        const text = await (await fetch(`${url}/metrics`)).text();
        return Number(new RegExp(`^crypto_data_${name} (\\S+)`, 'm').exec(text)?.[1]);
      },
    };
    await expect.poll(async () => (await server.bus()).state, PATIENT).not.toBe('unshared');
    return server;
  }

  async client({ url }: FleetServer, symbols: readonly string[]): Promise<TradesClient> {
    const client = await TradesClient.open(url, symbols);
    this.#closers.push(() => client.close());
    return client;
  }

  /** Upstream subscriptions of all servers. */
  subscriptions(): number {
    return this.sandbox.control.listSockets().flatMap(({ channels }) => channels).length;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
    await this.sandbox.close();
    await this.redis.stop();
  }
}

/** Most of the times that lie within `ms`. */
export const fullestWindow = (times: readonly number[], ms: number): number =>
  Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + ms).length));

export const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1] ?? NaN;
