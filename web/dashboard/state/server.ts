/** The server behind the page: one client, what it says of itself, and whether it can be reached. */
import { computed, effect, signal } from '@preact/signals';
import { createClient, ProblemError, type Client, type Exchange, type Status } from '../../client/client.js';
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
export const client = signal<Client>(createClient({ url: ROOT }));
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
  error instanceof Error ? error.message : 'Something failed that nobody expected.';

const isRefusal = (error: unknown): boolean => error instanceof ProblemError && error.status === 401;

const RETRY_MS = 3000;
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
  client.value = createClient({ url: ROOT, apiKey: key });
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

/** An exchange tells its intervals once its markets are loaded, which begins with the first question about them. */
const learnIntervals = (): void => {
  let asked = '';
  effect(() => {
    const loaded = status.value?.body.exchanges.filter(({ markets_age_ms }) => markets_age_ms !== null) ?? [];
    const ids = loaded.map(({ id }) => id).join();
    if (access.value !== 'open' || ids === asked) return;
    asked = ids;
    const isKnown = ({ id, intervals }: Exchange): boolean =>
      intervals.length > 0 || !loaded.some((exchange) => exchange.id === id);
    if (!exchanges.peek().every(isKnown)) void begin();
  });
};

export const startServer = (): void => {
  void begin();
  learnIntervals();
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
        onState: ({ state }) => (link.value = state),
      },
    );
    return () => subscription.unsubscribe();
  });
};
