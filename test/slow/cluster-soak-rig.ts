/** Many clients that count what they get, and what a cluster's processes hold, in samples. */
import { readFileSync } from 'node:fs';
import type { WebSocket } from 'ws';
import type { ExchangeId } from '../../src/sandbox/listings.js';
import { openSocket, subscribePatiently } from '../support/patient-socket.js';
import type { RedisServer } from '../support/redis-server.js';
import type { FleetServer } from '../support/server-fleet.js';

export interface Topic {
  readonly exchange: ExchangeId;
  readonly channel: 'ticker' | 'trades' | 'orderbook' | 'ohlcv';
  readonly symbol: string;
}

/** Of one connection (MAX_SUBSCRIPTIONS). */
const PER_SOCKET = 200;
const EVENT = /^\{"event_type":"(\w+)".*?"symbol":"([^"]+)"/;
const ID = /"id":"([^"]+)"/;

/** All clients of one server. */
export class Audience {
  readonly #sockets = new Set<WebSocket>();
  /** Of each topic (exchange, channel, symbol) its latest event: its id, and when it came. */
  readonly latest = new Map<string, { readonly id: string; readonly at: number }>();
  events = 0;
  lost = 0;
  /** Events that came with the id of the one before. */
  repeated = 0;
  readonly states: Record<string, number> = {};
  /** Subscriptions that a busy server refused, and that were asked for again. */
  refusals = 0;
  /** Connections that the server ended, and that were opened again, as clients in earnest do. */
  returns = 0;
  #isClosed = false;
  readonly #wanted = new Set<Topic>();

  async open({ url }: FleetServer, topics: readonly Topic[]): Promise<void> {
    const alike = new Map<string, Topic[]>();
    for (const topic of topics) {
      this.#wanted.add(topic);
      const kind = `${topic.exchange} ${topic.channel}`;
      alike.set(kind, [...(alike.get(kind) ?? []), topic]);
    }
    for (const group of alike.values())
      for (let from = 0; from < group.length; from += PER_SOCKET)
        await this.#connect(url, group.slice(from, from + PER_SOCKET));
  }

  /** Topics of one exchange and channel. */
  async #connect(url: string, topics: readonly Topic[]): Promise<void> {
    const { exchange, channel } = topics[0]!;
    const socket = await openSocket(url);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#isClosed) return;
      this.returns += 1;
      void this.#connect(url, topics);
    });
    socket.on('message', (data: Buffer) => this.#receive({ exchange, channel }, data.toString()));
    // Of a day: those of a minute would all turn at once.
    const special = { ticker: { threshold: 0 }, ohlcv: { interval: '1d' }, trades: {}, orderbook: {} }[
      channel
    ];
    const symbol = topics.map((topic) => topic.symbol);
    subscribePatiently(socket, { exchange, channel, symbol, ...special }, () => (this.refusals += 1));
  }

  #receive({ exchange, channel }: Omit<Topic, 'symbol'>, text: string): void {
    const [, type, symbol = ''] = EVENT.exec(text) ?? [];
    if (type === 'lost') this.lost += 1;
    else if (type === 'status') {
      const state = /"state":"(\w+)"/.exec(text)?.[1] ?? '';
      this.states[state] = (this.states[state] ?? 0) + 1;
    } else if (type === channel) {
      const id = ID.exec(text)?.[1] ?? '';
      const topic = `${exchange} ${channel} ${symbol}`;
      this.events += 1;
      if (this.latest.get(topic)?.id === id) this.repeated += 1;
      this.latest.set(topic, { id, at: performance.now() });
    }
  }

  /** Of `topics` those that are asked for and of which nothing came for `ms`. */
  silent(topics: readonly Topic[], ms: number): Topic[] {
    const since = performance.now() - ms;
    return topics.filter((topic) => {
      if (!this.#wanted.has(topic)) return false;
      const { exchange, channel, symbol } = topic;
      const at = this.latest.get(`${exchange} ${channel} ${symbol}`)?.at;
      return at === undefined || at < since;
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.terminate();
  }
}

interface HeapReading {
  readonly thread: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly cpuUs: number;
}

/** Newest reading of each thread in a file that heap-readings.js writes. */
const newest = (file: string): HeapReading[] => {
  const byThread = new Map<number, HeapReading>();
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const reading = JSON.parse(line) as HeapReading;
    byThread.set(reading.thread, reading);
  }
  return [...byThread.values()];
};

export type Sample = Readonly<Record<string, number>>;

const numbersIn = (text: string, pattern: RegExp): number =>
  [...text.matchAll(pattern)].reduce((sum, [, number]) => sum + Number(number), 0);

export const sampleServer = async ({ id, url }: FleetServer, readings: string): Promise<Sample> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  const metric = (name: string): number =>
    numbersIn(text, new RegExp(`^crypto_data_${name}(?:\\{[^}]*\\})? (\\S+)`, 'gm'));
  const threads = newest(readings);
  const heaps = Object.fromEntries(
    threads.map(({ thread, heapBytes }) => [`${id} ${thread === 0 ? 'main' : 'worker'} heap`, heapBytes]),
  );
  return {
    ...heaps,
    [`${id} resident`]: Math.max(...threads.map(({ rssBytes }) => rssBytes)),
    [`${id} cpu seconds`]: Math.max(...threads.map(({ cpuUs }) => cpuUs)) / 1e6,
    [`${id} pending bytes`]: metric('bus_pending_bytes'),
    [`${id} waits for workers`]: metric('worker_calls_in_flight'),
    [`${id} owned`]: metric('bus_leases_held'),
    [`${id} followed`]: metric('bus_followed_topics'),
    [`${id} published`]: metric('bus_published_total'),
    [`${id} dropped`]: metric('bus_dropped_total'),
    [`${id} conflated`]: metric('bus_conflated_total'),
    [`${id} gaps`]: metric('bus_gaps_total'),
    [`${id} takeovers`]: metric('bus_takeovers_total'),
  };
};

export const sampleRedis = async (redis: RedisServer): Promise<Sample> => {
  const [memory, cpu, clients] = [
    await redis.command('INFO', 'memory'),
    await redis.command('INFO', 'cpu'),
    await redis.command('CLIENT', 'LIST'),
  ];
  return {
    'Redis memory': numbersIn(memory, /^used_memory:(\d+)/gm),
    // What it has not yet sent to the servers, which a subscriber that falls behind makes grow.
    'Redis output bytes': numbersIn(clients, / omem=(\d+)/g),
    'Redis cpu seconds': numbersIn(cpu, /^used_cpu_(?:user|sys):(\S+)/gm),
    'Redis keys': Number((await redis.command('DBSIZE')).slice(1)),
  };
};

/** Of the straight line through (seconds, values) by least squares, per hour. */
export const slopePerHour = (points: readonly (readonly [seconds: number, value: number])[]): number => {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [x, y] = [mean(points.map(([seconds]) => seconds)), mean(points.map(([, value]) => value))];
  const above = points.reduce((sum, [seconds, value]) => sum + (seconds - x) * (value - y), 0);
  return (3_600 * above) / points.reduce((sum, [seconds]) => sum + (seconds - x) ** 2, 0);
};
