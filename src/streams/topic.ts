/** One (channel, exchange, symbol): its feed, what is known of it, and the views that its clients see. */
import type { BookFault } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { ExchangeDescription, StreamItem, StreamTopic } from '../exchanges/exchange-client.js';
import type { LiveTicker } from '../market-data/market-data-api.js';
import type { ChannelState } from './channels/channel-state.js';
import { OrderBookState, TickerState } from './channels/latest-state.js';
import { OhlcvState, TradesState } from './channels/sequence-state.js';
import { type EventSource, lostEventOf, missedEventsOf, statusEventOf } from './events.js';
import { isSequence } from './feed/feed-state.js';
import type { FeedListener, FeedSource, FeedSources, FeedStatus, ItemSource } from './feed/feed-source.js';
import type { HubOptions, SharedEvent, Subscriber } from './hub-api.js';
import { Paced } from '../lib/paced.js';
import type { Timers } from '../lib/timers.js';
import type { Log } from '../log/log.js';
import { History, type Loss, type Recalled, type Resumption, rowsOf, type Tick } from './history.js';
import { FirstStatus, createView, type Member, thresholdDetail, type View } from './view.js';

const NONE: ReadonlySet<object> = new Set();

/** Events that a topic remembers for clients that come back; of a ticker or an order book only the latest counts. */
const REMEMBERED_EVENTS = 64;

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

export interface JoinRequest {
  readonly name: string;
  readonly threshold: number;
  /** Of tickers: with the venue's last 24 hours. */
  readonly stats: boolean;
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

const createChannelState = (topic: StreamTopic): ChannelState => {
  switch (topic.channel) {
    case 'ticker':
      return new TickerState();
    case 'trades':
      return new TradesState();
    case 'orderbook':
      return new OrderBookState();
    case 'ohlcv':
      return new OhlcvState(topic.interval);
  }
};

export class Topic implements FeedListener {
  readonly topic: StreamTopic;
  readonly #options: TopicOptions;
  readonly #feed: FeedSource;
  readonly #state: ChannelState;
  readonly #views = new Map<string, View>();
  readonly #books: Paced<StreamItem>;
  readonly #firstStatus: FirstStatus;
  readonly #history: History;
  #lastId: string;
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
    this.#lastId = this.#feed.nextEventId(0);
    this.#history = new History(isSequence(topic) ? REMEMBERED_EVENTS : 1);
    this.#history.begin(this.#lastId);
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
    if (!isSequence(this.topic) || this.#history.since(id).resumed === 'complete') return null;
    return this.#feed.recall?.(id) ?? null;
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
    const view = this.#view(request);
    const member: Member = { subscriber };
    this.#members += 1;
    const { lastEventId } = request;
    const resumption = lastEventId === undefined ? null : this.#resumption(lastEventId, request.recalled);
    const tell = (resumed?: Resumption['resumed']): void => {
      const { status } = this;
      const detail = `${status.detail}${this.topic.channel === 'ticker' ? ` ${thresholdDetail(request.threshold)}` : ''}`;
      this.#deliver(subscriber, statusEventOf(view.source, { ...status, detail, resumed }));
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
        this.#deliver(subscriber, event);
    }
    let gone = false;
    const leave = (): void => {
      if (gone) return;
      gone = true;
      view.leave(member);
      this.#firstStatus.forget(member);
      this.#members -= 1;
      if (view.members.size === 0) this.#views.delete(viewKey(request));
    };
    const after = resumption === null || resumption.resumed === 'none' ? '' : resumption.after;
    return { leave, resumedAfter: resumption === null ? undefined : after };
  }

  #resumption(id: string, recalled: Recalled | null = null): Resumption {
    if (recalled !== null) return this.#history.sinceWith(id, recalled);
    const own = this.#history.since(id);
    const isKnown = own.resumed !== 'none' || isSequence(this.topic) || this.#feed.knows?.(id) !== true;
    return isKnown ? own : { resumed: 'complete', lost: 0, events: [], after: id };
  }

  #showLatest(view: View, member: Member, seenId?: string): void {
    const known = this.#state.snapshot();
    const first = view.join(member, known === null ? null : this.#tick(known), seenId);
    if (first !== undefined) this.#deliver(member.subscriber, first);
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
      this.#lastId = source.id;
      this.#history.add({ ...this.#tick(item), id: source.id });
    }
    if (judgement === 'late') return null;
    // A repetition from the feed confirms what REST said before it.
    if (judgement === 'repeated') {
      if (this.#source !== null && source.via === 'feed') this.#source = source;
      this.#options.count(0);
    } else {
      this.#source = source;
      if (source.id === undefined) {
        this.#lastId = this.#feed.nextEventId(rowsOf(judgement));
        this.#history.add(this.#tick(judgement));
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
    this.#history.lose(loss);
    const at = this.#options.now();
    this.#tellAll((source) => lostEventOf(source, loss, at));
  }

  onStatus(status: FeedStatus): void {
    if (status.state === 'reconnecting' || status.state === 'stale') this.#endFirstWaits(false);
    const informed = this.#firstStatus.end();
    this.#tellAll((source) => statusEventOf(source, status), informed);
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

  /** One event a view, whatever its members have seen so far; not for those who know it already. */
  #tellAll(eventOf: (source: EventSource) => SharedEvent, informed: ReadonlySet<object> = NONE): void {
    for (const view of this.#views.values()) {
      const event = eventOf(view.source);
      for (const member of view.members) if (!informed.has(member)) this.#deliver(member.subscriber, event);
    }
  }

  /** Books that are polled are whole, however the venue's live ones are checked. */
  #tick(item: StreamItem): Tick {
    const id = this.#lastId;
    if (this.topic.channel !== 'orderbook') return { item, id };
    const polled = this.status.state === 'polling';
    const { bookIntegrity } = this.#options.description;
    return { item, id, bookIntegrity: polled ? 'snapshot' : (bookIntegrity ?? 'snapshot') };
  }

  /** A subscriber that throws affects no other. */
  readonly #deliver = (subscriber: Subscriber, event: SharedEvent): void => {
    try {
      subscriber.onEvent(event);
    } catch (error) {
      this.#options.log.error({ error }, 'a stream subscriber threw');
    }
  };

  #publish(item: StreamItem): void {
    const tick = this.#tick(item);
    let events = 0;
    for (const view of this.#views.values()) events += view.publish(tick);
    this.#options.count(events);
  }

  #view(request: JoinRequest): View {
    const key = viewKey(request);
    let view = this.#views.get(key);
    if (view === undefined) {
      const { topic, sandbox } = this.#options;
      const { name, threshold, stats } = request;
      view = createView({ source: { topic, name, sandbox }, threshold, stats, deliver: this.#deliver });
      this.#views.set(key, view);
    }
    return view;
  }
}

/** Threshold and stats mean nothing outside of tickers; the hub sets them to 0 and false there. */
const viewKey = ({ name, threshold, stats }: JoinRequest): string =>
  `${name} ${threshold}${stats ? ' stats' : ''}`;
