/** What a server does with a topic whose feed another one holds. */
import { expect, test } from 'vitest';
import { createSharedFeeds } from '../../../src/cluster/feeds/shared-feeds.js';
import { writeMessage } from '../../../src/cluster/feeds/messages.js';
import { silentLog } from '../../../src/log/log.js';
import type {
  FeedRequest,
  FeedSource,
  FeedSources,
  FeedStatus,
} from '../../../src/streams/feed/feed-source.js';
import { createLocalFeeds } from '../../../src/streams/feed/local-feeds.js';
import { MemoryCluster } from '../../support/memory-bus.js';

const clocks = { log: silentLog, now: () => 0, monotonic: () => 0, random: () => 0 };
const request = {
  topic: { channel: 'trades', exchange: 'kraken', symbol: 'BTC/USD' },
  description: { watchable: ['trades'] },
  listener: { ready: false, onStatus: () => undefined, onInterrupted: () => undefined },
} as unknown as FeedRequest;

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

test('it shows what the owner tells of its feed, and once where a new owner repeats it', async () => {
  const cluster = new MemoryCluster();
  const shown: FeedStatus[] = [];
  const owner = cluster.join('a');
  const key = 'trades kraken  BTC/USD';
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
