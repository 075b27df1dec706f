/** Who has a topic once its owner has let go of it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { TopicListener } from '../../../src/cluster/bus.js';
import { readMessage, writeMessage } from '../../../src/cluster/feeds/messages.js';
import { createSharedFeeds } from '../../../src/cluster/feeds/shared-feeds.js';
import { silentLog } from '../../../src/log/log.js';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import type {
  FeedListener,
  FeedRequest,
  FeedSource,
  FeedSources,
  FeedStatus,
  ItemSource,
} from '../../../src/streams/feed/feed-source.js';
import { MemoryCluster } from '../../support/memory-bus.js';

const request = {
  topic: { channel: 'trades', exchange: 'kraken', symbol: 'BTC/USD' },
  listener: {
    ...{ ready: false, onStatus: () => undefined, onInterrupted: () => undefined },
    onItem: (item: StreamItem) => item,
    onLoss: () => undefined,
  },
} as unknown as FeedRequest;
const KEY = 'trades kraken  BTC/USD';

/** A server with one topic, over a bus whose claims are counted. */
const join = (
  cluster: MemoryCluster,
  id: string,
  {
    isCut = false,
    replyMs = 0,
    onStatus = () => undefined,
  }: { isCut?: boolean; replyMs?: number; onStatus?: (status: FeedStatus) => void } = {},
) => {
  const did = { claims: 0, opened: 0 };
  const own: { listener: FeedListener | null } = { listener: null };
  const heard: { listener: TopicListener | null } = { listener: null };
  const server = cluster.join(id);
  server.cutOff(isCut);
  const bus = {
    ...server,
    get isIn() {
      return server.isIn;
    },
    claim: async (...args: Parameters<typeof server.claim>) => {
      did.claims += 1;
      const claim = await server.claim(...args);
      if (replyMs > 0) await new Promise((resolve) => setTimeout(resolve, replyMs));
      return claim;
    },
    subscribe: (topic: string, listener: TopicListener) => {
      heard.listener = listener;
      return server.subscribe(topic, listener);
    },
  };
  const local: FeedSources = {
    open: ({ listener }) => {
      did.opened += 1;
      own.listener = listener;
      const status = { state: 'polling', detail: '', at: 0 };
      return {
        status,
        reconnects: 0,
        start: () => undefined,
        close: () => undefined,
      } as unknown as FeedSource;
    },
  };
  const feeds = createSharedFeeds({
    ...{ bus, local, venues: '', history: 10, historyBytes: 1_000, log: silentLog },
    ...{ now: Date.now, monotonic: Date.now, random: () => 0.5 },
  });
  const feed = feeds.open({ ...request, listener: { ...request.listener, onStatus } });
  feeds.start();
  feed.start();
  return { did, feeds, feed, heard, own, server };
};

let cluster: MemoryCluster;
beforeEach(() => {
  vi.useFakeTimers();
  cluster = new MemoryCluster();
});
afterEach(() => {
  vi.useRealTimers();
});

test('two servers that end together wait for nobody, though one has followed the other', async () => {
  const owner = join(cluster, 'a');
  await vi.advanceTimersByTimeAsync(1);
  const follower = join(cluster, 'b');
  await vi.advanceTimersByTimeAsync(1);
  expect(follower.feed.owner).toBe('a');
  follower.did.claims = 0;
  const ended: string[] = [];
  void owner.feeds.handOver().then(() => ended.push('a'));
  // The other ends a moment later: it has heard of the offer, and dials.
  await vi.advanceTimersByTimeAsync(100);
  void follower.feeds.handOver().then(() => ended.push('b'));
  await vi.advanceTimersByTimeAsync(600);
  expect(ended.sort()).toEqual(['a', 'b']);
  expect(follower.did).toEqual({ claims: 0, opened: 0 });
});

test('an owner that ends hands over to one that goes on', async () => {
  const owner = join(cluster, 'a');
  await vi.advanceTimersByTimeAsync(1);
  const follower = join(cluster, 'b');
  await vi.advanceTimersByTimeAsync(1);
  const ended = owner.feeds.handOver();
  await vi.advanceTimersByTimeAsync(600);
  await ended;
  expect(owner.feed.owner).toBe('b');
  expect(follower.did.opened).toBe(1);
});

test('a topic whose owner releases it is taken over at once by who follows it', async () => {
  const owner = join(cluster, 'a');
  await vi.advanceTimersByTimeAsync(1);
  const details: string[] = [];
  const onStatus = ({ detail }: FeedStatus): void => void details.push(detail);
  const follower = join(cluster, 'b', { onStatus });
  await vi.advanceTimersByTimeAsync(300);
  owner.feed.close();
  await vi.advanceTimersByTimeAsync(50);
  expect(follower.feed.owner).toBeUndefined();
  expect(follower.did.opened).toBe(1);
  // Its owner lives.
  expect(details).toContain('Nobody holds this feed any more; this server takes over.');
  expect(follower.feeds.stats.takeovers.dead).toBe(1);
  expect(follower.feeds.stats.takeoverSeconds.dead.counts.every((count) => count === 0)).toBe(true);
});

