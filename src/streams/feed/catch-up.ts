/**
 * The overlap of REST and a feed that has just become live: what happened before its first message is on REST only.
 * Sequences are kept in order: the feed's messages wait until REST has answered what came before.
 */
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import {
  CATCH_UP_TRADES,
  isOwnRefusal,
  REST_DEADLINE_MS,
  type RestItem,
  type RestFetch,
} from './rest-items.js';
import type { FeedOptions, FeedTimers } from './feed-state.js';

/** Messages of a feed that wait for REST; with more, they go first. */
const MAX_HELD_ITEMS = 1000;
/** Where this server may not ask yet, it asks again after this time at the earliest, and at random within as much more. */
const RETRY_AFTER_MS: Millis = 2_000;
/** REST may know of a period's end later than the feed goes on to the next one. */
const LATE_CANDLE_MS: Millis = 1_500;

/** The feed's messages while REST is asked. */
interface Hold {
  readonly items: { readonly item: StreamItem; readonly receivedAt: Millis }[];
}

export interface CatchUpParts {
  readonly options: FeedOptions;
  readonly timers: FeedTimers;
  readonly fetchRest: RestFetch;
  readonly signal: AbortSignal;
}

/** The venue stamped it. */
export const isTimed = (item: StreamItem): boolean => !('untimed' in item);

export class CatchUp {
  readonly #parts: CatchUpParts;
  #hold: Hold | null = null;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /** Whether it takes an item of the feed, to pass it on when REST has answered what came before. */
  holds(item: StreamItem, receivedAt: Millis): boolean {
    const hold = this.#hold;
    if (hold === null) return false;
    hold.items.push({ item, receivedAt });
    if (hold.items.length >= MAX_HELD_ITEMS) this.release();
    return true;
  }

  /** Asks REST for what came before; an answer to an earlier call holds nothing any more. */
  async start(): Promise<void> {
    const { options, timers } = this.#parts;
    const hold: Hold | null = options.listener.ready ? { items: [] } : null;
    this.#hold = hold;
    timers.cancel('catch-up');
    if (hold !== null)
      timers.arm('hold', REST_DEADLINE_MS, () => {
        this.release();
      });
    await this.#ask(hold);
  }

  /** Hands over what was held; nothing is held afterwards. `seam`: REST has answered just before. */
  release(seam = false): void {
    const items = this.#hold?.items ?? [];
    this.#stopHolding();
    for (const { item, receivedAt } of items)
      this.#parts.options.listener.onItem(item, { via: 'feed', timed: isTimed(item), receivedAt, seam });
  }

  /** The feed is lost: what was held is handed over, and what is missing will be asked for when it is back. */
  interrupt(): void {
    this.#parts.timers.cancel('catch-up');
    this.release();
  }

  drop(): void {
    this.#parts.timers.cancel('catch-up');
    this.#stopHolding();
  }

  #stopHolding(): void {
    this.#hold = null;
    this.#parts.timers.cancel('hold');
  }

  async #ask(hold: Hold | null): Promise<void> {
    const { fetchRest, signal } = this.#parts;
    const rest = await fetchRest(CATCH_UP_TRADES);
    if (signal.aborted) return;
    const seam = hold !== null && this.#hold === hold;
    if (rest instanceof AppError) this.#unanswered(rest, seam);
    else if (seam && isBehind(rest.item, hold.items)) this.#askLater(hold);
    else this.#answered(rest, seam);
  }

  #answered({ item, timed, receivedAt }: RestItem, seam: boolean): void {
    this.#parts.options.listener.onItem(item, { via: 'rest', timed, receivedAt, seam });
    if (seam) this.release(true);
  }

  #unanswered(fault: AppError, seam: boolean): void {
    const { options, timers } = this.#parts;
    const { topic, log, listener, random } = options;
    if (isOwnRefusal(fault)) {
      // Nothing is known to be missing: it is asked for as soon as this server may.
      const wait = Math.max(fault.retryAfterMs ?? 0, RETRY_AFTER_MS) + random() * RETRY_AFTER_MS;
      timers.arm('catch-up', wait, () => void this.start());
    } else {
      // Its clients get a status; of many feeds at once the log would only repeat what it said of the outage.
      log.debug({ ...topic, code: fault.code }, 'a gap in the feed stays open');
      listener.onGap(
        `The venue could not be asked for what came before: some ${topic.channel} may be missing. ${fault.message}`,
      );
    }
    if (seam) this.release();
  }

  /** Within the time that the feed's messages are held. */
  #askLater(hold: Hold): void {
    this.#parts.timers.arm('catch-up', LATE_CANDLE_MS, () => {
      if (this.#hold === hold) void this.#ask(hold);
    });
  }
}

/** The feed is in a later period than the answer: how the one before ended, REST has yet to say. */
const isBehind = (answer: StreamItem, held: Hold['items']): boolean => {
  if (answer.channel !== 'ohlcv') return false;
  const newest = Math.max(0, ...answer.candles.map(({ timestamp }) => timestamp));
  const closed = answer.candles.some(({ timestamp, closed: isClosed }) => timestamp === newest && isClosed);
  const first = held[0]?.item;
  const next = first?.channel === 'ohlcv' ? first.candles[0]?.timestamp : undefined;
  return next !== undefined && next > newest && !closed;
};
