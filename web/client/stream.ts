/** Streams over one socket, however many subscriptions and readers there are. */
import { ProblemError, type Rest } from './rest.js';
import { Link, type SocketConstructor } from './socket.js';
import { ServerClock } from './server-clock.js';
import type { Loss } from './trades-flow.js';
import { BROKEN, TopicReaders, type Handlers, type State, type Topic } from './topic.js';
import type { Problem, StreamEvent } from './types.js';

export interface Subscription {
  unsubscribe(): void;
}
export interface StreamOptions {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly WebSocket: SocketConstructor;
  readonly rest: Rest;
  readonly random: () => number;
  readonly now: () => number;
  readonly pingIntervalMs: number;
}

/** The server's bound for one connection. */
const MAX_TOPICS = 200;
const TELL_INTERVAL_MS = 1000;
const RETRY_REFUSED_MS = 5000;
const EVENTS: ReadonlySet<unknown> = new Set(['ticker', 'trades', 'orderbook', 'ohlcv', 'health']);

const keyOf = ({ channel, exchange, symbol, interval }: Topic): string =>
  channel === 'health'
    ? channel
    : [channel, exchange?.toLowerCase(), symbol, channel === 'ohlcv' ? (interval ?? '1m') : ''].join(' ');

/** A topic as it was asked for, and what the server calls it: where both differ, its answer tells. */
interface Entry {
  name: string;
  readonly readers: TopicReaders;
}

const socketUrl = (url: string): string => {
  const address = new URL('ws', url.endsWith('/') ? url : `${url}/`);
  address.protocol = address.protocol.replace('http', 'ws');
  return address.href;
};