test('a follower that hears late that an owner before had released the topic asks once whose it is', async () => {
  const owner = join(cluster, 'a');
  await vi.advanceTimersByTimeAsync(1);
  const follower = join(cluster, 'b');
  await vi.advanceTimersByTimeAsync(300);
  follower.did.claims = 0;
  follower.heard.listener?.owned(null);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(follower.did.claims).toBe(1);
  expect(follower.feed.owner).toBe('a');
  expect((await owner.server.claim(KEY)).granted).toBe(true);
});

test('a follower whose subscription begins after the answer to its claim asks again what the owner said last', async () => {
  join(cluster, 'a');
  await vi.advanceTimersByTimeAsync(1);
  const follower = join(cluster, 'b');
  await vi.advanceTimersByTimeAsync(1);
  const before = follower.did.claims;
  follower.heard.listener?.joined();
  expect(follower.did.claims).toBe(before + 1);
});

test('a follower whose subscription begins before the answer to its claim asks once more after it', async () => {
  join(cluster, 'a');
  await vi.advanceTimersByTimeAsync(1);
  const follower = join(cluster, 'b', { replyMs: 200 });
  await vi.advanceTimersByTimeAsync(100);
  expect(follower.did.claims).toBe(1);
  follower.heard.listener?.joined();
  await vi.advanceTimersByTimeAsync(150);
  expect(follower.did.claims).toBe(2);
  // And so does one that follows already.
  follower.heard.listener?.joined();
  await vi.advanceTimersByTimeAsync(100);
  expect(follower.did.claims).toBe(2);
  await vi.advanceTimersByTimeAsync(100);
  expect(follower.did.claims).toBe(3);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(follower.did.claims).toBe(3);
});

test('of what an owner told while a claim was asked and answered the latest is shown, and goes on to be', async () => {
  const owner = cluster.join('a');
  const claim = await owner.claim(KEY);
  const tell = (state: 'live' | 'reconnecting', at: number) =>
    owner.tell(KEY, claim.granted ? claim.fence : 0, {
      ...{ text: writeMessage({ kind: 'status', status: { state, detail: '', at } }), asStatus: true },
    });
  await tell('reconnecting', 1);
  const shown: string[] = [];
  const onStatus = ({ state }: FeedStatus): void => void shown.push(state);
  const { heard } = join(cluster, 'b', { replyMs: 200, onStatus });
  await vi.advanceTimersByTimeAsync(100);
  await tell('live', 2);
  await vi.advanceTimersByTimeAsync(200);
  expect(shown).toEqual(['live']);
  // Asks once more, and hears what comes next before the answer.
  heard.listener?.joined();
  await vi.advanceTimersByTimeAsync(100);
  await tell('reconnecting', 3);
  await vi.advanceTimersByTimeAsync(200);
  expect(shown).toEqual(['live', 'reconnecting']);
});

test.each([
  ['fed itself while the owner died', { isCut: true, publishes: [1] }, true],
  ['fed itself before the owner’s last trade', { isCut: true, publishes: [1, 7] }, false],
  ['followed the owner', { isCut: false, publishes: [1] }, false],
])(
  'a server takes over that %s: %o, and says that something may be missing: %s',
  async (_who, { isCut, publishes }, isLoss) => {
    const source: ItemSource = { via: 'feed', timed: true, receivedAt: Date.now() };
    const trade = (number: number): StreamItem => ({
      channel: 'trades',
      trades: [{ trade_id: String(number), timestamp: number, price: 1, amount: 1, side: 'buy' }],
    });
    const [dies, follows] = [cluster.join('a'), cluster.join('c')];
    const told: unknown[] = [];
    follows.subscribe(KEY, {
      heard: (text) => told.push(readMessage(text)?.kind),
      owned: () => undefined,
      joined: () => undefined,
    });
    const claim = await dies.claim(KEY);
    const fence = claim.granted ? claim.fence : 0;
    for (const number of publishes) {
      const id = `${fence}-${number}`;
      const text = writeMessage({ kind: 'item', id, previous: null, item: trade(number), source });
      await dies.publish(KEY, fence, { publications: [{ id, text }], keep: 10 });
    }
    const { server, feed, own } = join(cluster, 'b', { isCut });
    await vi.advanceTimersByTimeAsync(500);
    own.listener?.onItem(trade(5), source);
    dies.die();
    server.cutOff(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(feed.owner).toBeUndefined();
    own.listener?.onItem(trade(6), source);
    await vi.advanceTimersByTimeAsync(10);
    expect(told.filter((kind) => kind === 'item')).toHaveLength(publishes.length + 1);
    expect(told.includes('loss')).toBe(isLoss);
  },
);
