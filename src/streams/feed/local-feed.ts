/**
 * A topic's feed that this process holds: CCXT's WebSocket feed where the venue has one, polling where it has none or
 * while it is broken. The listener gets every change of state, and a dead feed is not taken for a quiet market: one
 * that is silent for too long is compared with REST.
 *
 * The states of the feed, from connecting to live to lost and back. Its parts: `liveness` tells dead from quiet, `polling`
 * replaces it meanwhile, `catch-up` fills the hole before the first message, `outages` says when to retry.
 */
import { AppError, type BookFault } from '../../errors.js';
import { bookFaultOf, polledBookDetail } from '../../exchanges/refusals.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { EventId } from '../event-ids.js';
import type { FeedSource, FeedStatus } from './feed-source.js';
import { type FeedOptions, FeedTimers, isSequence, FeedState } from './feed-state.js';
import { BookResyncs, CheckedBook } from './book-cross-check.js';
import { ReconnectWait } from './outages.js';
import { Fallback, pollingDetail } from './polling.js';
import { createRestFetch, isOwnRefusal } from './rest-items.js';
import { endSession, newSession, type Session, Silence } from './liveness.js';
import { CatchUp, isTimed } from './catch-up.js';

const BAD_REQUEST = 400;
/** Feeds that this server refused at once are opened anew over so long at least, not all at once. */
const REFUSED_SPREAD_MS = 2_000;

