import type { Millis } from '../../schemas/common.js';

/** A venue's clock is not so far ahead of this machine's. */
const MAX_AHEAD_MS: Millis = 60_000;

/**
 * A time that is remembered as the newest, and that lies far ahead of now: a wrong stamp, or the wall clock was set back
 * since. What comes now is not late for it. `receivedAt`: when it came, by the wall clock; undefined: unknown.
 */
export const isFarAhead = (newest: Millis, receivedAt: Millis | undefined): boolean =>
  receivedAt !== undefined && newest > receivedAt + MAX_AHEAD_MS;
