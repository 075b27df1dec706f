/** What follows when a feed is lost: how long to wait until it is opened anew, and what the log says of it. */
import type { Millis, ExchangeId } from '../../schemas/common.js';
import { createOutage, type Outage } from '../../log/outage.js';
import type { StreamTopic } from '../../exchanges/exchange-client.js';
import type { Log } from '../../log/log.js';

const RECONNECT_BASE_MS: Millis = 500;
/** A venue that is back is tried again within this time. */
const RECONNECT_MAX_MS: Millis = 30_000;
/** A connection that lasted so long was healthy: the next reconnect is quick again. */
const STABLE_AFTER_MS: Millis = 10_000;
/** Doubling past this many failures changes nothing. */
const MAX_EXPONENT = 16;

/** How long to wait before a feed is opened anew. */
export class ReconnectWait {
  readonly #random: () => number;
  #failures = 0;

  /** `random`: 0 (inclusive) to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * After a feed that spoke for `livedFor` ms (0 where it never did). Exponential with full jitter, never at once; a
   * request that the venue refuses as wrong (`isRefused`) is not repeated quickly.
   */
  next({ livedFor, isRefused }: { readonly livedFor: Millis; readonly isRefused: boolean }): Millis {
    if (livedFor >= STABLE_AFTER_MS) this.#failures = 0;
    const exponent = Math.min(this.#failures, MAX_EXPONENT);
    this.#failures += 1;
    const ceiling = isRefused
      ? RECONNECT_MAX_MS
      : Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** exponent);
    return ceiling / 10 + this.#random() * ceiling * 0.9;
  }
}

/** A lost feed, and one that its venue refuses for good, are told apart: one must not hide the other. */
type Kind = 'lost' | 'refused';

const WORDS: Readonly<Record<Kind, { readonly warning: string; readonly recovery: string }>> = {
  lost: {
    warning: 'feeds of an exchange are lost; they reconnect',
    recovery: 'all feeds of the exchange are live again',
  },
  refused: {
    warning: 'an exchange refuses feeds; they are polled',
    recovery: 'the exchange takes all its feeds again',
  },
};

interface Trouble {
  readonly outage: Outage;
  readonly feeds: Set<object>;
  /** At the same time, since it began. */
  most: number;
}

export interface LostFeed {
  readonly topic: StreamTopic;
  readonly reason: string;
  readonly code: string | undefined;
  /** The fault's diagnosis. */
  readonly cause?: string | undefined;
  /** Until the next attempt. */
  readonly wait: Millis;
  readonly kind: Kind;
}

/** What the log says of lost feeds: once per exchange, however many of its feeds are lost, and once when all are back. */
export class FeedOutages {
  readonly #log: Log;
  readonly #now: () => Millis;
  readonly #troubles = new Map<string, Trouble>();

  constructor({ log, now }: { readonly log: Log; readonly now: () => Millis }) {
    this.#log = log;
    this.#now = now;
  }

  /** `feed` stands for itself; each loss is a line for debugging. */
  lost(feed: object, { topic, kind, ...details }: LostFeed): void {
    this.#log.debug({ ...topic, ...details }, 'feed lost; will reconnect');
    const trouble = this.#trouble(topic.exchange, kind);
    trouble.feeds.add(feed);
    trouble.most = Math.max(trouble.most, trouble.feeds.size);
    trouble.outage.begin({ ...topic, ...details });
  }

  /** The feed is live again, or closed. */
  over(feed: object, exchange: ExchangeId): void {
    for (const kind of ['lost', 'refused'] as const) {
      const trouble = this.#troubles.get(`${kind} ${exchange}`);
      if (trouble?.feeds.delete(feed) !== true || trouble.feeds.size > 0) continue;
      trouble.outage.end({ exchange, feeds: trouble.most });
      trouble.most = 0;
    }
  }

  #trouble(exchange: ExchangeId, kind: Kind): Trouble {
    const key = `${kind} ${exchange}`;
    let trouble = this.#troubles.get(key);
    if (trouble === undefined) {
      const outage = createOutage({ log: this.#log, now: this.#now, ...WORDS[kind] });
      this.#troubles.set(key, (trouble = { outage, feeds: new Set(), most: 0 }));
    }
    return trouble;
  }
}
