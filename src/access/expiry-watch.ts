/**
 * Ends the open streams of principals that expire. Each principal has a timer of its own: Node keeps timers in order, so
 * that a stream that opens or closes costs the same however many others are open.
 */
import type { Millis } from '../schemas/common.js';
import type { Principal, StreamWatch } from './principal.js';

/** The longest wait that a timer takes; the wall clock is read again after that. */
const LONGEST_WAIT_MS = 60 * 60 * 1000;

export interface ExpiryWatch extends StreamWatch {
  close(): void;
}

/**
 * When a principal's streams end: of a token half-way through the tolerance, so that it is between its `exp` and the last
 * moment at which it is taken. A stream that opens after that has the rest of it.
 */
const endOf = ({ toleranceMs }: Principal, expiresAt: Millis, at: Millis): Millis => {
  const early = expiresAt - toleranceMs / 2;
  return early > at ? early : expiresAt;
};

export const createExpiryWatch = (now: () => Millis): ExpiryWatch => {
  /** Of those that have open streams and an end. */
  const timers = new Map<Principal, NodeJS.Timeout>();
  let closed = false;

  const forget = (principal: Principal): void => {
    clearTimeout(timers.get(principal));
    timers.delete(principal);
  };

  const wait = (principal: Principal, endsAt: Millis): void => {
    const ms = Math.min(LONGEST_WAIT_MS, Math.max(1, endsAt - now()));
    const look = (): void => {
      timers.delete(principal);
      // A timer may fire a moment early, and a far end is waited for in parts.
      if (now() < endsAt) wait(principal, endsAt);
      else principal.end('credentials_expired');
    };
    timers.set(principal, setTimeout(look, ms).unref());
  };

  return {
    changed(principal) {
      forget(principal);
      const { openStreams, expiresAt } = principal;
      if (openStreams > 0 && expiresAt !== null && !closed)
        wait(principal, endOf(principal, expiresAt, now()));
    },
    close() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
};
