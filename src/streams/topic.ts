/** One (channel, exchange, symbol): its feed, what is known of it, and the views that its clients see. */
import type { BookFault } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { ExchangeDescription, StreamItem, StreamTopic } from '../exchanges/exchange-client.js';
import type { LiveTicker } from '../market-data/market-data-api.js';
import type { ChannelState } from './channels/channel-state.js';
import { createChannelState } from './channels/channel-states.js';
import { lostEventOf, missedEventsOf, statusEventOf } from './events.js';
import { isSequence } from './feed/feed-state.js';
import type { FeedListener, FeedSource, FeedSources, FeedStatus, ItemSource } from './feed/feed-source.js';
import type { HubOptions, Subscriber } from './hub-api.js';
import { Paced } from '../lib/paced.js';
import type { Timers } from '../lib/timers.js';
import type { Log } from '../log/log.js';
import { type Loss, type Recalled, type Resumption, rowsOf, type Tick } from './history.js';
import { TopicMemory } from './topic-memory.js';
import { TopicViews, type ViewRequest } from './topic-views.js';
import { FirstStatus, type Member, thresholdDetail, type View } from './view.js';

/** Order books are sent at most so often. */
const BOOK_INTERVAL_MS: Millis = 100;

export interface TopicOptions {
  readonly topic: StreamTopic;
  readonly description: ExchangeDescription;
  readonly feeds: FeedSources;
  readonly sandbox: boolean;
  /** Counts one live order book that was found to be wrong. */
  readonly bookFailed: (fault: BookFault) => void;
  readonly onCandles: HubOptions['onCandles'];
  /** Counts one item that came in, and how many events went out of it. */
  readonly count: (events: number) => void;
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations. */
  readonly monotonic: () => Millis;
  readonly timers: Timers;
}

export interface JoinRequest extends ViewRequest {
  readonly lastEventId: string | undefined;
  /** What `Topic.recall` answered. */
  readonly recalled?: Recalled | null;
}

export interface Joined {
  /** Idempotent. */
  readonly leave: () => void;
  /** As of a Subscription. */
  readonly resumedAfter: string | undefined;
}

export class Topic implements FeedListener {
  readonly topic: StreamTopic;
  readonly #options: TopicOptions;
  readonly #feed: FeedSource;
  readonly #state: ChannelState;
  readonly #views: TopicViews;
  readonly #books: Paced<StreamItem>;
  readonly #firstStatus: FirstStatus;
  readonly #memory: TopicMemory;
  #source: ItemSource | null = null;
  #members = 0;
  /** Those who wait for the feed's first item or fault. Several openings may lead to one topic, each with its own wait. */
  readonly #firstWaits = new Set<(brought: boolean) => void>();

