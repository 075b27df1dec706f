/**
 * How many requests a client may make: a fixed window per key, counted in memory. A plain counter, since it runs on
 * every request; the window of a key starts with its first request. What it counts can be told to other servers behind
 * the requests' backs (client-limiter-sharing.ts).
 */
import type { Millis } from '../schemas/common.js';

export interface LimitState {
  readonly allowed: boolean;
  /** Requests left in this window, 0 or more. */
  readonly remaining: number;
  /** When the window ends. */
  readonly resetAt: Millis;
}

export interface ClientLimiter {
  /** Counts one request of `key` at `now`. */
  hit(key: string, now: Millis): LimitState;
}

/** What this server has counted for a key and not yet told the others. */
export interface Unshared {
  readonly key: string;
  /** 1 or more. */
  readonly hits: number;
  /** Until the window ends here, 1 or more. */
  readonly leftMs: Millis;
  /** Takes over what all servers together have counted, and when their common window ends. */
  settle(shared: SharedCount, now: Millis): void;
}

export interface SharedCount {
  readonly total: number;
  readonly leftMs: Millis;
}

export interface SharableLimiter extends ClientLimiter {
  /** Takes at most `max` keys with what was counted for each since it was last taken; it is not given twice. */
  takeUnshared(max: number, now: Millis): Unshared[];
}

export interface ClientLimiterOptions {
  /** Requests a window, 1 or more. */
  readonly requests: number;
  readonly windowMs: Millis;
  /** true: keep what is counted for `takeUnshared`. */
  readonly shared?: boolean;
  /** Keys remembered at most; beyond it the longest known are forgotten first. */
  readonly maxKeys?: number;
}

/** About 100 bytes each: 10 MB at most. */
const MAX_KEYS = 100_000;

interface Window {
  readonly key: string;
  /** What is known of all servers' requests, this one's included. */
  count: number;
  unshared: number;
  resetAt: Millis;
}

export const createClientLimiter = (options: ClientLimiterOptions): SharableLimiter => {
  const { requests, windowMs, shared = false, maxKeys = MAX_KEYS } = options;
  // Roughly in the order of their ends: the first is, but for what other servers say, the one that ends first.
  const windows = new Map<string, Window>();
  /** Those with something unshared; a part of `windows`. */
  const dirty = new Set<Window>();

  const forget = (window: Window): void => {
    windows.delete(window.key);
    dirty.delete(window);
  };

  const open = (key: string, now: Millis): Window => {
    const ended = windows.get(key);
    if (ended !== undefined) forget(ended);
    for (const window of windows.values()) {
      if (window.resetAt > now && windows.size < maxKeys) break;
      forget(window);
    }
    const window = { key, count: 0, unshared: 0, resetAt: now + windowMs };
    windows.set(key, window);
    return window;
  };

  const take = (window: Window, now: Millis): Unshared => {
    const { key, unshared: hits, resetAt } = window;
    window.unshared = 0;
    return {
      key,
      hits,
      leftMs: resetAt - now,
      settle({ total, leftMs }, at) {
        window.count = Math.max(window.count, total + window.unshared);
        window.resetAt = at + Math.min(leftMs, windowMs);
      },
    };
  };

  return {
    hit(key, now) {
      const known = windows.get(key);
      const window = known !== undefined && known.resetAt > now ? known : open(key, now);
      // What is refused need not be told: the others refuse already, or soon.
      if (shared && window.count < requests) {
        if (window.unshared === 0) dirty.add(window);
        window.unshared += 1;
      }
      window.count += 1;
      return {
        allowed: window.count <= requests,
        remaining: Math.max(0, requests - window.count),
        resetAt: window.resetAt,
      };
    },
    takeUnshared(max, now) {
      const taken: Unshared[] = [];
      for (const window of dirty) {
        if (taken.length >= max) break;
        dirty.delete(window);
        if (window.resetAt > now) taken.push(take(window, now));
      }
      return taken;
    },
  };
};

/** The first four groups of an IPv6 address: a single client commonly owns all of the other four. */
const IPV6_PREFIX_GROUPS = 4;

/**
 * What a client is counted by: its IPv4 address, or the /64 of its IPv6 address. IPv4 in IPv6's clothes
 * (`::ffff:1.2.3.4`) is the IPv4 address.
 */
export const clientKey = (address: string): string => {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [head = '', tail = ''] = address.split('::', 2);
  const groups = head === '' ? [] : head.split(':');
  const after = tail === '' ? 0 : tail.split(':').length;
  const zeros = address.includes('::') ? Math.max(0, 8 - groups.length - after) : 0;
  const full = [...groups, ...Array<string>(zeros).fill('0'), ...(tail === '' ? [] : tail.split(':'))];
  return `${full.slice(0, IPV6_PREFIX_GROUPS).join(':')}::/64`;
};
