/**
 * Quiet market or dead feed? A session that says nothing in time is compared with REST, which knows. A feed that must
 * speak first and did not is dead without asking.
 */
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { RestItem } from '../rest-items.js';
import { FALLBACK_AFTER_MS } from './fallback.js';
import { isSequence, type FeedOptions } from './feed-api.js';
import type { FeedState } from './feed-state.js';
import type { FeedTimers } from './feed-timers.js';
import type { RestLook } from './rest-look.js';
import type { Session } from './session.js';

/** A feed that has not spoken by then is taken for stuck. Covers a first market load in its worker. */
const FIRST_MESSAGE_TIMEOUT_MS: Millis = 10_000;
/** After REST showed something new, a healthy feed brings it within this time. */
const GRACE_MS: Millis = 1_000;
/** A silent feed that REST can't judge so many times in a row is opened anew. */
const MAX_UNANSWERED = 3;

export interface SilenceParts {
  readonly options: FeedOptions;
  readonly timers: FeedTimers;
  readonly state: FeedState;
  readonly look: RestLook;
  /** The session is alive although it has not spoken. */
  readonly onAlive: (session: Session, detail: string) => void;
  readonly onDead: (session: Session, reason: string, fault: AppError | null) => void;
}

export class Silence {
  readonly #parts: SilenceParts;
  /** Looks over REST in a row that failed while the feed was silent. */
  #unanswered = 0;

  constructor(parts: SilenceParts) {
    this.#parts = parts;
  }

  /** From a session's opening to its first message. */
  awaitFirst(session: Session): void {
    this.#parts.timers.arm('first', FIRST_MESSAGE_TIMEOUT_MS, () => {
      void this.#judge(session);
    });
  }

  /** From its first message on; judges after `delay` or more without one. */
  watch(session: Session, delay = this.#parts.options.idleTimeoutMs): void {
    const { timers, state, options } = this.#parts;
    timers.cancel('first');
    timers.arm('idle', delay, () => {
      const left = options.idleTimeoutMs - state.silentFor();
      if (left > 0 && state.status.state === 'live') this.watch(session, left);
      else void this.#judge(session);
    });
  }

  /** The session is over. */
  stop(): void {
    this.#parts.timers.cancel('first');
    this.#parts.timers.cancel('idle');
    this.#unanswered = 0;
  }

  async #judge(session: Session): Promise<void> {
    const { options, state, look, onDead } = this.#parts;
    if (session.spokeAt === null && (session.missed || !isSequence(options.topic))) {
      onDead(session, 'The feed was opened but says nothing.', null);
      return;
    }
    if (!options.pollable) {
      onDead(session, 'The feed is silent and nothing else tells whether the market is.', null);
      return;
    }
    const heardBefore = state.heard;
    const rest = await look();
    if (session.over) return;
    if (state.heard !== heardBefore) this.watch(session);
    else if (rest instanceof AppError) this.#unknown(session, rest);
    else if (!options.listener.isNews(rest.item)) this.#quiet(session);
    else this.#suspect(session, rest);
  }

  /** It may just be on its way. */
  #suspect(session: Session, { item, timed, receivedAt }: RestItem): void {
    const { options, timers, state, onDead } = this.#parts;
    const heardBefore = state.heard;
    timers.arm('idle', GRACE_MS, () => {
      if (state.heard !== heardBefore) {
        this.watch(session);
        return;
      }
      onDead(session, 'The feed is silent although the market moves.', null);
      options.listener.onItem(item, { via: 'rest', timed, receivedAt });
    });
  }

  #quiet(session: Session): void {
    const { state, onAlive } = this.#parts;
    this.#unanswered = 0;
    const detail = 'Quiet market: the venue has nothing newer.';
    if (session.spokeAt === null) onAlive(session, detail);
    else state.set('live', detail);
    this.watch(session);
  }

  #unknown(session: Session, fault: AppError): void {
    const { options, state, onDead } = this.#parts;
    this.#unanswered += 1;
    if (session.spokeAt === null || this.#unanswered >= MAX_UNANSWERED) {
      onDead(session, fault.message, fault);
      return;
    }
    state.set('stale', `The feed is silent and the venue can't be asked: ${fault.message}`);
    this.watch(
      session,
      Math.max(fault.retryAfterMs ?? 0, Math.min(FALLBACK_AFTER_MS, options.idleTimeoutMs)),
    );
  }
}
