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

export const createExpiryWatch = (now: () => Millis): ExpiryWatch => {
  /** Of those that have open streams and an end. */
  const timers = new Map<Principal, NodeJS.Timeout>();
  let closed = false;

  const forget = (principal: Principal): void => {
    clearTimeout(timers.get(principal));
    timers.delete(principal);
  };

  const wait = (principal: Principal, expiresAt: Millis): void => {
    const ms = Math.min(LONGEST_WAIT_MS, Math.max(1, expiresAt - now()));
    timers.set(principal, setTimeout(() => look(principal), ms).unref());
  };

  const look = (principal: Principal): void => {
    timers.delete(principal);
    if (principal.faultAt(now()) !== null) principal.end('credentials_expired');
    // A timer may fire a moment early, and a far end is waited for in parts.
    else if (principal.expiresAt !== null) wait(principal, principal.expiresAt);
  };

  return {
    changed(principal) {
      forget(principal);
      const { openStreams, expiresAt } = principal;
      if (openStreams > 0 && expiresAt !== null && !closed) wait(principal, expiresAt);
    },
    close() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
};
