/**
 * Quiet market or dead feed? A session without a message in time waits in a queue to be compared with REST. Only what the venue says of the market counts against a feed: that this server may not ask is no
 * evidence, and while other feeds of its connection speak, neither is it that the venue can't be asked.
 */
import type { Millis } from '../../schemas/common.js';
import type { WatchHandle } from '../../exchanges/exchange-client.js';
import type { SharedSocket } from './silence-checks.js';
import { AppError } from '../../errors.js';
import { isOwnRefusal, type RestItem, type RestFetch } from './rest-items.js';
import { FALLBACK_AFTER_MS } from './polling.js';
import { type FeedOptions, type FeedTimers, isSequence, type FeedState } from './feed-state.js';

/** One opening of the WebSocket feed. */
export interface Session {
  handle: WatchHandle | null;
  /** Since when it is known to be alive, by the clock of durations; null before. */
  spokeAt: Millis | null;
  /** It has brought something itself. */
  spoke: boolean;
  /** Polling saw something that this session should have brought. */
  missed: boolean;
  /** It should have spoken by now, unless nothing happens at all. */
  overdue: boolean;
  /** The connection that it was subscribed on; null before. */
  socket: SharedSocket | null;
  socketName: string | null;
  over: boolean;
}

export const newSession = (): Session => ({
  handle: null,
  spokeAt: null,
  spoke: false,
  missed: false,
  overdue: false,
  socket: null,
  socketName: null,
  over: false,
});

export const endSession = (session: Session): void => {
  session.over = true;
  session.handle?.close();
};

/** A feed without a message by then is checked. Covers a first market load in its worker. */
const FIRST_MESSAGE_TIMEOUT_MS: Millis = 10_000;
/** A subscription that the venue refuses is refused within this time after it was sent. */
const REFUSAL_TIMEOUT_MS: Millis = 1_000;
/** After REST showed something new, a healthy feed brings it within this time. */
const GRACE_MS: Millis = 1_000;
/** A silent feed that REST can't judge so many times in a row is opened anew. */
const MAX_UNANSWERED = 3;

export interface SilenceParts {
  readonly options: FeedOptions;
  readonly timers: FeedTimers;
  readonly state: FeedState;
  readonly fetchRest: RestFetch;
  /** The session is alive although it has not spoken. */
  readonly onAlive: (session: Session, detail: string) => void;
  readonly onDead: (session: Session, reason: string, fault: AppError | null) => void;
}

/** A function, since it changes during an await. */
const isOver = (session: Session): boolean => session.over;

export class Silence {
  readonly #parts: SilenceParts;
  /** REST requests in a row that failed while the feed was silent, and how many messages it had brought by the last of them. */
  #unanswered = 0;
  #messagesAtFailure = 0;
  #withdraw: (() => void) | null = null;

  constructor(parts: SilenceParts) {
    this.#parts = parts;
  }

