/**
 * How many requests a caller may make: a fixed window per key, counted in memory. A plain counter, since it runs on
 * every request; the window of a key starts with its first request. What it counts can be told to other servers behind
 * the requests' backs (client-limiter-sharing.ts).
 */
import ipaddr from 'ipaddr.js';
import type { Millis } from '../schemas/common.js';

export interface LimitState {
  readonly allowed: boolean;
  /** Requests left in this window, 0 or more. */
  readonly remaining: number;
  /** When the window ends. */
  readonly resetAt: Millis;
}

export interface WindowRule {
  /** Requests a window, 1 or more. */
  readonly requests: number;
  readonly windowMs: Millis;
}

interface Charge extends WindowRule {
  /** Default: 1. */
  readonly count?: number;
}

interface ClientLimiter {
  /** Counts one request of `key` at `now`, or as many as `charge` says; its rule is by default everybody's. */
  hit(key: string, now: Millis, charge?: Charge): LimitState;
  /** The same without counting one. */
  look(key: string, now: Millis, rule?: WindowRule): LimitState;
}

/** What this server has counted for a key and not yet told the others. */
export interface Unshared {
  readonly key: string;
  /** 1 or more. */
  readonly hits: number;
  /** Of the whole window. */
  readonly windowMs: Millis;
  /** Until the window ends here, 1 or more. */
  readonly leftMs: Millis;
  /** Takes over what all servers together have counted, and when their common window ends. */
  settle(shared: SharedCount, now: Millis): void;
}

export interface SharedCount {
  readonly total: number;
  readonly leftMs: Millis;
}

/** A window of one process of several, which hit by hit may have to ask the others (window-leases.ts). */
export interface LeasedWindow {
  readonly key: string;
  readonly windowMs: Millis;
  /** The latest rule's. */
  requests: number;
  /** What is known of all processes' hits, this one's included. */
  count: number;
  resetAt: Millis;
  /** Hits that the others have left to this process, which need not be asked about. */
  left: number;
  /** Hits that the others have not been told of. */
  untold: number;
  /** Of these, what was left to this process. */
  untoldLeft: number;
  /** The others have not heard of this window yet. */
  isNew: boolean;
}

export interface SharableLimiter extends ClientLimiter {
  /** Called with each window that has hits of which the others do not know; null, the default: there are no others. */
  onUntold: ((window: LeasedWindow) => void) | null;
  /** Whether a hit may be decided here: the window is used up, or the others have left some of it to this process. */
  isDecided(key: string, now: Millis, rule: WindowRule): boolean;
  /** The running window of `key`, or a new one. */
  leasedWindow(key: string, now: Millis, rule: WindowRule): LeasedWindow;
  /** The latest window of `key`, where it has that length. */
  knownWindow(key: string, windowMs: Millis): LeasedWindow | undefined;
  /** Takes at most `max` keys with what was counted for each since it was last taken; it is not given twice. */
  takeUnshared(max: number, now: Millis): Unshared[];
  /** Called where there is something to take, and there was nothing; default: whoever takes looks by himself. */
  onUnshared: (() => void) | null;
  readonly hasUnshared: boolean;
}

export interface ClientLimiterOptions extends WindowRule {
  /** true: keep what is counted for `takeUnshared`. */
  readonly shared?: boolean;
  /** Keys remembered at most; beyond it the longest known are forgotten first. */
  readonly maxKeys?: number;
}

/** About 100 bytes each: 10 MB at most. */
const MAX_KEYS = 100_000;

interface Window extends LeasedWindow {
  /** What other servers have not been told of. */
  unshared: number;
}

const stateOf = (window: Pick<Window, 'count' | 'resetAt'>, { requests }: WindowRule): LimitState => ({
  allowed: window.count <= requests,
  remaining: Math.max(0, requests - window.count),
  resetAt: window.resetAt,
});