export class LocalFeed implements FeedSource {
  readonly #options: FeedOptions;
  readonly #abort = new AbortController();
  readonly #timers: FeedTimers;
  readonly #state: FeedState;
  readonly #wait: ReconnectWait;
  readonly #fallback: Fallback;
  /** null: only the latest counts, and the first message is all that is wanted. */
  readonly #catchUp: CatchUp | null;
  readonly #silence: Silence;
  readonly #resyncs: BookResyncs;
  readonly #checked: CheckedBook | null;
  #session: Session | null = null;
  #reconnects = 0;
  /** Why the live order book was given up for polling; null while it was not. */
  #givenUp: BookFault | null = null;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { topic, watchable, listener, now, monotonic, random } = options;
    const { signal } = this.#abort;
    const timers = (this.#timers = new FeedTimers(options.timers));
    const state = (this.#state = new FeedState(
      watchable
        ? { state: 'reconnecting', detail: `Connecting to ${topic.exchange} for the first time.` }
        : { state: 'polling', detail: pollingDetail(options) },
      {
        now,
        monotonic,
        onStatus: (status) => {
          listener.onStatus(status);
        },
      },
    ));
    const fetchRest = createRestFetch(options, signal);
    this.#wait = new ReconnectWait(random);
    this.#fallback = new Fallback({
      options,
      timers,
      state,
      fetchRest,
      onNews: () => {
        if (this.#session !== null) this.#silence.missed(this.#session);
      },
      detail: () =>
        this.#givenUp === null
          ? pollingDetail(options)
          : polledBookDetail(topic.exchange, this.#givenUp, options.pollIntervalMs),
    });
    this.#resyncs = new BookResyncs(random);
    this.#checked =
      options.crossCheck === null || !options.pollable
        ? null
        : new CheckedBook({
            exchange: topic.exchange,
            fetchRest,
            onWrong: () => {
              const error = bookFaultOf(topic.exchange, 'crosscheck');
              if (this.#session !== null) this.#lost(this.#session, error.message, error);
            },
          });
    this.#catchUp = isSequence(topic) ? new CatchUp({ options, timers, fetchRest, signal }) : null;
    this.#silence = new Silence({
      options,
      timers,
      state,
      fetchRest,
      onAlive: (session, detail) => {
        this.#goLive(session, detail);
      },
      onDead: (session, reason, fault) => {
        this.#lost(session, reason, fault);
      },
    });
  }

  get status(): FeedStatus {
    return this.#state.status;
  }

  get reconnects(): number {
    return this.#reconnects;
  }

  nextEventId(rows: number): EventId {
    return this.#options.nextEventId(rows);
  }

  start(): void {
    if (!this.#options.watchable) {
      this.#fallback.start();
      return;
    }
    // A sequence may have nothing to say: REST is asked before it is taken for dead.
    if (!isSequence(this.#options.topic)) this.#fallback.startAfter();
    this.#connect();
  }

  close(): void {
    this.#abort.abort();
    this.#options.outages.over(this, this.#options.topic.exchange);
    this.#endCheck();
    this.#fallback.stop();
    this.#catchUp?.drop();
    this.#timers.cancelAll();
    const session = this.#session;
    this.#session = null;
    if (session !== null) this.#end(session);
    this.#silence.stop();
  }

  #connect(): void {
    const session = (this.#session = newSession());
    this.#silence.awaitFirst(session);
    try {
      session.handle = this.#options.exchanges.watch(this.#options.topic, {
        onSubscribed: (socket) => {
          this.#subscribed(session, socket);
        },
        onItem: (item) => {
          this.#received(session, item);
        },
        onEnd: (error) => {
          this.#lost(session, error?.message ?? 'The feed was closed.', error);
        },
      });
    } catch (thrown) {
      const error = AppError.from(thrown);
      this.#lost(session, error.message, error);
    }
    // It may have ended before there was anything to close.
    if (session.over) session.handle?.close();
  }

  #received(session: Session, item: StreamItem): void {
    if (session.over) return;
    const { exchange } = this.#options.topic;
    const receivedAt = this.#options.now();
    this.#state.messageReceived();
    const isFirst = !session.spoke;
    session.spoke = true;
    if (session.socket !== null) session.socket.lastMessageAt = this.#options.monotonic();
    if (session.spokeAt === null) this.#goLive(session, `Live from ${exchange}.`);
    else {
      if (this.status.state !== 'live') this.#state.set('live', `Live from ${exchange} again.`);
      // A venue may have taken the subscription later than it was asked what had come before.
      if (isFirst) this.#askWhatCameBefore();
    }
    this.#checked?.received(item);
    if (this.#catchUp?.holds(item, receivedAt) === true) return;
    this.#options.listener.onItem(item, { via: 'feed', timed: isTimed(item), receivedAt });
  }

  /** The subscription was sent on an open connection, which it shares with other feeds. */
  #subscribed(session: Session, name: string): void {
    if (session.over || session.socket !== null) return;
    session.socket = this.#options.checks.join(name);
    session.socketName = name;
    this.#silence.subscribed(session);
  }

  #end(session: Session): void {
    endSession(session);
    if (session.socketName !== null) this.#options.checks.leave(session.socketName);
    session.socketName = null;
  }

  #endCheck(): void {
    if (this.#checked !== null) this.#options.crossCheck?.end(this.#checked);
  }

  #goLive(session: Session, detail: string): void {
    session.spokeAt = this.#options.monotonic();
    this.#options.outages.over(this, this.#options.topic.exchange);
    this.#fallback.stop();
    this.#givenUp = null;
    if (this.#checked !== null) this.#options.crossCheck?.begin(this.#checked);
    this.#silence.watch(session);
    this.#state.set('live', detail);
    this.#askWhatCameBefore();
  }

  /** What happened between the last REST answer or the break and now is on REST only. */
  #askWhatCameBefore(): void {
    if (this.#options.pollable) void this.#catchUp?.start();
  }

  #lost(session: Session, reason: string, error: AppError | null): void {
    if (session.over) return;
    this.#end(session);
    if (this.#session !== session || this.#abort.signal.aborted) return;
    this.#session = null;
    this.#silence.stop();
    if (error !== null && isOwnRefusal(error) && session.spokeAt === null) {
      this.#openLater(error);
      return;
    }
    this.#reconnects += 1;
    this.#endCheck();
    this.#catchUp?.interrupt();
    const { monotonic, topic, outages, listener } = this.#options;
    const isRefused = error?.status === BAD_REQUEST;
    const livedFor = session.spokeAt === null ? 0 : monotonic() - session.spokeAt;
    const fault = error?.bookFault;
    const polledFor = fault === undefined ? null : this.#resyncs.failed(monotonic());
    if (fault !== undefined && polledFor !== null) this.#givenUp = fault;
    const wait = polledFor ?? this.#wait.next({ livedFor, isRefused });
    const kind = isRefused ? 'refused' : 'lost';
    outages.lost(this, { topic, reason, wait, code: error?.code, cause: error?.diagnosis, kind });
    if (fault !== undefined) listener.onBookFault(fault);
    listener.onInterrupted();
    if (!this.#fallback.active) {
      if (this.status.state !== 'stale') this.#state.set('reconnecting', reason);
      this.#fallback.startAfter(isRefused || polledFor !== null ? 0 : undefined);
    }
    this.#timers.arm('reconnect', wait, () => {
      this.#connect();
    });
  }

  /**
   * This server refused what the opening needs (an order book's snapshot, say): nothing was lost, so neither its clients nor
   * the log get a fault. It is opened as soon as this server may ask, feeds that wait as well at other times.
   */
  #openLater(refusal: AppError): void {
    const { topic, log, listener, random } = this.#options;
    const soonest = refusal.retryAfterMs ?? REFUSED_SPREAD_MS;
    const wait = soonest + random() * Math.max(REFUSED_SPREAD_MS, soonest);
    log.debug({ ...topic, code: refusal.code, wait }, "a feed waits for this server's own budget");
    listener.onInterrupted();
    this.#fallback.startAfter();
    this.#timers.arm('reconnect', wait, () => {
      this.#connect();
    });
  }
}
