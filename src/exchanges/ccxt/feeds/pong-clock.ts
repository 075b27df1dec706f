/**
 * When a connection last answered a ping, by the clock of durations. CCXT compares readings of the wall clock, or of the
 * venue's: set an hour ahead, all healthy connections would be cut at the next ping; an hour back, dead ones would stay
 * undetected for an hour.
 */
import type { Millis } from '../../../schemas/common.js';

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
