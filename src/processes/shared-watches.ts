/**
 * One feed of a venue for all processes that watch it. Who comes later gets the latest message first: a quiet market may
 * have no other for a long time.
 */
import type { AppError } from '../errors.js';
import type {
  ExchangeClient,
  StreamItem,
  StreamTopic,
  WatchHandle,
  WatchSink,
} from '../exchanges/exchange-client.js';
import type { Millis } from '../schemas/common.js';

/**
 * How long a feed is kept whose process has died: the one that takes over goes on with it. One that was closed is closed at
 * once: it may have been found dead.
 */
const ORPHANED_FOR_MS: Millis = 3_000;

interface Feed {
  readonly sinks: Set<WatchSink>;
  handle: WatchHandle | null;
  socket: string | null;
  latest: StreamItem | null;
  orphaned: NodeJS.Timeout | undefined;
}

export interface SharedWatch extends WatchHandle {
  /** Instead of `close`: nobody is there any more to be told of its end. */
  abandon(): void;
}

export interface SharedWatches {
  watch(topic: StreamTopic, sink: WatchSink): SharedWatch;
}

const keyOf = ({ channel, exchange, symbol, interval = '' }: StreamTopic): string =>
  `${channel} ${exchange} ${interval} ${symbol}`;

export const createSharedWatches = (client: Pick<ExchangeClient, 'watch'>): SharedWatches => {
  const feeds = new Map<string, Feed>();

  const ended = (key: string, feed: Feed, error: AppError | null): void => {
    clearTimeout(feed.orphaned);
    if (feeds.get(key) === feed) feeds.delete(key);
    const sinks = [...feed.sinks];
    feed.sinks.clear();
    for (const sink of sinks) sink.onEnd(error);
  };

  const open = (key: string, topic: StreamTopic, first: WatchSink): Feed => {
    const feed: Feed = {
      ...{ sinks: new Set([first]), handle: null, socket: null, latest: null, orphaned: undefined },
    };
    feeds.set(key, feed);
    feed.handle = client.watch(topic, {
      onSubscribed: (socket) => {
        feed.socket = socket;
        for (const sink of feed.sinks) sink.onSubscribed?.(socket);
      },
      onItem: (item) => {
        feed.latest = item;
        for (const sink of feed.sinks) sink.onItem(item);
      },
      onEnd: (error) => ended(key, feed, error),
    });
    return feed;
  };

  const join = ({ sinks, socket, latest, orphaned }: Feed, sink: WatchSink): void => {
    clearTimeout(orphaned);
    sinks.add(sink);
    // As with any feed, nothing comes before the handle.
    queueMicrotask(() => {
      if (!sinks.has(sink)) return;
      if (socket !== null) sink.onSubscribed?.(socket);
      if (latest !== null) sink.onItem(latest);
    });
  };

  return {
    watch(topic, sink) {
      const key = keyOf(topic);
      const known = feeds.get(key);
      const feed = known ?? open(key, topic, sink);
      if (known !== undefined) join(known, sink);
      const leave = (): boolean => feed.sinks.delete(sink) && feed.sinks.size === 0;
      const end = (): void => {
        if (feeds.get(key) === feed) feeds.delete(key);
        feed.handle?.close();
      };
      return {
        close() {
          if (leave()) end();
          sink.onEnd(null);
        },
        abandon() {
          if (leave()) feed.orphaned = setTimeout(end, ORPHANED_FOR_MS).unref();
        },
      };
    },
  };
};
