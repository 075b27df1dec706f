/** CCXT's WebSocket connections: how often an address is dialled, and when a connection last answered. */
import { LRUCache } from 'lru-cache';
import type { Millis } from '../../../schemas/common.js';
import { type CcxtExchange, isTable } from '../ccxt-exchange.js';

/**
 * CCXT's back-off, in ms; `max` is below the time that a feed has for its first message. The feeds' own back-off is per
 * topic: this one keeps a hundred topics from dialling a venue that is down a hundred times. CCXT counts every dial as a
 * failure until `forgetDials`.
 */
const BACKOFF = { base: 250, factor: 2, max: 5_000, stableAfter: 30_000 };

/** A venue has a handful of addresses. */
const MAX_ADDRESSES = 1_000;

/** By address. Outlives instances: each loss of a last feed makes a new one. */
const dials = new LRUCache<string, object>({ max: MAX_ADDRESSES });

/** Without its query: some venues have a new token in each URL, which would begin a count of its own. */
const addressOf = (url: string): string => url.replace(/[?#].*$/s, '');

/** The table that CCXT reads and writes by URL. */
const byUrl = new Proxy<Record<string, unknown>>(
  {},
  {
    get: (_table, url) => (typeof url === 'string' ? dials.get(addressOf(url)) : undefined),
    set: (_table, url, state: unknown) => {
      if (typeof url === 'string' && typeof state === 'object' && state !== null)
        dials.set(addressOf(url), state);
      return true;
    },
  },
);

/** Once per instance. CCXT writes into the table that it is given, so each instance gets its own but for the count. */
export const paceDials = (instance: CcxtExchange): void => {
  const own = isTable(instance.options['ws']) ? instance.options['ws'] : {};
  instance.options['ws'] = { ...own, backoff: BACKOFF, backoffState: byUrl };
};

/** Data came: should this connection be lost, it is dialled again at once. */
export const forgetDials = (urls: Iterable<string>): void => {
  for (const url of urls) dials.delete(addressOf(url));
};

/**
 * By the clock of durations. CCXT compares readings of the wall clock, or of the venue's: set an hour ahead, all healthy
 * connections would be cut at the next ping; an hour back, dead ones would stay undetected for an hour.
 */
const pongs = new WeakMap<object, Millis>();

/** Once per connection; `now`: the wall clock as CCXT reads it. CCXT finds `lastPong` as long before that as it was. */
export const timePongs = (
  client: object,
  { now, monotonic }: { readonly now: () => Millis; readonly monotonic: () => Millis },
): void => {
  /** What CCXT read last: it writes that back at every ping. */
  let told: Millis | undefined;
  Object.defineProperty(client, 'lastPong', {
    configurable: true,
    enumerable: true,
    get: () => {
      const at = pongs.get(client);
      return (told = at === undefined ? undefined : now() - (monotonic() - at));
    },
    // Whatever time CCXT notes, it notes it as the pong comes.
    set: (value: unknown) => {
      if (value === undefined || value !== told) pongs.set(client, monotonic());
    },
  });
};

/** A sign of life besides pongs: the venue has answered the handshake. */
export const noteAlive = (client: object, monotonic: () => Millis): void => {
  pongs.set(client, monotonic());
};

/** By the clock of durations; undefined before the connection is open. */
export const lastPongAt = (client: object): Millis | undefined => pongs.get(client);
