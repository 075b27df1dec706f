/**
 * How often a WebSocket URL is dialled. The feeds' own back-off is per topic; CCXT's, set here, keeps a hundred topics
 * from dialling a venue that is down a hundred times. CCXT counts every dial as a failure until it is forgotten.
 */
import type { CcxtExchange } from '../ccxt-exchange.js';
import { isTable } from '../tables.js';

/** In ms; `max` is below the time that a feed has for its first message. */
const BACKOFF = { base: 250, factor: 2, max: 5_000, stableAfter: 30_000 };

/** By URL, of which a venue has a handful. Outlives instances: each loss of a last feed makes a new one. */
const dials: Record<string, unknown> = {};

/** Once per instance. CCXT writes into the table that it is given, so each instance gets its own but for the count. */
export const paceDials = (instance: CcxtExchange): void => {
  const own = isTable(instance.options['ws']) ? instance.options['ws'] : {};
  instance.options['ws'] = { ...own, backoff: BACKOFF, backoffState: dials };
};

/** Data came: should this connection be lost, it is dialled again at once. */
export const forgetDials = (urls: Iterable<string>): void => {
  for (const url of urls) Reflect.deleteProperty(dials, url);
};
