/** The subscriptions of one /ws client: bounded, each topic once, and closed together. */
import { AppError } from '../../errors.js';
import type { ExchangeId, UnifiedSymbol } from '../../schemas/common.js';
import { likelySymbol } from '../../market-data/market-directory.js';
import type { MarketData } from '../../market-data/market-data-api.js';
import type { StreamHub, SubscribeRequest, Subscription } from '../hub-api.js';
import { type Connection, topicKey, type TopicName, TopicReader } from './connection.js';
import { MAX_SERVER_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS, RETRY_WHEN_FULL } from './limits.js';

export interface SubscriptionServices {
  readonly hub: StreamHub;
  readonly marketData: Pick<MarketData, 'resolveExchange'>;
  readonly connection: Connection;
  /** The client, as limits count it; '' where that is not known. */
  readonly client?: string | undefined;
  /** All subscriptions of the server. */
  readonly slots?: SubscriptionSlots | undefined;
  /** What else a subscription takes up; throws what refuses it. `exchange` is a CCXT id. */
  readonly admitTopic?: ((exchange: ExchangeId, topic: TopicName) => AdmittedTopic) | undefined;
  /** Whether events say that they come from the sandbox. */
  readonly sandbox: boolean;
}

export interface AdmittedTopic {
  /** Rejects where other processes have all the places; null: no other is asked. */
  readonly confirmed: Promise<void> | null;
  /** The subscription has begun. */
  readonly began: () => void;
  /** It is over, or never began. */
  readonly end: () => void;
}

export interface SubscriptionSlots {
  /** Throws `stream_limit_reached` or `overloaded`. */
  take(client: string): void;
  giveBack(client: string): void;
}

/** `max` for all clients together, half of that for one. */
export const createSubscriptionSlots = (max: number = MAX_SERVER_SUBSCRIPTIONS): SubscriptionSlots => {
  const taken = new Map<string, number>();
  let all = 0;
  return {
    take(client) {
      const own = taken.get(client) ?? 0;
      const details = { retryAfterMs: RETRY_WHEN_FULL };
      if (own >= Math.ceil(max / 2))
        throw new AppError(
          'stream_limit_reached',
          'This client has all the subscriptions it may have.',
          details,
        );
      if (all >= max) throw new AppError('overloaded', `All ${max} subscriptions are taken.`, details);
      taken.set(client, own + 1);
      all += 1;
    },
    giveBack(client) {
      const left = (taken.get(client) ?? 1) - 1;
      if (left === 0) taken.delete(client);
      else taken.set(client, left);
      all -= 1;
    },
  };
};

/** How a client wants the events of a ticker. */
export interface TickerOptions {
  readonly threshold: number | undefined;
  readonly stats: true | undefined;
}

const sameOptions = (a: TickerOptions, b: TickerOptions): boolean =>
  a.threshold === b.threshold && a.stats === b.stats;

interface Entry {
  readonly topic: TopicName;
  readonly options: TickerOptions;
  /** Gives up the opening, where no other client waits for it. */
  readonly abort: AbortController;
  /** What it takes up. */
  readonly slot: AdmittedTopic;
  /** Settles once the hub has answered. */
  readonly opening: Promise<Subscription>;
  /** null until then. */
  subscription: Subscription | null;
}

interface Beginning {
  readonly entry: Entry;
  readonly reader: TopicReader;
  readonly began: (symbol: UnifiedSymbol) => void;
}

/** Spellings of symbols that are remembered a connection. */
const MAX_SPELLINGS = 4 * MAX_SUBSCRIPTIONS;

export class Subscriptions {
  readonly #services: SubscriptionServices;
  readonly #entries = new Map<string, Entry>();
  /** Keys that clients use, by which an entry's own differs: other spellings of its symbol. */
  readonly #spellings = new Map<string, string>();
  #closed = false;

  constructor(services: SubscriptionServices) {
    this.#services = services;
  }

