/** From a client's request to a topic: its feed and a first price of REST, whichever comes first. */
import { AppError } from '../errors.js';
import type { ExchangeDescription, StreamTopic } from '../exchanges/exchange-client.js';
import { createSingleFlight } from '../lib/single-flight.js';
import { type Millis, systemTimers } from '../lib/timers.js';
import { likelySymbol } from '../market-data/market-directory.js';
import type { Channel } from '../schemas/stream.js';
import { itemOf, requestOf, type RestItem } from './feed/rest-items.js';
import type { HubOptions, SubscribeRequest } from './hub-api.js';
import { keyOf, type TopicEntry, type TopicTable } from './topic-table.js';

/** A price of REST that is not there by then waits for its turn at the exchange's pace, and the feed may well be sooner. */
const HEAD_START_MS: Millis = 1_000;
/** Their latest event is all that there is to show; the others' first one has what happened before as well. */
const SHOW_LATEST: ReadonlySet<Channel> = new Set<Channel>(['ticker', 'orderbook']);

export const shuttingDown = (): AppError => new AppError('shutting_down', 'The server is shutting down.');

const clientGone = (cause: unknown): AppError =>
  new AppError('invalid_request', 'The client left before its subscription began.', { cause });

const isOffered = (channel: Channel, { watchable, capabilities }: ExchangeDescription): boolean =>
  watchable.includes(channel) || capabilities[channel];

interface Opening {
  readonly wanted: StreamTopic;
  readonly description: ExchangeDescription;
  readonly signal: AbortSignal;
}
interface Asking {
  readonly asking: Promise<RestItem | AppError>;
}

/** Whether a feed had something before REST answered; one that failed did not. Neither promise rejects. */
const broughtSooner = async (first: Promise<boolean>, asking: Promise<unknown>): Promise<boolean> =>
  Promise.race([
    first.then((brought) => (brought ? true : asking.then(() => false))),
    asking.then(() => false),
  ]);

/** Resolves, with false, once the signal is aborted. */
const untilAborted = (signal: AbortSignal): Promise<false> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(false);
    else signal.addEventListener('abort', () => resolve(false), { once: true });
  });

/** From a client's request to a running topic that has something to show, opened once however many want it at once. */
export class TopicOpening {
  readonly #options: HubOptions;
  readonly #table: TopicTable;
  readonly #openings = createSingleFlight<TopicEntry>();
  readonly #running = new Set<Promise<TopicEntry>>();
  #closed = false;

  constructor(options: HubOptions, table: TopicTable) {
    this.#options = options;
    this.#table = table;
  }

  /** The running topic, or a new one; callers who want the same new one share its opening. Rejects with an AppError. */
  async find(request: SubscribeRequest): Promise<TopicEntry> {
    const key = keyOf(request.topic);
    const running = this.#table.get(key);
    if (running?.topic.ready === true) return running;
    try {
      return await this.#openings.run(key, (signal) => this.#start(request, signal), request.signal);
    } catch (thrown) {
      throw request.signal?.aborted === true ? clientGone(thrown) : thrown;
    }
  }

