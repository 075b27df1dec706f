/** What a server does with a topic whose feed another one holds. */
import { expect, test, vi } from 'vitest';
import { createSharedFeeds } from '../../../src/cluster/feeds/shared-feeds.js';
import { writeMessage } from '../../../src/cluster/feeds/messages.js';
import { silentLog } from '../../../src/log/log.js';
import type {
  FeedListener,
  FeedRequest,
  FeedSource,
  FeedSources,
  FeedStatus,
  ItemSource,
} from '../../../src/streams/feed/feed-source.js';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import { TradesState } from '../../../src/streams/channels/sequence-state.js';
import { createLocalFeeds } from '../../../src/streams/feed/local-feeds.js';
import { MemoryCluster, type MemoryServer } from '../../support/memory-bus.js';

const clocks = { log: silentLog, now: () => 0, monotonic: () => 0, random: () => 0 };
const request = {
  topic: { channel: 'trades', exchange: 'kraken', symbol: 'BTC/USD' },
  description: { watchable: ['trades'] },
  listener: { ready: false, onStatus: () => undefined, onInterrupted: () => undefined },
} as unknown as FeedRequest;

/** A server "a" that shows trades, and what its clients get of them. */
const showTrades = (cluster: MemoryCluster, ready = true) => {
  const state = new TradesState();
  const seen = { shown: [] as (string | null)[], losses: 0 };
  let bring: FeedListener['onItem'] = () => null;
  const listener = {
    ...{ ready, onStatus: () => undefined, onInterrupted: () => state.interrupted() },
    onLoss: () => undefined,
    onItem: (item: StreamItem, source: ItemSource) => {
      const judged = state.accept(item, source);
      seen.losses += state.takeLost();
      if (typeof judged === 'string') return null;
      if (judged.channel === 'trades') seen.shown.push(...judged.trades.map(({ trade_id: id }) => id));
      return judged;
    },
  } as unknown as FeedListener;
  const local = {
    open: (opened: FeedRequest) => {
      bring = (item, source) => opened.listener.onItem(item, source);
      const status = { state: 'live', detail: '', at: 0 };
      return { status, reconnects: 0, start: () => undefined, close: () => undefined };
    },
  } as unknown as FeedSources;
  const bus = cluster.join('a');
  const history = vi.spyOn(bus, 'history');
  const feeds = createSharedFeeds({
    ...{ bus, local, venues: '', history: 10, historyBytes: 100_000, ...clocks },
    timers: { after: () => () => undefined },
  });
  const feed = feeds.open({ ...request, listener });
  return { seen, feed, history, bring: (...ids: number[]) => bring(trades(...ids), source) };
};

const key = 'trades kraken  BTC/USD';
const source: ItemSource = { via: 'feed', timed: true, receivedAt: 0 };
const trades = (...ids: number[]): StreamItem => ({
  channel: 'trades',
  trades: ids.map((id) => ({ trade_id: String(id), timestamp: id, price: 1, amount: 1, side: 'buy' })),
});

/** Has the topic in the place of whoever has it, and publishes. */
const takeOver = async (server: MemoryServer) => {
  const asked = await server.claim(key);
  const claim = asked.granted ? asked : await server.claim(key, { owner: asked.owner, because: 'handover' });
  const fence = claim.granted ? claim.fence : 0;
  return async (seq: number, previous: number, ...ids: number[]) => {
    const id = `${fence}-${seq}`;
    const item = trades(...ids);
    const text = writeMessage({ kind: 'item', id, previous: `${fence}-${previous}`, item, source });
    await server.publish(key, fence, { publications: [{ id, text }], keep: 10 });
  };
};

test('it opens no feed, and loads the exchange’s markets so that it can take over at once', async () => {
  const cluster = new MemoryCluster();
  const join = (id: string) => {
    const did = { opened: 0, prepared: [] as string[] };
    const local: FeedSources = {
      open: () => {
        did.opened += 1;
        const status = { state: 'reconnecting', detail: '', at: 0 };
        return {
          status,
          reconnects: 0,
          start: () => undefined,
          close: () => undefined,
        } as unknown as FeedSource;
      },
      prepare: (exchange) => did.prepared.push(exchange),
    };
    const feeds = createSharedFeeds({
      ...{ bus: cluster.join(id), local, venues: '', history: 10, historyBytes: 1_000, ...clocks },
      timers: { after: () => () => undefined },
    });
    return { did, feed: feeds.open(request), feeds };
  };
  const [owner, follower] = [join('a'), join('b')];
  owner.feed.start();
  await expect.poll(() => owner.did.opened).toBe(1);
  follower.feed.start();
  await expect.poll(() => follower.did.prepared).toEqual(['kraken']);
  expect(follower.did.opened).toBe(0);
  expect(owner.did.prepared).toEqual([]);
  follower.feed.close();
  owner.feed.close();
});

