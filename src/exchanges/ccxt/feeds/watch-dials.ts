/**
 * How often a WebSocket address is dialled. The feeds' own back-off is per topic; CCXT's, set here, keeps a hundred
 * topics from dialling a venue that is down a hundred times. CCXT counts every dial as a failure until it is forgotten.
 */
import { LRUCache } from 'lru-cache';
import type { CcxtExchange } from '../ccxt-exchange.js';
import { isTable } from '../tables.js';

/** In ms; `max` is below the time that a feed has for its first message. */
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
