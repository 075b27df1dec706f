import type { Millis } from '../../schemas/common.js';

/** CCXT's weight of a request, and the time in which one weight flows back (CCXT's `rateLimit`). */
export interface Pace {
  readonly weight: number;
  readonly unitMs: Millis;
}
