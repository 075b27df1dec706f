/** What the panels show of the markets: the latest event of each subscription with the state of its feed. */
import { effect, signal, untracked, type Signal } from '@preact/signals';
import type { OrderBookEvent, TickerEvent, Trade } from '../../client/client.js';
import type { Handlers, Topic, TopicState } from '../../client/topic.js';
import { dependOn, inNextFrame } from './frame.js';
import { findMarket } from './markets.js';
import { isSeen, selection, selectionFault } from './selection.js';
import { access, askAgain, client, describe, serverTime } from './server.js';
import { keyOf, watchList, type WatchedMarket } from './settings.js';
import { isWanted } from './visibility.js';

/** What is said of a feed beside its numbers; '' while all is well. */
export type FeedWord = '' | 'stale' | 'reconnecting' | 'polling' | 'unavailable';

const wordOf = ({ state }: Pick<TopicState, 'state'>): FeedWord => {
  if (state === 'disconnected') return 'reconnecting';
  if (state === 'failed') return 'unavailable';
  return state === 'live' || state === 'connecting' ? '' : state;
};

export interface Feed<T> {
  readonly value: Signal<T | null>;
  readonly word: Signal<FeedWord>;
  /** Why it is unavailable. */
  readonly reason: Signal<string | null>;
  /** Trades that are known to be missing. */
  readonly missed: Signal<number>;
}

export const createFeed = <T>(): Feed<T> => ({
  value: signal<T | null>(null),
  word: signal<FeedWord>(''),
  reason: signal<string | null>(null),
  missed: signal(0),
});

/** Subscribes and keeps `feed`'s word; ends by what it returns. Throws never: what a client refuses is told by the feed. */
export const subscribe = (topic: Topic, feed: Feed<unknown>, onEvent: Handlers['onEvent']): (() => void) => {
  try {
    const subscription = untracked(() => client.value).stream.subscribe(topic, {
      onEvent,
      onState: (state) => {
        feed.word.value = wordOf(state);
        feed.missed.value = state.missed;
        feed.reason.value = state.error === undefined ? null : describe(state.error);
      },
    });
    return () => subscription.unsubscribe();
  } catch (error) {
    feed.word.value = 'unavailable';
    feed.reason.value = describe(error);
    return () => undefined;
  }
};

export interface Row extends WatchedMarket {
  readonly feed: Feed<TickerEvent>;
  /** The first price that this page showed. */
  readonly opened: Signal<number | null>;
}

const rows = new Map<string, Row>();
export const rowOf = (market: WatchedMarket): Row => {
  const key = keyOf(market);
  const present = rows.get(key);
  if (present !== undefined) return present;
  const row = { ...market, feed: createFeed<TickerEvent>(), opened: signal<number | null>(null) };
  rows.set(key, row);
  return row;
};

/** In which steps its prices move: asked for until it is told, while somebody sees the row. */
const learn = (row: Row): void => {
  findMarket(row).catch((error: unknown) =>
    askAgain(error, () => {
      if (rows.get(keyOf(row)) === row && isWanted.peek()) learn(row);
    }),
  );
};

const follow = (row: Row): (() => void) => {
  const { exchange, symbol, feed, opened } = row;
  const key = `ticker ${keyOf(row)}`;
  learn(row);
  return subscribe({ channel: 'ticker', exchange, symbol, threshold: 0 }, feed, (event) => {
    if (event.event_type !== 'ticker') return;
    inNextFrame(key, () => {
      // A feed that begins anew may open with what is known already: an older price never follows a newer one.
      if (event.timestamp < (feed.value.peek()?.timestamp ?? 0)) return;
      feed.value.value = event;
      opened.value ??= event.last;
    });
  });
};

/** Each watched market is subscribed once, whatever becomes of the list around it. */
const followWatchList = (): void => {
  const followed = new Map<string, () => void>();
  effect(() => {
    const active = access.value === 'open' && isWanted.value && isSeen('Watch');
    dependOn(client);
    const wanted = new Map(active ? watchList.value.map((market) => [keyOf(market), market]) : []);
    for (const [key, end] of followed)
      if (!wanted.has(key)) {
        end();
        followed.delete(key);
      }
    for (const [key, market] of wanted) if (!followed.has(key)) followed.set(key, follow(rowOf(market)));
    for (const key of rows.keys())
      if (!watchList.value.some((market) => keyOf(market) === key)) rows.delete(key);
  });
};

export const book = createFeed<OrderBookEvent>();
export const trades = createFeed<readonly Trade[]>();
const TAPE = 100;

/** Newest first, each once. */
const joined = (known: readonly Trade[], more: readonly Trade[]): readonly Trade[] => {
  const seen = new Set(known.map(({ trade_id }) => trade_id).filter((id) => id !== null));
  const fresh = more.filter(({ trade_id }) => trade_id === null || !seen.has(trade_id));
  return [...fresh.toReversed(), ...known].toSorted((a, b) => b.timestamp - a.timestamp).slice(0, TAPE);
};

const followBook = ({ exchange, symbol }: WatchedMarket): (() => void) =>
  subscribe({ channel: 'orderbook', exchange, symbol }, book, (event) => {
    if (event.event_type === 'orderbook') inNextFrame('book', () => (book.value.value = event));
  });

const followTrades = ({ exchange, symbol }: WatchedMarket): (() => void) => {
  let arrived: readonly Trade[] = [];
  const take = (more: readonly Trade[]): void => {
    arrived = joined(arrived, more);
    inNextFrame('trades', () => (trades.value.value = arrived));
  };
  return subscribe({ channel: 'trades', exchange, symbol }, trades, (event) => {
    if (event.event_type === 'trades') take(event.trades);
  });
};

/** Follows `name`'s panel of the selected market while it is seen. */
export const followSelected = (
  name: 'Book' | 'Trades' | 'Chart',
  begin: (market: WatchedMarket & { readonly interval: string }) => () => void,
): (() => void) =>
  effect(() => {
    const market = selection.value;
    dependOn(client);
    if (market === null || selectionFault.value !== null) return;
    if (access.value !== 'open' || !isWanted.value || !isSeen(name)) return;
    return untracked(() => begin(market));
  });

const forget = (feed: Feed<unknown>): void => {
  feed.value.value = null;
  feed.word.value = '';
  feed.reason.value = null;
};

export const startFeeds = (): void => {
  followWatchList();
  let shown = '';
  effect(() => {
    const market = selection.value;
    const key = market === null ? '' : keyOf(market);
    if (key === shown) return;
    shown = key;
    untracked(() => [book, trades].forEach(forget));
  });
  followSelected('Book', followBook);
  followSelected('Trades', followTrades);
};

/** Of data with the server's or the venue's stamp, in milliseconds; never negative. */
export const ageOf = (timestamp: number): number => Math.max(0, serverTime() - timestamp);