export class StreamClient {
  readonly #options: StreamOptions;
  readonly #topics = new Map<string, Entry>();
  /** Requests that are not answered yet. */
  readonly #asked = new Map<number, string>();
  /** null: to be made anew of the topics. */
  #byName: Map<string, readonly TopicReaders[]> | null = null;
  #requests = 0;
  /** Why the server is about to end the socket. */
  #reason: ProblemError | undefined;
  readonly #ending = new AbortController();
  readonly #retries = new Set<ReturnType<typeof setTimeout>>();
  readonly #clock: ServerClock;
  #link: Link | null = null;
  #teller: ReturnType<typeof setInterval> | null = null;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#clock = new ServerClock(options.now);
  }

  /** The server's clock in milliseconds since the epoch, whatever this machine's says; null before it was told. */
  serverTime(): number | null {
    return this.#clock.time;
  }

  /** Throws where there is no WebSocket, and where the socket has all the topics that it may have (200). */
  subscribe(topic: Topic, handlers: Handlers): Subscription {
    const link = this.#open();
    const key = keyOf(topic);
    const present = this.#topics.get(key);
    if (present === undefined && this.#topics.size >= MAX_TOPICS)
      throw new Error(`At most ${MAX_TOPICS} topics.`);
    link.open();
    const { rest, now } = this.#options;
    const readers = present?.readers ?? new TopicReaders(topic, { rest, now, signal: this.#ending.signal });
    const own = { ...handlers };
    if (present === undefined) {
      this.#topics.set(key, { name: key, readers });
      this.#byName = null;
      this.#ask('subscribe', key, readers);
    }
    this.#teller ??= setInterval(() => {
      for (const each of this.#topics.values()) each.readers.tell();
    }, TELL_INTERVAL_MS);
    readers.add(own);
    return {
      unsubscribe: () => {
        if (!readers.handlers.delete(own) || readers.handlers.size > 0) return;
        const entry = this.#topics.get(key);
        if (entry?.readers !== readers) return;
        this.#topics.delete(key);
        this.#byName = null;
        // The same topic may be read under another spelling.
        if (this.#readersOf(entry.name).length === 0) this.#ask('unsubscribe', key, readers);
        if (this.#topics.size === 0) this.#rest();
      },
    };
  }

  close(): void {
    this.#ending.abort();
    for (const { readers } of this.#topics.values()) readers.handlers.clear();
    this.#topics.clear();
    this.#byName = null;
    this.#rest();
  }

  /** Nothing is wanted: no socket, no timer. */
  #rest(): void {
    this.#link?.close();
    if (this.#teller !== null) clearInterval(this.#teller);
    this.#teller = null;
    for (const retry of this.#retries) clearTimeout(retry);
    this.#retries.clear();
  }

  #open(): Link {
    if (this.#ending.signal.aborted) throw new Error('It is closed.');
    const { WebSocket, url, ...options } = this.#options;
    this.#link ??= new Link({
      ...{ WebSocket, ...options },
      url: socketUrl(url),
      wantsPing: () => this.#clock.isVague,
      onOpen: () => {
        this.#clock.reset();
        this.#asked.clear();
        this.#reason = undefined;
        for (const [key, { readers }] of this.#topics) this.#ask('subscribe', key, readers);
      },
      onMessage: (message) => this.#receive(message),
      onLost: (final) => {
        for (const { readers } of this.#topics.values())
          readers.become(final ? 'failed' : 'disconnected', final ? this.#reason : undefined);
      },
    });
    return this.#link;
  }

  /** One that subscribes names the latest event that came, after which the server is to go on. */
  #ask(method: 'subscribe' | 'unsubscribe', key: string, readers: TopicReaders): void {
    const { topic } = readers;
    const since = method === 'subscribe' ? readers.since : undefined;
    const { channel, exchange, symbol, interval, threshold, stats } = topic;
    const [isCandles, isTicker] = [channel === 'ohlcv', channel === 'ticker'];
    // JSON leaves out what is undefined.
    const market = {
      ...{ exchange, symbol, since, interval: isCandles ? interval : undefined },
      ...{
        threshold: isTicker ? threshold : undefined,
        stats: isTicker && stats === true ? true : undefined,
      },
    };
    const params = { channel, ...(channel === 'health' ? null : market) };
    if (this.#link?.isOpen !== true) return;
    this.#requests += 1;
    this.#asked.set(this.#requests, key);
    this.#link.send({ method, params, req_id: this.#requests });
  }

  /** Of each event: who reads which name is counted up once for each change of the topics. */
  #readersOf(name: string): readonly TopicReaders[] {
    if (this.#byName === null) {
      this.#byName = new Map();
      for (const each of this.#topics.values())
        this.#byName.set(each.name, [...(this.#byName.get(each.name) ?? []), each.readers]);
    }
    return this.#byName.get(name) ?? [];
  }

  #receive(message: Record<string, unknown>): void {
    const { event_type, state, count, from, resumed } = message;
    if (event_type === 'reply' || event_type === 'error') {
      this.#reply(message);
      return;
    }
    const channel = message['channel'] ?? (event_type === 'status' ? 'ticker' : event_type);
    for (const readers of this.#readersOf(keyOf({ ...message, channel } as Topic))) {
      if (EVENTS.has(event_type)) readers.receive(message as unknown as StreamEvent);
      if (event_type === 'health' && readers.state.state !== 'live') readers.become('live');
      if (event_type === 'status' && resumed !== undefined) readers.resumed(resumed);
      if (event_type === 'status' && (state === 'live' || BROKEN.has(state))) readers.become(state as State);
      if (event_type === 'lost') readers.lost({ count, from } as Loss);
    }
  }

  /** Of a subscription that was refused: asked for again later where that may help. */
  #reply(message: Record<string, unknown>): void {
    const { event_type, method, success, req_id, timestamp } = message;
    if (method === 'ping') this.#clock.read(Number(req_id), Number(timestamp));
    const isError = event_type === 'error';
    const problem = (isError ? message : message['problem']) as Problem;
    const refusal = (): ProblemError => new ProblemError(problem.detail, { status: problem.status, problem });
    if (isError) this.#reason = refusal();
    const key = this.#asked.get(req_id as number) ?? '';
    const entry = this.#topics.get(key);
    this.#asked.delete(req_id as number);
    if (entry === undefined || method !== 'subscribe') return;
    if (success === true) {
      entry.name = keyOf(message as unknown as Topic);
      this.#byName = null;
      return;
    }
    if (!problem.retryable) {
      entry.readers.become('failed', refusal());
      return;
    }
    entry.readers.become('reconnecting');
    const retry = setTimeout(() => {
      this.#retries.delete(retry);
      if (this.#topics.get(key) === entry) this.#ask('subscribe', key, entry.readers);
    }, problem.retry_after_ms ?? RETRY_REFUSED_MS);
    this.#retries.add(retry);
  }
}