  constructor(options: TopicOptions) {
    this.#options = options;
    this.topic = options.topic;
    this.#state = createChannelState(options.topic);
    const { topic, description, monotonic, timers } = options;
    this.#feed = options.feeds.open({ topic, description, listener: this });
    this.#memory = new TopicMemory(topic, this.#feed);
    this.#views = new TopicViews(options);
    this.#firstStatus = new FirstStatus(timers);
    if (this.status.state !== 'reconnecting') this.#firstStatus.end();
    this.#books = new Paced<StreamItem>({
      intervalMs: BOOK_INTERVAL_MS,
      now: monotonic,
      timers,
      emit: (item) => {
        this.#publish(item);
      },
    });
  }

  get members(): number {
    return this.#members;
  }

  get status(): FeedStatus {
    return this.#feed.status;
  }

  get reconnects(): number {
    return this.#feed.reconnects;
  }

  get lastItemAt(): Millis | null {
    return this.#source?.receivedAt ?? null;
  }

  /** Other servers may feed it, or show what its feed brings. */
  get isShared(): boolean {
    return this.#feed.mayEnd !== undefined;
  }

  /** Something to show to a new subscriber is known. */
  get ready(): boolean {
    return this.#state.snapshot() !== null;
  }

  start(): void {
    this.#feed.start();
  }

  close(): void {
    this.#feed.close();
    this.#books.close();
    this.#firstStatus.close();
    this.#views.clear();
    this.#endFirstWaits(false);
  }

  /** Settles once what is known of the topic elsewhere is known here; undefined: nothing is. */
  opened(): Promise<void> | undefined {
    return this.#feed.opened?.();
  }

  /** What came after an event, where this server does not remember it and others may; null: they do not either. */
  recall(id: string): Promise<Recalled | null> | null {
    return this.#memory.recall(id);
  }

  /** Settles once with whether the feed brought something (true) or failed before (false). */
  firstItem(): Promise<boolean> {
    if (this.reconnects > 0) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#firstWaits.add(resolve);
    });
  }

  #endFirstWaits(brought: boolean): void {
    for (const resolve of this.#firstWaits) resolve(brought);
    this.#firstWaits.clear();
  }

  /**
   * Registers a member and hands it its first event and the feed's state. One that names its last event is told first how much
   * of what came after that is known, and gets that instead.
   */
  join(subscriber: Subscriber, request: JoinRequest): Joined {
    const view = this.#views.of(request);
    const member: Member = { subscriber };
    this.#members += 1;
    const { lastEventId } = request;
    const resumption = lastEventId === undefined ? null : this.#memory.since(lastEventId, request.recalled);
    const tell = (resumed?: Resumption['resumed']): void => {
      const { status } = this;
      const detail = `${status.detail}${this.topic.channel === 'ticker' ? ` ${thresholdDetail(request.threshold)}` : ''}`;
      this.#views.deliver(subscriber, statusEventOf(view.source, { ...status, detail, resumed }));
    };
    if (resumption === null) {
      this.#showLatest(view, member);
      this.#firstStatus.add(member, tell);
    } else if (resumption.resumed === 'none' || !isSequence(this.topic)) {
      // Of these channels only the latest counts: nothing is missing where that follows.
      tell(resumption.resumed === 'none' ? 'none' : 'complete');
      this.#showLatest(view, member, lastEventId);
    } else {
      tell(resumption.resumed);
      view.join(member, null, undefined);
      for (const event of missedEventsOf(view.source, resumption, this.#options.now()))
        this.#views.deliver(subscriber, event);
    }
    let gone = false;
    const leave = (): void => {
      if (gone) return;
      gone = true;
      this.#views.leave(view, request, member);
      this.#firstStatus.forget(member);
      this.#members -= 1;
    };
    const after = resumption === null || resumption.resumed === 'none' ? '' : resumption.after;
    return { leave, resumedAfter: resumption === null ? undefined : after };
  }

  #showLatest(view: View, member: Member, seenId?: string): void {
    const known = this.#state.snapshot();
    const first = view.join(member, known === null ? null : this.#tick(known), seenId);
    if (first !== undefined) this.#views.deliver(member.subscriber, first);
  }

  /** What REST knew before the feed spoke, where that is wanted. */
  prime(item: StreamItem, source: ItemSource): void {
    if (this.ready && this.#feed.wantsPrime !== true) return;
    if (this.#feed.prime === undefined) this.onItem(item, source);
    else this.#feed.prime(item, source);
  }

  /** Whether it may end once it has no members: other servers may show what its feed brings. */
  async mayEnd(): Promise<boolean> {
    return this.#feed.mayEnd?.() ?? true;
  }

  /** The other server that feeds it; undefined: this one does. */
  get owner(): string | undefined {
    return this.#feed.owner;
  }

  onItem(item: StreamItem, source: ItemSource): StreamItem | null {
    const judgement = this.#state.accept(item, source);
    if (source.id !== undefined) {
      this.#memory.advance(source.id);
      this.#memory.add(this.#tick(item));
    }
    if (judgement === 'late') return null;
    // A repetition from the feed confirms what REST said before it.
    if (judgement === 'repeated') {
      if (this.#source !== null && source.via === 'feed') this.#source = source;
      this.#options.count(0);
    } else {
      this.#source = source;
      if (source.id === undefined) {
        this.#memory.advance({ rows: rowsOf(judgement) });
        this.#memory.add(this.#tick(judgement));
      }
      if (judgement.channel === 'ohlcv')
        this.#options.onCandles?.(this.topic, judgement.candles, source.receivedAt);
      if (judgement.channel === 'orderbook') this.#books.push(judgement);
      else this.#publish(judgement);
    }
    this.#endFirstWaits(true);
    this.#tellLosses();
    return judgement === 'repeated' ? null : judgement;
  }

  onGap(detail: string): void {
    this.onStatus({ state: this.status.state, detail, at: this.#options.now() });
  }

  onLoss(loss: Loss): void {
    this.#memory.lose(loss);
    const at = this.#options.now();
    this.#views.tellAll((source) => lostEventOf(source, loss, at));
  }

  onStatus(status: FeedStatus): void {
    if (status.state === 'reconnecting' || status.state === 'stale') this.#endFirstWaits(false);
    const informed = this.#firstStatus.end();
    this.#views.tellAll((source) => statusEventOf(source, status), informed);
  }

  onInterrupted(): void {
    this.#state.interrupted();
    this.#endFirstWaits(false);
  }

  onBookFault(fault: BookFault): void {
    this.#books.close();
    this.#state.forget?.();
    this.#options.bookFailed(fault);
  }

  wanted(): number | undefined {
    return this.#state.wanted?.(this.#options.now());
  }

  isNews(item: StreamItem): boolean {
    return this.#state.isNews(item);
  }

  /** The last tick, while it came from the feed and the feed is live. */
  liveTicker(): LiveTicker | undefined {
    const item = this.#state.snapshot();
    if (item?.channel !== 'ticker' || this.#source?.via !== 'feed' || this.status.state !== 'live')
      return undefined;
    const { bid, ask, last, timestamp, stats, rawJson } = item;
    const { receivedAt } = this.#source;
    return { symbol: this.topic.symbol, bid, ask, last, timestamp, stats, rawJson, receivedAt };
  }

  #tellLoss(loss: Loss): void {
    this.onLoss(loss);
    this.#feed.lost?.(loss);
  }

  #tellLosses(): void {
    const lost = this.#state.takeLost?.() ?? 0;
    if (lost > 0) this.#tellLoss({ count: lost });
    const gap = this.#state.takeGap?.() ?? null;
    if (gap === null) return;
    this.#tellLoss(gap);
    const [from, to] = [gap.from, gap.to].map((time) => new Date(time).toISOString());
    this.onGap(
      `REST does not reach back far enough: some ${this.topic.channel} between ${from} and ${to} may be missing.`,
    );
  }

  /** Books that are polled are whole, however the venue's live ones are checked. */
  #tick(item: StreamItem): Tick {
    const id = this.#memory.lastId;
    if (this.topic.channel !== 'orderbook') return { item, id };
    const polled = this.status.state === 'polling';
    const { bookIntegrity } = this.#options.description;
    return { item, id, bookIntegrity: polled ? 'snapshot' : (bookIntegrity ?? 'snapshot') };
  }

  #publish(item: StreamItem): void {
    this.#options.count(this.#views.publish(this.#tick(item)));
  }
}