  /** From a session's opening to its first message. */
  awaitFirst(session: Session): void {
    this.#parts.timers.arm('first', FIRST_MESSAGE_TIMEOUT_MS, () => {
      const { topic } = this.#parts.options;
      const mustSpeak = topic.channel === 'orderbook' || (!isSequence(topic) && session.socket === null);
      if (session.missed || mustSpeak) this.#neverSpoke(session);
      else if (isSequence(topic)) this.#await(session);
      else this.#awaitLonger(session);
    });
  }

  /** Polls saw what the session should have brought. */
  missed(session: Session): void {
    session.missed = true;
    if (session.overdue && session.spokeAt === null) this.#neverSpoke(session);
  }

  #neverSpoke(session: Session): void {
    this.#parts.onDead(session, 'The feed was opened but says nothing.', null);
  }

  /** Some venues send a ticker only when it changes: as long as polls see no change, silence is no fault. */
  #awaitLonger(session: Session): void {
    const { timers, options } = this.#parts;
    session.overdue = true;
    timers.arm('first', Math.max(0, options.idleTimeoutMs - FIRST_MESSAGE_TIMEOUT_MS), () => {
      this.#await(session);
    });
  }

  /** The session's subscription has left on an open connection: a channel that may be silent from the start is live. */
  subscribed(session: Session): void {
    const { options, timers, onAlive } = this.#parts;
    if (!isSequence(options.topic) || session.spokeAt !== null) return;
    timers.arm('subscribed', REFUSAL_TIMEOUT_MS, () => {
      if (session.over || session.spokeAt !== null) return;
      onAlive(session, `Subscribed at ${options.topic.exchange}; nothing has happened since.`);
    });
  }

  /** From the moment that it is live; judges after `delay` or more without a message. */
  watch(session: Session, delay?: Millis): void {
    const { timers, state, options } = this.#parts;
    timers.cancel('first');
    timers.cancel('subscribed');
    const wait = delay ?? (session.spoke ? options.idleTimeoutMs : FIRST_MESSAGE_TIMEOUT_MS);
    timers.arm('idle', Math.min(wait, Math.max(options.idleTimeoutMs, delay ?? 0)), () => {
      const left = options.idleTimeoutMs - state.silentFor();
      if (session.spoke && left > 0 && state.status.state === 'live') this.watch(session, left);
      else this.#await(session);
    });
  }

  /** The session is over. */
  stop(): void {
    const { timers } = this.#parts;
    for (const name of ['first', 'subscribed', 'idle'] as const) timers.cancel(name);
    this.#withdraw?.();
    this.#withdraw = null;
    this.#unanswered = 0;
  }

  /** Joins the queue of the exchange's silent feeds. */
  #await(session: Session): void {
    this.#withdraw?.();
    const { options, state } = this.#parts;
    this.#withdraw = options.checks.ask(
      () => {
        this.#withdraw = null;
        return this.#judge(session);
      },
      () => state.silenceScore(options.idleTimeoutMs),
    );
  }

  /** Whether the venue was asked. */
  async #judge(session: Session): Promise<boolean> {
    const { options, state, fetchRest, onDead } = this.#parts;
    if (session.over) return false;
    const { idleTimeoutMs } = options;
    if (session.spoke && state.status.state === 'live' && state.silentFor() < idleTimeoutMs) {
      this.watch(session, idleTimeoutMs - state.silentFor());
      return false;
    }
    if (!options.pollable) {
      if (this.#isSocketAlive(session)) this.watch(session, idleTimeoutMs);
      else onDead(session, 'The feed is silent and nothing else tells whether the market is.', null);
      return false;
    }
    const messagesBefore = state.messages;
    const rest = await fetchRest();
    if (isOver(session)) return true;
    if (state.messages !== messagesBefore) this.watch(session);
    else if (rest instanceof AppError) this.#unanswerable(session, rest);
    else if (!options.listener.isNews(rest.item)) this.#quiet(session);
    else this.#suspect(session, rest);
    return true;
  }

  /** Another feed of its connection had a message while this one was silent. */
  #isSocketAlive({ socket }: Session): boolean {
    const { idleTimeoutMs, monotonic } = this.#parts.options;
    return socket !== null && monotonic() - socket.lastMessageAt < idleTimeoutMs;
  }

  #unanswerable(session: Session, fault: AppError): void {
    const { checks, idleTimeoutMs } = this.#parts.options;
    if (isOwnRefusal(fault)) {
      checks.holdOff(fault.retryAfterMs ?? 0);
      this.watch(session, idleTimeoutMs);
    } else if (this.#isSocketAlive(session)) this.watch(session, idleTimeoutMs);
    else this.#unknown(session, fault);
  }

  /** It may just be on its way. */
  #suspect(session: Session, { item, timed, receivedAt }: RestItem): void {
    const { options, timers, state, onDead } = this.#parts;
    const messagesBefore = state.messages;
    timers.cancel('first');
    timers.arm('idle', GRACE_MS, () => {
      if (state.messages !== messagesBefore) {
        this.watch(session);
        return;
      }
      onDead(session, 'The feed is silent although the market moves.', null);
      options.listener.onItem(item, { via: 'rest', timed, receivedAt });
    });
  }

  #quiet(session: Session): void {
    const { state, options, onAlive } = this.#parts;
    this.#unanswered = 0;
    state.confirm();
    const detail = 'Quiet market: the venue has nothing newer.';
    if (session.spokeAt === null) onAlive(session, detail);
    else state.set('live', detail);
    this.watch(session, options.idleTimeoutMs);
  }

  #unknown(session: Session, fault: AppError): void {
    const { options, state, onDead } = this.#parts;
    if (state.messages !== this.#messagesAtFailure) this.#unanswered = 0;
    this.#messagesAtFailure = state.messages;
    // A limit on requests says nothing about the feed, whose subscription a reopening would only lose.
    if (fault.code !== 'upstream_rate_limited') this.#unanswered += 1;
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
