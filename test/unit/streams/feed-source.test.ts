/** Two hubs, as of two processes: one holds the feed, the other follows it by messages of plain data. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import { silentLog } from '../../../src/log/log.js';
import type { Channel } from '../../../src/schemas/stream.js';
import type {
  FeedListener,
  FeedSource,
  FeedSources,
  FeedStatus,
  ItemSource,
} from '../../../src/streams/feed/feed-source.js';
import { createLocalFeeds } from '../../../src/streams/feed/local-feeds.js';
import { createHub } from '../../../src/streams/hub.js';
import { FakeClient, FakeMarketData, FakeTime, FakeVenue, START, idOf, trade } from './fakes.js';

type Message =
  | { readonly status: FeedStatus }
  | { readonly id: string; readonly item: StreamItem; readonly source: ItemSource };

/** Carries copies of plain data, as a socket does. */
class Bus {
  readonly #readers = new Set<(message: Message) => void>();

  send(message: Message): void {
    for (const reader of this.#readers) reader(structuredClone(message));
  }

  subscribe(reader: (message: Message) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }
}

/** The feed is held here, and what its topic takes is told on the bus. */
const owning = (local: FeedSources, bus: Bus): FeedSources => ({
  open: (request) => {
    const { listener } = request;
    let id = '';
    const telling: FeedListener = {
      get ready() {
        return listener.ready;
      },
      onItem: (given, source) => {
        const item = listener.onItem(given, source);
        if (item !== null) bus.send({ id, item, source });
        return item;
      },
      onStatus: (status) => {
        listener.onStatus(status);
        bus.send({ status });
      },
      onInterrupted: () => listener.onInterrupted(),
      onBookFault: (fault) => listener.onBookFault(fault),
      onGap: (detail) => listener.onGap(detail),
      onLoss: (loss) => listener.onLoss(loss),
      wanted: () => listener.wanted(),
      isNews: (item) => listener.isNews(item),
    };
    const feed = local.open({ ...request, listener: telling });
    return {
      get status() {
        return feed.status;
      },
      get reconnects() {
        return feed.reconnects;
      },
      start: () => feed.start(),
      close: () => feed.close(),
      nextEventId: (rows) => (id = feed.nextEventId(rows)),
    };
  },
});

/** Follows the bus, until `takeOver` opens a feed of its own in the same topic. */
const following = (local: FeedSources, bus: Bus) => {
  const takeOvers: (() => void)[] = [];
  const feeds: FeedSources = {
    open: (request) => {
      const { listener } = request;
      let status: FeedStatus = { state: 'reconnecting', detail: 'Waiting for the owner.', at: START };
      let id = 'uB.170000000000010000000000';
      let own: FeedSource | null = null;
      const leave = bus.subscribe((message) => {
        if ('status' in message) {
          ({ status } = message);
          listener.onStatus(status);
        } else {
          ({ id } = message);
          listener.onItem(message.item, message.source);
        }
      });
      takeOvers.push(() => {
        leave();
        listener.onInterrupted();
        own = local.open(request);
        own.start();
      });
      return {
        get status() {
          return own?.status ?? status;
        },
        get reconnects() {
          return own?.reconnects ?? 0;
        },
        start: () => undefined,
        close: () => {
          leave();
          own?.close();
        },
        nextEventId: (rows) => own?.nextEventId(rows) ?? id,
      };
    },
  };
  const takeOver = (): void => {
    for (const take of takeOvers.splice(0)) take();
  };
  return { feeds, takeOver };
};

let time: FakeTime;
let market: FakeMarketData;

/** One process: its own connection to the venue, and its hub. */
const startProcess = (sharing: (local: FeedSources) => FeedSources) => {
  const venue = new FakeVenue(time);
  const shared = { log: silentLog, now: time.now, monotonic: time.monotonic, timers: time };
  const local = createLocalFeeds({
    exchanges: venue,
    serverId: 'A',
    idleTimeoutMs: 30_000,
    random: () => 0.5,
    ...shared,
  });
  const hub = createHub({
    exchanges: venue,
    feeds: sharing(local),
    marketData: () => market,
    settings: { deltaThreshold: 0, lingerMs: 0 },
    sandbox: false,
    ...shared,
  });
  const join = async (channel: Channel, lastEventId?: string): Promise<FakeClient> => {
    const client = new FakeClient();
    const topic = { channel, exchange: 'binance', symbol: 'BTC/USDT' };
    await hub.subscribe({ topic, name: 'binance', lastEventId }, client);
    return client;
  };
  return { venue, hub, join };
};

const start = () => {
  const bus = new Bus();
  const owner = startProcess((local) => owning(local, bus));
  let takeOver = (): void => undefined;
  const follower = startProcess((local) => {
    const followed = following(local, bus);
    ({ takeOver } = followed);
    return followed.feeds;
  });
  return { owner, follower, takeOver: () => takeOver() };
};

beforeEach(() => {
  time = new FakeTime();
  market = new FakeMarketData(time);
});

describe('a feed that another process holds', () => {
  it('shows the clients of both the same events under the same ids, for one connection to the venue', async () => {
    const { owner, follower } = start();
    const [here, there] = [await owner.join('ticker'), await follower.join('ticker')];
    owner.venue.tick(101, START);
    owner.venue.tick(102, START + 1);
    const ticks = (client: FakeClient) =>
      client.received
        .filter(({ type }) => type === 'ticker')
        .slice(1)
        .map((event) => [idOf(event), event.json]);
    expect(there.prices).toEqual([100, 101, 102]);
    expect(ticks(there)).toEqual(ticks(here));
    expect(follower.venue.watches).toEqual([]);
    expect(follower.venue.requests).toEqual([]);
    expect(follower.hub.latest('binance', 'BTC/USDT')).toMatchObject({ last: 102 });
  });

  it('sends its status to the clients of both', async () => {
    const { owner, follower } = start();
    await owner.join('ticker');
    const there = await follower.join('ticker');
    owner.venue.tick(101, START);
    owner.venue.break();
    expect(there.states).toEqual(['live', 'reconnecting']);
    expect(follower.hub.latest('binance', 'BTC/USDT')).toBeUndefined();
  });

  it('lets a client go on at the other process from the event that it saw last', async () => {
    const { owner, follower } = start();
    const here = await owner.join('ticker');
    await follower.join('ticker');
    owner.venue.tick(101, START);
    const resumed = await follower.join('ticker', idOf(here.received.at(-1)));
    expect(resumed.prices).toEqual([]);
    const missed = await follower.join('ticker', 'unshared');
    expect(missed.prices).toEqual([101]);
    owner.venue.tick(102, START + 1);
    expect(resumed.prices).toEqual([102]);
  });

  it('is gone on with from what is known when that process is gone: no trade is missing, none comes twice', async () => {
    market.answer = { trades: [trade('1', START)] };
    const { owner, follower, takeOver } = start();
    owner.venue.answer = { trades: [trade('1', START)] };
    await owner.join('trades');
    const there = await follower.join('trades');
    owner.venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await time.advance(0);
    owner.venue.say({ channel: 'trades', trades: [trade('3', START + 2)] });
    await owner.hub.close();
    follower.venue.answer = { trades: [1, 2, 3, 4].map((n) => trade(`${n}`, START + n - 1)) };
    takeOver();
    follower.venue.say({ channel: 'trades', trades: [trade('5', START + 4)] });
    await time.advance(0);
    const ids = there.ofType('trades').flatMap(({ trades }) => trades as { trade_id: string }[]);
    expect(ids.map(({ trade_id }) => trade_id)).toEqual(['1', '2', '3', '4', '5']);
    expect(there.ofType('lost')).toEqual([]);
    expect(follower.venue.watches).toHaveLength(1);
  });

  it('shows its order books at the other process too', async () => {
    const levels = (price: number) => ({
      bids: [{ price, amount: 1 }],
      asks: [{ price: price + 1, amount: 1 }],
    });
    market.answer = { ...levels(10), timestamp: START };
    const { owner, follower } = start();
    await owner.join('orderbook');
    const there = await follower.join('orderbook');
    owner.venue.say({ channel: 'orderbook', ...levels(11), timestamp: START + 1 });
    await time.advance(100);
    expect(there.ofType('orderbook').map(({ bids }) => bids)).toEqual([levels(10).bids, levels(11).bids]);
  });
});