export const createClientLimiter = (options: ClientLimiterOptions): SharableLimiter => {
  const { shared = false, maxKeys = MAX_KEYS } = options;
  // Roughly in the order of their ends: the first is, but for what other servers say, the one that ends first.
  const windows = new Map<string, Window>();
  /** Those with something unshared; a part of `windows`. */
  const dirty = new Set<Window>();

  const forget = (window: Window): void => {
    windows.delete(window.key);
    dirty.delete(window);
  };

  const open = (key: string, now: Millis, windowMs: Millis): Window => {
    const ended = windows.get(key);
    if (ended !== undefined) forget(ended);
    for (const window of windows.values()) {
      if (window.resetAt > now && windows.size < maxKeys) break;
      forget(window);
    }
    const window: Window = {
      ...{ key, windowMs, requests: 0, count: 0, unshared: 0, resetAt: now + windowMs },
      ...{ left: 0, untold: 0, untoldLeft: 0, isNew: true },
    };
    windows.set(key, window);
    return window;
  };

  /** Of a rule whose window has another length, the one that runs is over. */
  const running = (key: string, now: Millis, { windowMs }: WindowRule): Window | undefined => {
    const known = windows.get(key);
    return known !== undefined && known.resetAt > now && known.windowMs === windowMs ? known : undefined;
  };

  const take = (window: Window, now: Millis): Unshared => {
    const { key, windowMs, unshared: hits, resetAt } = window;
    window.unshared = 0;
    return {
      key,
      hits,
      windowMs,
      leftMs: resetAt - now,
      settle({ total, leftMs }, at) {
        window.count = Math.max(window.count, total + window.unshared);
        window.resetAt = at + Math.min(leftMs, windowMs);
      },
    };
  };

  /** What is refused need not be told: the others refuse already, or soon. */
  const useLease = (window: Window, { requests, count = 1 }: Charge): void => {
    if (window.count >= requests) return;
    const byLease = Math.min(window.left, count);
    window.left -= byLease;
    window.untoldLeft += byLease;
    window.untold += count;
    window.requests = requests;
    limiter.onUntold?.(window);
  };

  const limiter: SharableLimiter = {
    onUnshared: null,
    onUntold: null,
    isDecided(key, now, rule) {
      if (limiter.onUntold === null) return true;
      const window = running(key, now, rule);
      return window !== undefined && (window.left > 0 || window.count >= rule.requests);
    },
    leasedWindow(key, now, rule) {
      const window = running(key, now, rule) ?? open(key, now, rule.windowMs);
      window.requests = rule.requests;
      return window;
    },
    knownWindow(key, windowMs) {
      const window = windows.get(key);
      return window?.windowMs === windowMs ? window : undefined;
    },
    get hasUnshared() {
      return dirty.size > 0;
    },
    hit(key, now, rule: Charge = options) {
      const { count = 1 } = rule;
      const window = running(key, now, rule) ?? open(key, now, rule.windowMs);
      if (limiter.onUntold !== null) useLease(window, rule);
      // What is refused need not be told: the others refuse already, or soon.
      if (shared && window.count < rule.requests) {
        if (window.unshared === 0) {
          dirty.add(window);
          if (dirty.size === 1) limiter.onUnshared?.();
        }
        window.unshared += count;
      }
      window.count += count;
      return stateOf(window, rule);
    },
    look: (key, now, rule = options) =>
      stateOf(running(key, now, rule) ?? { count: 0, resetAt: now + rule.windowMs }, rule),
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
  return limiter;
};

/** A single client commonly owns the whole /64 that its IPv6 address is in. */
const IPV6_PREFIX_BITS = 64;

/** `1.2.3.4:567` and `[::1]:567`, as Azure's gateway and IIS write them into X-Forwarded-For. */
const withoutPort = (address: string): string =>
  /^\[(.+)\](?::\d{1,5})?$/.exec(address)?.[1] ?? /^(\d[\d.]*):\d{1,5}$/.exec(address)?.[1] ?? address;

/**
 * What a client is counted by: its IPv4 address, or the /64 of its IPv6 address. IPv4 within IPv6
 * (`::ffff:1.2.3.4`, `::ffff:102:304`) is the IPv4 address, a port is cut, and so is a zone (`%eth0`). What is no
 * address, though a proxy says so, is counted as it is.
 */
export const clientKey = (address: string): string => {
  const bare = withoutPort(address);
  if (!ipaddr.isValid(bare)) return address;
  const parsed = ipaddr.process(bare);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/${IPV6_PREFIX_BITS}`);
  return `${network.toString()}/${IPV6_PREFIX_BITS}`;
};
