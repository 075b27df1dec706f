/**
 * One topic's upstream, kept alive: CCXT's WebSocket feed where the venue has one, polling where it has none or while it
 * is broken. Whoever listens hears of every change of state, and never takes a dead feed for a quiet market:
 * a feed that is silent for too long is compared with REST.
 */
import { AppError } from '../../errors.js';
import type { StreamState } from '../../schemas/stream.js';
import type { Millis } from '../../schemas/common.js';
import type { Log } from '../log.js';
import type { ExchangeClient, StreamItem, StreamTopic, WatchHandle } from '../exchange/exchange-client.js';
import type { FeedStatus } from './events.js';
import { Poller } from './poller.js';
import { CATCH_UP_TRADES, STREAM_TRADES, itemOf, requestOf, type RestItem } from './rest-items.js';
import type { Timers } from './timers.js';

/** A feed that has not spoken by then is taken for stuck. Covers a first market load in its worker. */
const FIRST_MESSAGE_TIMEOUT_MS: Millis = 10_000;
/** A feed that is down for longer is replaced by polling until it is back. */
const FALLBACK_AFTER_MS: Millis = 5_000;
/** After REST showed something new, a healthy feed brings it within this time. */
const GRACE_MS: Millis = 1_000;
/** A look over REST has settled by then. */
const REST_DEADLINE_MS: Millis = 10_000;
/** Messages of a feed that wait for REST to tell what came before them; with more, they go first. */
const MAX_HELD_ITEMS = 1000;
const RECONNECT_BASE_MS: Millis = 500;
const RECONNECT_MAX_MS: Millis = 30_000;
/** A silent feed that REST can't judge so many times in a row is opened anew. */
const MAX_UNANSWERED = 3;
/** A connection that lasted so long was healthy: the next reconnect is quick again. */
const STABLE_AFTER_MS: Millis = 10_000;
/** Doubling past this many failures changes nothing. */
const MAX_EXPONENT = 16;
const BAD_REQUEST = 400;

export interface ItemSource {
  readonly via: 'feed' | 'rest';
  readonly timed: boolean;
  readonly receivedAt: Millis;
  /** A caught-up REST answer that a live feed goes on from, or what that feed said meanwhile: the two overlap. */
  readonly seam?: boolean;
}

export interface FeedListener {
  /** Something is known already: what came before the feed's first message is wanted, and wanted first. */
  readonly ready: boolean;
  onItem(item: StreamItem, source: ItemSource): void;
  onStatus(status: FeedStatus): void;
  /** The feed broke: what is known may have changed unseen. */
  onInterrupted(): void;
  /** Something may be missing for good; `detail` is a sentence for people. */
  onGap(detail: string): void;
  /** Whether a REST answer shows something that the feed should have brought. */
  isNews(item: StreamItem): boolean;
}

export interface FeedOptions {
  readonly topic: StreamTopic;
  readonly exchanges: Pick<ExchangeClient, 'watch' | 'fetch'>;
  /** The venue has a WebSocket feed for this channel. */
  readonly watchable: boolean;
  /** The venue has this channel over REST. */
  readonly pollable: boolean;
  readonly idleTimeoutMs: Millis;
  readonly pollIntervalMs: Millis;
  readonly listener: FeedListener;
  readonly log: Log;
  readonly now: () => Millis;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers: Timers;
}

/** One opening of the WebSocket feed. */
interface Session {
  handle: WatchHandle | null;
  /** When its first message came; null before. */
  spokeAt: Millis | null;
  /** Polling saw something that this session should have brought. */
  missed: boolean;
  over: boolean;
}

/** What a feed said while REST is asked for what came before. */
interface Hold {
  readonly items: { readonly item: StreamItem; readonly receivedAt: Millis }[];
}

/** Channels that are silent in a quiet market from the very start, and whose items build on what came before. */
const isSequence = ({ channel }: StreamTopic): boolean => channel === 'trades' || channel === 'ohlcv';

type TimerName = 'first' | 'idle' | 'reconnect' | 'fallback' | 'hold';

