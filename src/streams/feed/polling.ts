/** Polling instead of a feed that the venue does not have, or that is down for too long. */
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { Timers } from '../../lib/timers.js';
import type { FeedOptions, FeedTimers, FeedState } from './feed-state.js';
import { isOwnRefusal, type RestFetch } from './rest-items.js';

/** However often a poll is refused, it is tried again within this time. */
const MAX_POLL_INTERVAL_MS: Millis = 60_000;
const STRETCH = 2;

interface PollerOptions {
  readonly intervalMs: Millis;
  /** One poll; must not reject. Answers the fault where there was one. */
  readonly poll: () => Promise<AppError | null>;
  readonly timers: Timers;
}

/** Polls at an interval that doubles while the venue or our own budget refuses. */
class Poller {
  readonly #options: PollerOptions;
  #interval: Millis;
  #cancel: (() => void) | null = null;
  /** Tells a poll that is under way from those before a stop. */
  #run = 0;
  #active = false;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#interval = options.intervalMs;
  }

  get active(): boolean {
    return this.#active;
  }

  /** The first poll after `delay`; no effect while active. */
  start(delay: Millis): void {
    if (this.#active) return;
    this.#active = true;
    this.#run += 1;
    this.#interval = this.#options.intervalMs;
    this.#arm(delay, this.#run);
  }

  stop(): void {
    this.#active = false;
    this.#run += 1;
    this.#cancel?.();
    this.#cancel = null;
  }

  #arm(delay: Millis, run: number): void {
    this.#cancel = this.#options.timers.after(delay, () => {
      this.#cancel = null;
      void this.#once(run);
    });
  }

  async #once(run: number): Promise<void> {
    const fault = await this.#options.poll();
    if (run !== this.#run) return;
    const { intervalMs } = this.#options;
    const longest = Math.max(MAX_POLL_INTERVAL_MS, intervalMs);
    this.#interval =
      fault === null
        ? Math.max(intervalMs, this.#interval / STRETCH)
        : Math.min(longest, this.#interval * STRETCH);
    this.#arm(Math.min(longest, Math.max(this.#interval, fault?.retryAfterMs ?? 0)), run);
  }
}

/** A feed that is down for longer is replaced by polling until it is back. */
export const FALLBACK_AFTER_MS: Millis = 5_000;

export interface FallbackParts {
  readonly options: FeedOptions;
  readonly timers: FeedTimers;
  readonly state: FeedState;
  readonly fetchRest: RestFetch;
  /** A poll brought what the feed, if one is being opened, should have brought itself. */
  readonly onNews: () => void;
  /** The text of its status while it polls. */
  readonly detail: () => string;
}

/** What people are told about it. */
export const pollingDetail = ({ topic, pollIntervalMs, watchable }: FeedOptions): string => {
  const why = watchable ? 'The WebSocket feed is down' : `${topic.exchange} has no WebSocket feed for this`;
  return `${why}; asking over REST every ${pollIntervalMs / 1000} s.`;
};

export class Fallback {
  readonly #parts: FallbackParts;
  readonly #poller: Poller;

  constructor(parts: FallbackParts) {
    this.#parts = parts;
    const { pollIntervalMs, timers } = parts.options;
    this.#poller = new Poller({ intervalMs: pollIntervalMs, timers, poll: () => this.#poll() });
  }

  get active(): boolean {
    return this.#poller.active;
  }

  /** The only source there is: the first poll after one interval. */
  start(): void {
    this.#poller.start(this.#parts.options.pollIntervalMs);
  }

  /** Polls from `delay` on, unless stopped before; a wait that is under way goes on, but for one that is 0. */
  startAfter(delay: Millis = FALLBACK_AFTER_MS): void {
    const { options, timers, state } = this.#parts;
    if (timers.isArmed('fallback') && delay > 0) return;
    timers.arm('fallback', delay, () => {
      if (options.pollable) this.#poller.start(0);
      else state.set('stale', `${options.topic.exchange} has no other source for this.`);
    });
  }

  stop(): void {
    this.#parts.timers.cancel('fallback');
    this.#parts.timers.cancel('stale');
    this.#poller.stop();
  }

  async #poll(): Promise<AppError | null> {
    const { options, timers, state, fetchRest, onNews, detail } = this.#parts;
    const rest = await fetchRest();
    if (!this.#poller.active) return null;
    if (rest instanceof AppError) {
      if (!isOwnRefusal(rest)) this.#failed(rest);
      return rest;
    }
    timers.cancel('stale');
    state.messageReceived();
    if (options.listener.isNews(rest.item)) onNews();
    state.set('polling', detail());
    options.listener.onItem(rest.item, { via: 'rest', timed: rest.timed, receivedAt: rest.receivedAt });
    return null;
  }

  /** Polls come ever more rarely while they fail: what came last turns stale in time all the same. */
  #failed(fault: AppError): void {
    const { options, timers, state } = this.#parts;
    const left = options.idleTimeoutMs - state.silentFor();
    if (left <= 0) state.set('stale', fault.message);
    else
      timers.arm('stale', left, () => {
        state.set('stale', fault.message);
      });
  }
}
