/** Ends the open streams of principals that expire: one timer, at the earliest of their ends. */
import type { Millis } from '../schemas/common.js';
import type { Principal, StreamWatch } from './principal.js';

/** The longest wait that a timer takes; the clock is read again after that. */
const LONGEST_WAIT_MS = 60 * 60 * 1000;

export interface ExpiryWatch extends StreamWatch {
  close(): void;
}

export const createExpiryWatch = (now: () => Millis): ExpiryWatch => {
  /** Those that have open streams and an end. */
  const due = new Set<Principal>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const look = (): void => {
    const at = now();
    for (const principal of due) if (principal.faultAt(at) !== null) principal.end('credentials_expired');
    for (const principal of due) if (principal.openStreams === 0) due.delete(principal);
    schedule();
  };

  const schedule = (): void => {
    clearTimeout(timer);
    if (due.size === 0 || closed) return;
    const earliest = Math.min(...[...due].map(({ expiresAt }) => expiresAt ?? Infinity));
    timer = setTimeout(look, Math.min(LONGEST_WAIT_MS, Math.max(1, earliest - now()))).unref();
  };

  return {
    changed(principal) {
      if (principal.openStreams > 0 && principal.expiresAt !== null) due.add(principal);
      else due.delete(principal);
      schedule();
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
};