  /** Nothing is opened any more; resolves once no opening is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }

  #start(request: SubscribeRequest, signal: AbortSignal): Promise<TopicEntry> {
    const opening = this.#open(request, signal);
    this.#running.add(opening);
    const ended = (): void => void this.#running.delete(opening);
    opening.then(ended, ended);
    return opening;
  }

  async #open({ topic: wanted, client }: SubscribeRequest, signal: AbortSignal): Promise<TopicEntry> {
    if (this.#closed) throw shuttingDown();
    this.#table.refuseWhereFull(this.#openings.size);
    const unneeded = new AbortController();
    const asking = this.#snapshot(wanted, { client, signal: AbortSignal.any([signal, unneeded.signal]) });
    const description = await this.#options.exchanges.describe(wanted.exchange);
    const early = await this.#openEarly({ wanted, description, asking, signal });
    if (early === null) return this.#openWith(await asking, { wanted, description, signal });
    try {
      const isSooner = await Promise.race([
        broughtSooner(early.topic.firstItem(), asking),
        untilAborted(signal),
      ]);
      if (signal.aborted) throw clientGone(signal.reason);
      if (isSooner) {
        unneeded.abort(new Error('The feed was sooner.'));
        await early.topic.opened();
        if (this.#isClosed()) throw shuttingDown();
        this.#table.lingerIfEmpty(early);
        return early;
      }
      return await this.#openWith(await asking, { wanted, description, signal });
    } catch (thrown) {
      this.#endIfEmpty(early);
      throw thrown;
    }
  }

  #endIfEmpty(entry: TopicEntry): void {
    if (entry.topic.members === 0) this.#table.end(entry);
  }

  /** A new topic, where its feed is worth opening before REST has answered; null: REST goes first. */
  async #openEarly({ wanted, description, asking, signal }: Opening & Asking): Promise<TopicEntry | null> {
    if (!SHOW_LATEST.has(wanted.channel) || !description.watchable.includes(wanted.channel)) return null;
    if (!(await this.#isPending(asking, HEAD_START_MS))) return null;
    // Only REST can tell how the venue spells another text, which would have a feed of its own.
    const lists = this.#options.marketData().lists?.(wanted.exchange, wanted.symbol) ?? false;
    const isListed = await Promise.race([lists, asking.then(() => false)]);
    if (!isListed || this.#isClosed() || signal.aborted) return null;
    return this.#table.get(keyOf(wanted)) === undefined ? this.#table.start(wanted, description) : null;
  }

  /** Whether `promise`, which never rejects, takes longer than `ms`. */
  #isPending(promise: Promise<unknown>, ms: Millis): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = (this.#options.timers ?? systemTimers).after(ms, () => {
        resolve(true);
      });
      void promise.then(() => {
        cancel();
        resolve(false);
      });
    });
  }

  async #openWith(
    snapshot: RestItem | AppError,
    { wanted, description, signal }: Opening,
  ): Promise<TopicEntry> {
    if (this.#isClosed()) throw shuttingDown();
    // The last client that waited has left: no feed is opened.
    if (signal.aborted) throw clientGone(signal.reason);
    if (!isOffered(wanted.channel, description))
      throw new AppError(
        'not_supported_by_exchange',
        `${wanted.exchange} offers no ${wanted.channel} stream.`,
      );
    // The venue may be reachable over WebSocket all the same.
    const hasFeed = description.watchable.includes(wanted.channel);
    if (snapshot instanceof AppError && !(snapshot.retryable && hasFeed)) throw snapshot;
    const symbol = snapshot instanceof AppError ? likelySymbol(wanted.symbol) : snapshot.symbol;
    const topic: StreamTopic = { ...wanted, symbol };
    const entry = this.#table.get(keyOf(topic)) ?? this.#table.start(topic, description);
    if (snapshot instanceof AppError) {
      if (!entry.topic.ready && !(await entry.topic.firstItem())) {
        this.#endIfEmpty(entry);
        throw this.#isClosed() ? shuttingDown() : snapshot;
      }
    } else {
      const opened = entry.topic.opened();
      if (opened !== undefined) {
        await opened;
        if (this.#isClosed()) throw shuttingDown();
      }
      const { item, timed, receivedAt } = snapshot;
      entry.topic.prime(item, { via: 'rest', timed, receivedAt });
    }
    this.#table.lingerIfEmpty(entry);
    return entry;
  }

  /** Venues only: a CoinMarketCap quote is no first event of a venue's stream. Never rejects. */
  async #snapshot(
    topic: StreamTopic,
    { client, signal }: { readonly client: string | undefined; readonly signal: AbortSignal },
  ): Promise<RestItem | AppError> {
    try {
      const request = requestOf(topic);
      const answer = await this.#options.marketData().get({ ...request, fallback: false, client }, signal);
      return itemOf(topic, answer);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  }

  /** A method, since the flag may change during an await. */
  #isClosed(): boolean {
    return this.#closed;
  }
}
