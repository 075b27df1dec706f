/** Streams over one socket, however many subscriptions and readers there are. */
import { ProblemError, type Rest } from './rest.js';
import { Link, type SocketConstructor } from './socket.js';
import { ServerClock } from './server-clock.js';
import { TopicReaders, type Handlers, type State, type Topic } from './topic.js';
import type { Problem, StreamEvent } from './types.js';

export interface Subscription {
  unsubscribe(): void;
}
export interface Stream {
  /** Throws where there is no WebSocket, and where the socket has all the topics that it may have (200). */
  subscribe(topic: Topic, handlers: Handlers): Subscription;
  /** Events until the loop is left. Throws where the reader is too slow, or the subscription is refused for good. */
  iterate(topic: Topic): AsyncIterableIterator<StreamEvent>;
  /** The server's clock in milliseconds since the epoch, whatever this machine's says; null before it was told. */
  serverTime(): number | null;
}

export interface StreamOptions {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly WebSocket: SocketConstructor | undefined;
  readonly rest: Rest;
  readonly random: () => number;
  readonly now: () => number;
}

/** The server's bound for one connection. */
const MAX_TOPICS = 200;
/** Events that an iterator keeps for a reader that is busy. */
const MAX_WAITING = 10_000;
const TELL_INTERVAL_MS = 1000;
const RETRY_REFUSED_MS = 5000;
const STATES: ReadonlySet<unknown> = new Set(['live', 'reconnecting', 'stale', 'polling']);
const EVENTS: ReadonlySet<unknown> = new Set(['ticker', 'trades', 'orderbook', 'ohlcv', 'health']);

const NO_WEB_SOCKET =
  'There is no WebSocket here (Node 20 has none): pass one, as in createClient({ url, WebSocket }) with that of the package ws.';

const keyOf = ({ channel, exchange, symbol, interval }: Topic): string =>
  channel === 'health'
    ? channel
    : [channel, exchange?.toLowerCase(), symbol, channel === 'ohlcv' ? (interval ?? '1m') : ''].join(' ');

const socketUrl = (url: string): string => {
  const address = new URL('ws', url.endsWith('/') ? url : `${url}/`);
  address.protocol = address.protocol.replace('http', 'ws');
  return address.href;
};