  /**
   * Subscribes, from behind the event `since` where that is given. `began` is called with the venue's spelling of the symbol
   * just before the first event goes out. A topic that is there already stays as it is, unless its options differ or `since`
   * is given: then the new one takes its place. Rejects with an AppError.
   */
  async add(
    topic: TopicName,
    { since, ...options }: TickerOptions & { readonly since?: string | undefined },
    began: (symbol: UnifiedSymbol) => void,
  ): Promise<void> {
    const key = this.#keyOf(topic);
    const present = this.#entries.get(key);
    if (present !== undefined && since === undefined && sameOptions(present.options, options)) {
      began((await present.opening).symbol);
      return;
    }
    if (present !== undefined) this.remove(topic);
    if (this.#entries.size >= MAX_SUBSCRIPTIONS)
      throw new AppError('invalid_request', `A connection has at most ${MAX_SUBSCRIPTIONS} subscriptions.`);
    const { connection, sandbox } = this.#services;
    const slot = this.#takeSlot(topic);
    const reader = new TopicReader(connection, topic, { sandbox });
    const abort = new AbortController();
    const entry: Entry = {
      topic,
      options,
      abort,
      slot,
      opening: this.#open(topic, { ...options, lastEventId: since, signal: abort.signal }, { reader, slot }),
      subscription: null,
    };
    this.#entries.set(key, entry);
    try {
      await this.#begin(key, { entry, reader, began });
    } catch (error) {
      if (this.#entries.get(key) === entry) {
        this.#entries.delete(key);
        slot.end();
      }
      throw error;
    }
  }

  /** Nothing happens where there is no such subscription. */
  remove(topic: TopicName): void {
    const key = this.#keyOf(topic);
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#end(entry);
  }

  /** The entry's key, however the client spells its symbol. */
  #keyOf(topic: TopicName): string {
    const key = topicKey(topic);
    if (this.#entries.has(key)) return key;
    const known = this.#spellings.get(key) ?? topicKey({ ...topic, symbol: likelySymbol(topic.symbol) });
    return this.#entries.has(known) ? known : key;
  }

  list(): (TopicName & TickerOptions)[] {
    return [...this.#entries.values()].map(({ topic, options, subscription }) => ({
      ...topic,
      symbol: subscription?.symbol ?? topic.symbol,
      ...options,
    }));
  }

  /** Idempotent; what is being opened is closed as soon as it is. */
  closeAll(): void {
    this.#closed = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#spellings.clear();
    for (const entry of entries) this.#end(entry);
  }

  get #client(): string {
    return this.#services.client ?? '';
  }

  /** Throws what refuses the subscription. */
  #takeSlot(topic: TopicName): AdmittedTopic {
    const { slots, admitTopic, marketData } = this.#services;
    const admitted = admitTopic?.(marketData.resolveExchange(topic.exchange).exchange, {
      ...topic,
      symbol: likelySymbol(topic.symbol),
    });
    try {
      slots?.take(this.#client);
    } catch (error) {
      admitted?.end();
      throw error;
    }
    let isHeld = true;
    return {
      confirmed: admitted?.confirmed ?? null,
      began: () => admitted?.began(),
      end: () => {
        if (!isHeld) return;
        isHeld = false;
        slots?.giveBack(this.#client);
        admitted?.end();
      },
    };
  }

  #end({ subscription, abort, slot }: Entry): void {
    slot.end();
    abort.abort();
    subscription?.close();
  }

  async #open(
    topic: TopicName,
    options: TickerOptions & Pick<SubscribeRequest, 'lastEventId' | 'signal'>,
    { reader, slot }: { readonly reader: TopicReader; readonly slot: AdmittedTopic },
  ): Promise<Subscription> {
    if (slot.confirmed !== null) await slot.confirmed;
    const { hub, marketData, client } = this.#services;
    const { name, exchange } = marketData.resolveExchange(topic.exchange);
    return hub.subscribe({ topic: { ...topic, exchange }, name, client, ...options }, reader);
  }

  async #begin(key: string, { entry, reader, began }: Beginning): Promise<void> {
    const subscription = await entry.opening;
    try {
      // Meanwhile the client may have unsubscribed, or left.
      if (this.#closed || this.#entries.get(key) !== entry)
        throw new AppError('invalid_request', 'The subscription was withdrawn before it began.');
      reader.checkHeld();
    } catch (error) {
      subscription.close();
      throw error;
    }
    reader.spell(subscription.symbol);
    const isNew = this.#settle(key, entry, subscription);
    if (isNew) entry.slot.began();
    began(subscription.symbol);
    if (isNew) reader.release();
  }

  /** Files the entry under the venue's spelling. false: it was there already, and the new one is closed. */
  #settle(key: string, entry: Entry, subscription: Subscription): boolean {
    const own = topicKey({ ...entry.topic, symbol: subscription.symbol });
    if (own !== key) {
      const present = this.#entries.get(own);
      this.#entries.delete(key);
      if (this.#spellings.size >= MAX_SPELLINGS) this.#spellings.clear();
      this.#spellings.set(key, own);
      if (present !== undefined && sameOptions(present.options, entry.options)) {
        subscription.close();
        entry.slot.end();
        return false;
      }
      present?.subscription?.close();
      present?.slot.end();
      this.#entries.set(own, entry);
    }
    entry.subscription = subscription;
    return true;
  }
}