test('of trades it reads what a new client is shown, and not all that is kept; later what came behind its latest event', async () => {
  const cluster = new MemoryCluster();
  const publish = await takeOver(cluster.join('b'));
  for (let seq = 1; seq <= 10; seq += 1) await publish(seq, seq - 1, seq);
  const { seen, feed, history } = showTrades(cluster, false);
  feed.start();
  await expect.poll(() => seen.shown.at(-1)).toBe('10');
  expect(history.mock.calls[0]).toEqual([key, undefined, 50]);
  await publish(13, 12, 13);
  await expect.poll(() => seen.shown.at(-1)).toBe('13');
  const [asked, after, newest] = history.mock.lastCall ?? [];
  expect([asked, after?.endsWith('-10'), newest]).toEqual([key, true, undefined]);
  feed.close();
});

test('a server that has shown trades already reads all that is kept', async () => {
  const cluster = new MemoryCluster();
  const publish = await takeOver(cluster.join('b'));
  await publish(1, 0, 1);
  const { seen, feed, history } = showTrades(cluster);
  feed.start();
  await expect.poll(() => seen.shown).toEqual(['1']);
  expect(history.mock.calls[0]).toEqual([key, undefined, undefined]);
  feed.close();
});

test('it shows what the owner tells of its feed, and once where a new owner repeats it', async () => {
  const cluster = new MemoryCluster();
  const shown: FeedStatus[] = [];
  const owner = cluster.join('a');
  const claim = await owner.claim(key);
  const feeds = createSharedFeeds({
    ...{ bus: cluster.join('b'), venues: '', history: 10, historyBytes: 1_000, ...clocks },
    local: { open: () => Promise.reject(new Error('none')) as never },
    timers: { after: () => () => undefined },
  });
  const listener = { ...request.listener, onStatus: (status: FeedStatus) => shown.push(status) };
  const feed = feeds.open({ ...request, listener });
  feed.start();
  await expect.poll(() => feed.owner).toBe('a');
  const live: FeedStatus = { state: 'live', detail: 'Live from kraken.', at: 1 };
  const fence = claim.granted ? claim.fence : 0;
  const text = writeMessage({ kind: 'status', status: live });
  for (let i = 0; i < 2; i += 1) await owner.tell(key, fence, { text, asStatus: true });
  expect(shown).toEqual([live]);
  await owner.tell(key, fence, { text: writeMessage({ kind: 'status', status: { ...live, at: 2 } }) });
  expect(shown).toHaveLength(2);
  feed.close();
});

test('a server that had the feed shows no trade of the new owner behind a later one that its own feed brought', async () => {
  const cluster = new MemoryCluster();
  const { seen, feed, bring } = showTrades(cluster);
  feed.start();
  await expect.poll(() => feed.status.state).toBe('live');
  bring(1, 2, 3);
  const publish = await takeOver(cluster.join('b'));
  // As after a freeze: its own feed has gone on somewhere else, before it is told that another has the topic.
  bring(7, 8);
  await expect.poll(() => feed.owner).toBe('b');
  await publish(2, 0, 4, 5);
  await publish(5, 2, 6, 7, 8);
  await publish(7, 5, 9, 10);
  await expect.poll(() => seen.shown.at(-1)).toBe('10');
  expect(seen).toEqual({ shown: ['1', '2', '3', '7', '8', '9', '10'], losses: 3 });
  feed.close();
});

test('a server shows no trade of an owner behind a later one of the owner before it', async () => {
  const cluster = new MemoryCluster();
  const [quick, slow] = [cluster.join('b'), cluster.join('c')];
  const publish = await takeOver(quick);
  const { seen, feed } = showTrades(cluster);
  feed.start();
  await expect.poll(() => feed.owner).toBe('b');
  await publish(3, 0, 1, 2, 3);
  await publish(5, 3, 7, 8);
  await expect.poll(() => seen.shown.at(-1)).toBe('8');
  // Its own feed was late, and has not heard of those.
  const publishLate = await takeOver(slow);
  await expect.poll(() => feed.owner).toBe('c');
  await publishLate(2, 0, 4, 5);
  await publishLate(4, 2, 6, 8);
  await publishLate(6, 4, 9, 10);
  await expect.poll(() => seen.shown.at(-1)).toBe('10');
  expect(seen).toEqual({ shown: ['1', '2', '3', '7', '8', '9', '10'], losses: 3 });
  feed.close();
});

test('markets are loaded once for all topics of an exchange, and again where that failed', async () => {
  const loads: string[] = [];
  let fails = true;
  const feeds = createLocalFeeds({
    ...{ serverId: 'a', idleTimeoutMs: 1_000, ...clocks },
    exchanges: {
      watch: () => ({ close: () => undefined }),
      fetch: () => Promise.reject(new Error('not asked')),
      markets: (exchange) => {
        loads.push(exchange);
        return fails ? Promise.reject(new Error('down')) : new Promise(() => undefined);
      },
    },
  });
  feeds.prepare?.('kraken');
  await new Promise((resolve) => setImmediate(resolve));
  fails = false;
  feeds.prepare?.('kraken');
  feeds.prepare?.('kraken');
  feeds.prepare?.('binance');
  expect(loads).toEqual(['kraken', 'kraken', 'binance']);
});