export class StreamClient implements Stream {
  readonly #options: StreamOptions;
  readonly #topics = new Map<string, TopicReaders>();
  readonly #ending = new AbortController();
  readonly #retries = new Set<ReturnType<typeof setTimeout>>();
  readonly #clock: ServerClock;
  #link: Link | null = null;
  #teller: ReturnType<typeof setInterval> | null = null;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#clock = new ServerClock(options.now);
  }

  serverTime(): number | null {
    return this.#clock.time;
  }

  subscribe(topic: Topic, handlers: Handlers): Subscription {
    const link = this.#open();
    const key = keyOf(topic);
    const present = this.#topics.get(key);
    if (present === undefined && this.#topics.size >= MAX_TOPICS)
      throw new Error(`A client has at most ${MAX_TOPICS} topics.`);
    const { rest, now } = this.#options;
    const readers = present ?? new TopicReaders(topic, { rest, now, signal: this.#ending.signal });
    const own = { ...handlers };
    this.#topics.set(key, readers);
    readers.add(own);
    if (present === undefined) this.#ask('subscribe', key, readers);
    link.open();
    this.#teller ??= setInterval(() => {
      for (const each of this.#topics.values()) each.tell();
    }, TELL_INTERVAL_MS);
    return {
      unsubscribe: () => {
        if (!readers.handlers.delete(own) || readers.handlers.size > 0) return;
        if (this.#topics.get(key) !== readers) return;
        this.#topics.delete(key);
        this.#ask('unsubscribe', key, readers);
        if (this.#topics.size === 0) this.#rest();
      },
    };
  }

  iterate(topic: Topic): AsyncIterableIterator<StreamEvent> {
    const waiting: StreamEvent[] = [];
    let fault: Error | null = null;
    let isOver = false;
    let wake: () => void = () => undefined;
    const subscription = this.subscribe(topic, {
      onEvent: (event) => {
        if (waiting.length < MAX_WAITING) waiting.push(event);
        else fault ??= new Error('The reader did not keep up.');
        wake();
      },
      onState: ({ state, error }) => {
        if (state === 'failed') fault ??= error ?? new Error('The server refused the subscription.');
        if (fault !== null) wake();
      },
    });
    const end = (): Promise<IteratorResult<StreamEvent>> => {
      isOver = true;
      subscription.unsubscribe();
      wake();
      return Promise.resolve({ done: true, value: undefined });
    };
    this.#ending.signal.addEventListener('abort', () => void end(), { once: true });
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      async next(): Promise<IteratorResult<StreamEvent>> {
        for (;;) {
          const value = waiting.shift();
          if (value !== undefined) return { done: false, value };
          if (isOver) return { done: true, value: undefined };
          if (fault !== null) {
            await end();
            throw fault;
          }
          await new Promise<void>((resolve) => (wake = resolve));
        }
      },
      return: end,
    };
  }

  close(): void {
    this.#ending.abort();
    this.#topics.clear();
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
    if (this.#ending.signal.aborted) throw new Error('This client is closed.');
    const { WebSocket, url, apiKey, random, now } = this.#options;
    if (WebSocket === undefined) throw new Error(NO_WEB_SOCKET);
    this.#link ??= new Link({
      ...{ WebSocket, apiKey, random, now },
      url: socketUrl(url),
      wantsPing: () => this.#clock.isVague,
      onOpen: () => {
        this.#clock.reset();
        for (const [key, readers] of this.#topics) this.#ask('subscribe', key, readers);
      },
      onMessage: (message) => this.#receive(message),
      onLost: (final) => {
        for (const readers of this.#topics.values()) readers.become(final ? 'failed' : 'disconnected');
      },
    });
    return this.#link;
  }

  #ask(method: 'subscribe' | 'unsubscribe', key: string, { topic }: TopicReaders): void {
    const { channel, exchange, symbol, interval, threshold, stats } = topic;
    const params =
      channel === 'health'
        ? { channel }
        : {
            ...{ channel, exchange, symbol },
            ...(channel === 'ohlcv' && interval !== undefined ? { interval } : {}),
            ...(channel === 'ticker' && threshold !== undefined ? { threshold } : {}),
            ...(channel === 'ticker' && stats === true ? { stats } : {}),
          };
    // The key comes back with the answer, which spells the symbol as the venue does.
    this.#link?.send({ method, params, req_id: key.slice(0, 64) });
  }

  /** Of an event or status: by the venue's spelling, or by the way it was asked for. */
  #readersOf(message: Record<string, unknown>): TopicReaders | undefined {
    const channel =
      message['channel'] ?? (message['event_type'] === 'status' ? 'ticker' : message['event_type']);
    const key = keyOf({ ...message, channel } as Topic);
    const exact = this.#topics.get(key);
    if (exact !== undefined) return exact;
    return [...this.#topics.entries()].find(
      ([own]) => own.toLowerCase().replaceAll(/[-_]/g, '/') === key.toLowerCase(),
    )?.[1];
  }

  #receive(message: Record<string, unknown>): void {
    const { event_type } = message;
    if (event_type === 'reply') this.#reply(message);
    else if (EVENTS.has(event_type)) {
      const readers = this.#readersOf(message);
      readers?.receive(message as unknown as StreamEvent);
      if (event_type === 'health' && readers?.state.state !== 'live') readers?.become('live');
    } else if (event_type === 'status' && STATES.has(message['state']))
      this.#readersOf(message)?.become(message['state'] as State);
    else if (event_type === 'lost' && message['channel'] === 'trades')
      this.#readersOf(message)?.lost(typeof message['count'] === 'number' ? message['count'] : 1);
  }

  /** A subscription that was refused: asked for again later where that may help. */
  #reply({ method, success, req_id, problem, timestamp }: Record<string, unknown>): void {
    if (method === 'ping') this.#clock.read(Number(req_id), Number(timestamp));
    if (method !== 'subscribe' || success !== false) return;
    const found = [...this.#topics].find(([key]) => key.slice(0, 64) === req_id);
    if (found === undefined) return;
    const [key, readers] = found;
    const reason = problem as Problem;
    if (!reason.retryable) {
      readers.become('failed', new ProblemError(reason.detail, { status: reason.status, problem: reason }));
      return;
    }
    readers.become('reconnecting');
    const retry = setTimeout(() => {
      this.#retries.delete(retry);
      if (this.#topics.get(key) === readers) this.#ask('subscribe', key, readers);
    }, reason.retry_after_ms ?? RETRY_REFUSED_MS);
    this.#retries.add(retry);
  }
}
