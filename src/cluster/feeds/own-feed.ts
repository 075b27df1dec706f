/** The feed of this server of a shared topic: shown at once, or held back while another server is still the owner. */
import type { BookFault } from '../../errors.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import type { FeedSource, FeedStatus, ItemSource } from '../../streams/feed/feed-source.js';
import { MAX_HELD, type SharedFeedParts, type SharedTimers } from './feed-parts.js';

/** A successor's own feed has so long to speak before it takes over. */
const DIAL_MS: Millis = 2_000;

interface OwnFeedHooks {
  /** The answer is what of it is new; null: nothing. */
  onItem(item: StreamItem, source: ItemSource): StreamItem | null;
  onStatus(status: FeedStatus): void;
  onBookFault(fault: BookFault): void;
  onGap(detail: string): void;
  /** A feed that is held back speaks, or has had the time to. */
  onDialed(): void;
}

export class OwnFeed {
  readonly #parts: SharedFeedParts;
  readonly #timers: SharedTimers;
  readonly #hooks: OwnFeedHooks;
  #feed: FeedSource | null = null;
  /** What it brings while another server is still the owner; null: it is shown. */
  #held: { readonly item: StreamItem; readonly source: ItemSource }[] | null = null;
  #pastReconnects = 0;

  constructor(parts: SharedFeedParts, timers: SharedTimers, hooks: OwnFeedHooks) {
    this.#parts = parts;
    this.#timers = timers;
    this.#hooks = hooks;
  }

  get isOpen(): boolean {
    return this.#feed !== null;
  }

  get isHeld(): boolean {
    return this.#held !== null;
  }

  get status(): FeedStatus | undefined {
    return this.#feed?.status;
  }

  get reconnects(): number {
    return this.#pastReconnects + (this.#feed?.reconnects ?? 0);
  }

  /** Opens it, or shows what it has brought already. */
  show(): void {
    const { listener } = this.#parts.request;
    const held = this.#held;
    this.#held = null;
    this.#timers.cancel('dial');
    if (this.#feed === null) {
      if (listener.ready) listener.onInterrupted();
      this.#open();
    } else if (held !== null) listener.onInterrupted();
    for (const { item, source } of held ?? []) this.receive(item, source);
  }

  /** Opens it, and holds back what it brings. */
  dial(): void {
    this.#held = [];
    this.#timers.arm('dial', DIAL_MS, () => this.#hooks.onDialed());
    this.#open();
    // A venue without a feed has no more to say than that.
    if (this.status?.state === 'polling') this.#dialed();
  }

  close(): void {
    this.#held = null;
    this.#timers.cancel('dial');
    this.#pastReconnects += this.#feed?.reconnects ?? 0;
    this.#feed?.close();
    this.#feed = null;
  }

  receive(item: StreamItem, source: ItemSource): StreamItem | null {
    if (this.#held === null) return this.#hooks.onItem(item, source);
    if (this.#held.length < MAX_HELD) this.#held.push({ item, source });
    return null;
  }

  #open(): void {
    const { local, request } = this.#parts;
    const { listener } = request;
    this.#feed = local.open({
      ...request,
      listener: {
        get ready() {
          return listener.ready;
        },
        onItem: (item, source) => this.receive(item, source),
        onStatus: (status) => this.#onStatus(status),
        onInterrupted: () => {
          if (this.#held === null) listener.onInterrupted();
        },
        onBookFault: (fault) => this.#hooks.onBookFault(fault),
        onGap: (detail) => {
          if (this.#held === null) this.#hooks.onGap(detail);
        },
        onLoss: (loss) => listener.onLoss(loss),
        wanted: () => listener.wanted(),
        isNews: (item) => listener.isNews(item),
      },
    });
    this.#feed.start();
  }

  #onStatus(status: FeedStatus): void {
    if (this.#held === null) this.#hooks.onStatus(status);
    else if (status.state === 'live' || status.state === 'polling') this.#dialed();
  }

  #dialed(): void {
    this.#timers.cancel('dial');
    this.#hooks.onDialed();
  }
}