export class Feed {
  readonly #options: FeedOptions;
  readonly #poller: Poller;
  readonly #abort = new AbortController();
  readonly #timers = new Map<TimerName, () => void>();
  #status: FeedStatus;
  #session: Session | null = null;
  #hold: Hold | null = null;
  #failures = 0;
  #heardAt: Millis;
  #reconnects = 0;
  /** Looks over REST in a row that failed while the feed was silent. */
  #unanswered = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
    const at = options.now();
    this.#heardAt = at;
    this.#status = options.watchable
      ? { state: 'reconnecting', detail: `Connecting to ${options.topic.exchange}.`, at }
      : { state: 'polling', detail: this.#pollingDetail(), at };
    this.#poller = new Poller({
      intervalMs: options.pollIntervalMs,
      timers: options.timers,
      poll: () => this.#poll(),
    });
  }

  get status(): FeedStatus {
    return this.#status;
  }

  get reconnects(): number {
    return this.#reconnects;
  }

  /** Once. */
  start(): void {
    if (!this.#options.watchable) {
      this.#poller.start(this.#options.pollIntervalMs);
      return;
    }
    this.#armFallback();
    this.#connect();
  }

  /** Ends the feed for good; idempotent. Nothing is heard of it afterwards. */
  close(): void {
    this.#abort.abort();
    this.#poller.stop();
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    const session = this.#session;
    this.#session = this.#hold = null;
    if (session !== null) end(session);
  }

  #connect(): void {
    const session: Session = { handle: null, spokeAt: null, missed: false, over: false };
    this.#session = session;
    this.#arm('first', FIRST_MESSAGE_TIMEOUT_MS, () => {
      void this.#judgeSilence(session);
    });
    try {
      session.handle = this.#options.exchanges.watch(this.#options.topic, {
        onItem: (item) => {
          this.#heard(session, item);
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

  #heard(session: Session, item: StreamItem): void {
    if (session.over) return;
    const receivedAt = this.#options.now();
    this.#heardAt = receivedAt;
    if (session.spokeAt === null) this.#goLive(session, `Live from ${this.#options.topic.exchange}.`);
    else if (this.#status.state !== 'live')
      this.#setStatus('live', `Live from ${this.#options.topic.exchange} again.`);
    const hold = this.#hold;
    if (hold === null) {
      this.#options.listener.onItem(item, { via: 'feed', timed: true, receivedAt });
      return;
    }
    hold.items.push({ item, receivedAt });
    if (hold.items.length >= MAX_HELD_ITEMS) this.#release();
  }

  /** Hands over what was held; nothing is held afterwards. */
  #release(seam = false): void {
    const items = this.#hold?.items ?? [];
    this.#hold = null;
    this.#cancel('hold');
    for (const { item, receivedAt } of items)
      this.#options.listener.onItem(item, {
        via: 'feed',
        timed: true,
        receivedAt,
        seam,
      });
  }

  #goLive(session: Session, detail: string): void {
    session.spokeAt = this.#options.now();
    this.#cancel('first');
    this.#cancel('fallback');
    this.#poller.stop();
    this.#armIdle(session, this.#options.idleTimeoutMs);
    this.#setStatus('live', detail);
    // What happened between the last REST answer or the break and now is on REST only.
    if (isSequence(this.#options.topic) && this.#options.pollable) void this.#catchUp();
  }

  #lost(session: Session, reason: string, error: AppError | null): void {
    if (session.over) return;
    end(session);
    if (this.#session !== session || this.#abort.signal.aborted) return;
    this.#session = null;
    this.#reconnects += 1;
    this.#cancel('first');
    this.#cancel('idle');
    this.#unanswered = 0;
    const { now, topic, log, listener } = this.#options;
    if (session.spokeAt !== null && now() - session.spokeAt >= STABLE_AFTER_MS) this.#failures = 0;
    this.#release();
    const hopeless = error?.status === BAD_REQUEST;
    const wait = this.#backOff(hopeless);
    log.warn({ ...topic, reason, wait, code: error?.code }, 'feed lost; will reconnect');
    listener.onInterrupted();
    if (!this.#poller.active) {
      if (this.#status.state !== 'stale') this.#setStatus('reconnecting', reason);
      this.#armFallback(hopeless ? 0 : FALLBACK_AFTER_MS);
    }
    this.#arm('reconnect', wait, () => {
      this.#connect();
    });
  }

  /** Exponential with full jitter, never at once; a request that the venue calls wrong is not repeated quickly. */
  #backOff(hopeless: boolean): Millis {
    const exponent = Math.min(this.#failures, MAX_EXPONENT);
    this.#failures += 1;
    const ceiling = hopeless
      ? RECONNECT_MAX_MS
      : Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** exponent);
    return ceiling / 10 + this.#options.random() * ceiling * 0.9;
  }

  #armFallback(delay: Millis = FALLBACK_AFTER_MS): void {
    if (this.#timers.has('fallback') && delay > 0) return;
    this.#arm('fallback', delay, () => {
      if (this.#options.pollable) this.#poller.start(0);
      else this.#setStatus('stale', `${this.#options.topic.exchange} has no other source for this.`);
    });
  }

  #armIdle(session: Session, delay: Millis): void {
    this.#arm('idle', delay, () => {
      const silentFor = this.#options.now() - this.#heardAt;
      const left = this.#options.idleTimeoutMs - silentFor;
      if (left > 0 && this.#status.state === 'live') this.#armIdle(session, left);
      else void this.#judgeSilence(session);
    });
  }

  /** Quiet market or dead feed: REST knows. A feed that must speak first and did not is dead without asking. */
  async #judgeSilence(session: Session): Promise<void> {
    const { topic, pollable, idleTimeoutMs, listener } = this.#options;
    if (session.spokeAt === null && (session.missed || !isSequence(topic))) {
      this.#lost(session, 'The feed was opened but says nothing.', null);
      return;
    }
    if (!pollable) {
      this.#lost(session, 'The feed is silent and nothing else tells whether the market is.', null);
      return;
    }
    const heardBefore = this.#heardAt;
    const rest = await this.#ask();
    if (session.over) return;
    if (this.#heardAt !== heardBefore) {
      this.#armIdle(session, idleTimeoutMs);
    } else if (rest instanceof AppError) {
      this.#unknown(session, rest);
    } else if (!listener.isNews(rest.item)) {
      this.#quiet(session);
    } else {
      this.#arm('idle', GRACE_MS, () => {
        if (this.#heardAt !== heardBefore) this.#armIdle(session, idleTimeoutMs);
        else {
          this.#lost(session, 'The feed is silent although the market moves.', null);
          listener.onItem(rest.item, { via: 'rest', timed: rest.timed, receivedAt: rest.receivedAt });
        }
      });
    }
  }

  #quiet(session: Session): void {
    this.#unanswered = 0;
    const detail = 'Quiet market: the venue has nothing newer.';
    if (session.spokeAt === null) this.#goLive(session, detail);
    else this.#setStatus('live', detail);
    this.#armIdle(session, this.#options.idleTimeoutMs);
  }

  #unknown(session: Session, fault: AppError): void {
    this.#unanswered += 1;
    if (session.spokeAt === null || this.#unanswered >= MAX_UNANSWERED) {
      this.#lost(session, fault.message, fault);
      return;
    }
    this.#setStatus('stale', `The feed is silent and the venue can't be asked: ${fault.message}`);
    const { idleTimeoutMs } = this.#options;
    this.#armIdle(session, Math.max(fault.retryAfterMs ?? 0, Math.min(FALLBACK_AFTER_MS, idleTimeoutMs)));
  }

  async #poll(): Promise<AppError | null> {
    const rest = await this.#ask();
    if (!this.#poller.active) return null;
    const { now, idleTimeoutMs, listener } = this.#options;
    if (rest instanceof AppError) {
      if (now() - this.#heardAt >= idleTimeoutMs) this.#setStatus('stale', rest.message);
      return rest;
    }
    this.#heardAt = now();
    if (this.#session !== null && listener.isNews(rest.item)) this.#session.missed = true;
    this.#setStatus('polling', this.#pollingDetail());
    listener.onItem(rest.item, { via: 'rest', timed: rest.timed, receivedAt: rest.receivedAt });
    return null;
  }

  /** Trades come in order: those of the feed wait until REST has told which came before them. */
  async #catchUp(): Promise<void> {
    const hold =
      this.#options.topic.channel === 'trades' && this.#options.listener.ready ? { items: [] } : null;
    this.#hold = hold;
    if (hold !== null)
      this.#arm('hold', REST_DEADLINE_MS, () => {
        this.#release();
      });
    const rest = await this.#ask(CATCH_UP_TRADES);
    if (this.#abort.signal.aborted) return;
    const { topic, log, listener } = this.#options;
    if (rest instanceof AppError) {
      log.warn({ ...topic, code: rest.code }, 'a gap in the feed stays open');
      listener.onGap(
        `The venue could not be asked for what came before: some ${topic.channel} may be missing. ${rest.message}`,
      );
      if (hold !== null && this.#hold === hold) this.#release();
      return;
    }
    const { item, timed, receivedAt } = rest;
    const seam = hold !== null && this.#hold === hold;
    listener.onItem(item, { via: 'rest', timed, receivedAt, seam });
    if (seam) this.#release(seam);
  }

  async #ask(trades = STREAM_TRADES): Promise<RestItem | AppError> {
    const { topic, exchanges, now } = this.#options;
    try {
      const { body, receivedAt } = await exchanges.fetch(requestOf(topic, trades), {
        deadline: now() + REST_DEADLINE_MS,
        signal: this.#abort.signal,
        priority: 'poll',
      });
      return itemOf(topic, body, receivedAt);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  }

  #pollingDetail(): string {
    const { topic, pollIntervalMs, watchable } = this.#options;
    const why = watchable ? 'The WebSocket feed is down' : `${topic.exchange} has no WebSocket feed for this`;
    return `${why}; asking over REST every ${pollIntervalMs / 1000} s.`;
  }

  #setStatus(state: StreamState, detail: string): void {
    const changed = state !== this.#status.state;
    this.#status = { state, detail, at: changed ? this.#options.now() : this.#status.at };
    if (changed) this.#options.listener.onStatus(this.#status);
  }

  #arm(name: TimerName, delay: Millis, run: () => void): void {
    this.#cancel(name);
    this.#timers.set(
      name,
      this.#options.timers.after(delay, () => {
        this.#timers.delete(name);
        run();
      }),
    );
  }

  #cancel(name: TimerName): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }
}

const end = (session: Session): void => {
  session.over = true;
  session.handle?.close();
};
