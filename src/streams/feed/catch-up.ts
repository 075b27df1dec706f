/**
 * The seam between REST and a feed that has just come alive: what happened before its first message is on REST only.
 * Trades come in order: those of the feed wait until REST has told which came before them.
 */
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import { CATCH_UP_TRADES } from '../rest-items.js';
import type { FeedOptions } from './feed-api.js';
import type { FeedTimers } from './feed-timers.js';
import { REST_DEADLINE_MS, type RestLook } from './rest-look.js';

/** Messages of a feed that wait for REST; with more, they go first. */
const MAX_HELD_ITEMS = 1000;

/** What a feed said while REST is asked. */
interface Hold {
  readonly items: { readonly item: StreamItem; readonly receivedAt: Millis }[];
}

export interface CatchUpParts {
  readonly options: FeedOptions;
  readonly timers: FeedTimers;
  readonly look: RestLook;
  readonly signal: AbortSignal;
}

export class CatchUp {
  readonly #parts: CatchUpParts;
  #hold: Hold | null = null;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /** Hands one item of the feed on, or holds it. */
  pass(item: StreamItem, receivedAt: Millis): void {
    const hold = this.#hold;
    if (hold === null) {
      this.#parts.options.listener.onItem(item, { via: 'feed', timed: true, receivedAt });
      return;
    }
    hold.items.push({ item, receivedAt });
    if (hold.items.length >= MAX_HELD_ITEMS) this.release();
  }

  /** Asks REST for what came before; an answer to an earlier call holds nothing any more. */
  async start(): Promise<void> {
    const { options, timers, look, signal } = this.#parts;
    const { topic, log, listener } = options;
    const hold = topic.channel === 'trades' && listener.ready ? { items: [] } : null;
    this.#hold = hold;
    if (hold !== null)
      timers.arm('hold', REST_DEADLINE_MS, () => {
        this.release();
      });
    const rest = await look(CATCH_UP_TRADES);
    if (signal.aborted) return;
    const seam = hold !== null && this.#hold === hold;
    if (rest instanceof AppError) {
      // Its clients are told; of many feeds at once the log would only repeat what it said of the outage.
      log.debug({ ...topic, code: rest.code }, 'a gap in the feed stays open');
      listener.onGap(
        `The venue could not be asked for what came before: some ${topic.channel} may be missing. ${rest.message}`,
      );
      if (seam) this.release();
      return;
    }
    const { item, timed, receivedAt } = rest;
    listener.onItem(item, { via: 'rest', timed, receivedAt, seam });
    if (seam) this.release(true);
  }

  /** Hands over what was held; nothing is held afterwards. `seam`: REST has answered just before. */
  release(seam = false): void {
    const items = this.#hold?.items ?? [];
    this.drop();
    for (const { item, receivedAt } of items)
      this.#parts.options.listener.onItem(item, { via: 'feed', timed: true, receivedAt, seam });
  }

  drop(): void {
    this.#hold = null;
    this.#parts.timers.cancel('hold');
  }
}
