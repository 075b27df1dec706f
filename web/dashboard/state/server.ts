/** The server behind the page: one client, what it says of itself, and whether it can be reached. */
import { computed, effect, signal } from '@preact/signals';
import { ProblemError, type Exchange, type Status } from '../../client/client.js';
import { createCore } from '../../client/core.js';
import { StreamClient } from '../../client/stream.js';
import type { State } from '../../client/topic.js';
import { inNextFrame } from './frame.js';
import { isWanted } from './visibility.js';

/** The server's root: the page lies in a folder of it, wherever a proxy has put it. */
const ROOT = new URL('..', document.baseURI).href;

/** `needed`: the server answers nobody without a key; `refused`: not this one. */
export type Access = 'unknown' | 'open' | 'needed' | 'refused';

export const access = signal<Access>('unknown');
/** In memory alone: a reload asks again. */
const apiKey = signal<string | undefined>(undefined);
/** What stands in for an exchange's own candles, by the latest answer with candles; '' where nothing does. */
export const standIn = signal<'' | 'CoinMarketCap' | 'STALE'>('');

/** Checked with the server each time: a browser's copy from before a break would hide what came since. */
const observedFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, { ...init, cache: 'no-cache' });
  const { headers, ok, url } = response;
  if (ok && url.includes('/ohlcv')) {
    const isQuoted = headers.get('data-source')?.startsWith('coinmarketcap') === true;
    standIn.value = isQuoted ? 'CoinMarketCap' : headers.get('x-cache') === 'STALE' ? 'STALE' : '';
  }
  return response;
};
const connect = (key?: string) =>
  createCore({ url: ROOT, apiKey: key, fetch: observedFetch, WebSocket }, StreamClient);
export const client = signal(connect());
export const exchanges = signal<readonly Exchange[]>([]);
export const fault = signal<string | null>(null);

/** The latest status with the instant of its arrival, by performance.now(). */
export const status = signal<{ readonly body: Status; readonly at: number } | null>(null);
const link = signal<State>('connecting');
const isOnline = signal(navigator.onLine);
for (const type of ['online', 'offline']) addEventListener(type, () => (isOnline.value = navigator.onLine));

export type Connection = 'connecting' | 'live' | 'reconnecting' | 'offline' | 'refused' | 'paused';
export const connection = computed<Connection>(() => {
  if (!isWanted.value) return 'paused';
  if (link.value === 'live') return 'live';
  if (!isOnline.value) return 'offline';
  if (link.value === 'failed') return 'refused';
  return link.value === 'connecting' ? 'connecting' : 'reconnecting';
});

export const isSandbox = computed(() => status.value?.body.sandbox === true);

/** What a person can do about it, in the server's words. */
export const describe = (error: unknown): string =>
  error instanceof Error ? error.message : 'An unexpected failure.';

const isRefusal = (error: unknown): boolean => error instanceof ProblemError && error.status === 401;

const RETRY_MS = 3000;
/** Asks again once the server may answer, which in a cool-down of an exchange is minutes; not where that would not help. */
export const askAgain = (error: unknown, ask: () => void): void => {
  if (error instanceof ProblemError && error.retryable)
    setTimeout(ask, Math.max(RETRY_MS, error.retryAfterMs ?? 0));
};
let retry: ReturnType<typeof setTimeout> | undefined;

/** Asks who the exchanges are, which tells as well whether this page may ask at all. Never rejects. */
const begin = async (): Promise<void> => {
  clearTimeout(retry);
  const asked = client.peek();
  try {
    const answer = await asked.exchanges();
    if (client.peek() !== asked) return;
    exchanges.value = answer.exchanges;
    access.value = 'open';
    fault.value = null;
    // Listed without what it can do, since it could not be asked in time: it is asked again by then.
    if (exchanges.peek().some(({ capabilities }) => capabilities === null))
      retry = setTimeout(() => void begin(), RETRY_MS);
  } catch (error) {
    if (client.peek() !== asked) return;
    if (isRefusal(error)) access.value = apiKey.peek() === undefined ? 'needed' : 'refused';
    else {
      fault.value = describe(error);
      retry = setTimeout(() => void begin(), RETRY_MS);
    }
  }
};

/** Tries the key that somebody has typed. */
export const logIn = (key: string): void => {
  client.peek().close();
  apiKey.value = key;
  client.value = connect(key);
  access.value = 'unknown';
  void begin();
};

/** With this key, for requests that the client has no method for. Rejects with a ProblemError's message. */
export const getJson = async <T>(path: string): Promise<T> => {
  const key = apiKey.peek();
  const response = await fetch(new URL(path, ROOT), {
    headers: { accept: 'application/json', ...(key === undefined ? {} : { 'x-api-key': key }) },
    signal: AbortSignal.timeout(20_000),
  });
  const body = (await response.json()) as T & { readonly detail?: string };
  if (!response.ok) throw new Error(body.detail ?? `The server answered ${response.status}.`);
  return body;
};

/** The server's wall clock in milliseconds; this machine's may be wrong, and is used only before the server has told. */
export const serverTime = (): number => client.peek().stream.serverTime() ?? Date.now();

/**
 * A server whose places for streams are all taken refuses the socket by a 503 that a browser does not show to a page;
 * over REST it answers still.
 */
const askWhileLost = (): void => {
  effect(() => {
    if (access.value !== 'open' || connection.value !== 'reconnecting') return;
    let isOver = false;
    const ask = async (): Promise<void> => {
      const body = await client.peek().status();
      if (isOver) return;
      status.value = { body, at: performance.now() };
      fault.value = 'The server answers but takes no stream: all its places for streams may be taken.';
    };
    const timer = setInterval(() => void ask().catch(() => undefined), RETRY_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
      fault.value = null;
    };
  });
};

export const startServer = (): void => {
  void begin();
  askWhileLost();
  effect(() => {
    if (access.value !== 'open' || !isWanted.value) return;
    const subscription = client.value.stream.subscribe(
      { channel: 'health' },
      {
        onEvent: (event) => {
          if (event.event_type !== 'health') return;
          const at = performance.now();
          inNextFrame('health', () => (status.value = { body: event, at }));
        },
        onState: ({ state }) => {
          // Its key may be refused from now on.
          if (state === 'failed' && link.peek() !== state) void begin();
          link.value = state;
        },
      },
    );
    return () => subscription.unsubscribe();
  });
};
