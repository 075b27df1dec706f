/** What a server concludes from what it did not hear: nothing where it stood still itself, or the bus was late once. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Claims } from '../../../src/cluster/feeds/claims.js';
import type { SharedFeedParts } from '../../../src/cluster/feeds/feed-parts.js';
import { createSharedFeeds } from '../../../src/cluster/feeds/shared-feeds.js';
import { silentLog } from '../../../src/log/log.js';
import type { FeedRequest, FeedSources } from '../../../src/streams/feed/feed-source.js';
import { MemoryCluster, type MemoryServer } from '../../support/memory-bus.js';

const KEY = 'trades kraken  BTC/USD';
const request = {
  topic: { channel: 'trades', exchange: 'kraken', symbol: 'BTC/USD' },
  listener: { ready: true, onStatus: () => undefined, onInterrupted: () => undefined },
} as unknown as FeedRequest;

let now = 0;
beforeEach(() => {
  now = 0;
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});
afterEach(() => vi.useRealTimers());

/** The checks of so much time; what they set off has settled. */
const pass = async (ms: number): Promise<void> => {
  for (let left = ms; left > 0; left -= 100) {
    now += 100;
    await vi.advanceTimersByTimeAsync(100);
  }
};

const serve = (bus: MemoryServer) => {
  let opened = 0;
  const local = {
    open: () => {
      opened += 1;
      return { status: { state: 'live', detail: '', at: 0 }, reconnects: 0, start: vi.fn(), close: vi.fn() };
    },
  } as unknown as FeedSources;
  const feeds = createSharedFeeds({
    ...{ bus, local, venues: '', history: 10, historyBytes: 1_000, log: silentLog },
    ...{ now: () => now, monotonic: () => now, random: () => 0, timers: { after: () => () => undefined } },
  });
  feeds.start();
  return { feeds, feed: feeds.open(request), opened: () => opened };
};

const follow = async () => {
  const cluster = new MemoryCluster();
  const owner = cluster.join('a');
  await owner.claim(KEY);
  const bus = cluster.join('b');
  const served = serve(bus);
  served.feed.start();
  await pass(300);
  expect(served.feeds.stats.followed).toBe(1);
  return { ...served, bus, owner };
};

test('a server that stood still does not open its feeds for what it did not hear meanwhile', async () => {
  const { bus, feeds, opened } = await follow();
  bus.cutOff(true);
  now += 1_500;
  await pass(100);
  // Its next beat is answered.
  await pass(300);
  bus.cutOff(false);
  await pass(1_000);
  expect(opened()).toBe(0);
  expect(feeds.stats.followed).toBe(1);
  feeds.close();
});

test('it opens them soon where the bus is away all the same, and in time though it stands still again and again', async () => {
  const once = await follow();
  once.bus.cutOff(true);
  now += 1_500;
  await pass(700);
  expect(once.opened()).toBe(1);
  expect(once.feeds.stats.unshared).toBe(1);
  once.feeds.close();

  const often = await follow();
  often.bus.cutOff(true);
  for (let stalls = 0; stalls < 10; stalls += 1) {
    now += 400;
    await pass(100);
  }
  expect(often.opened()).toBe(1);
  often.feeds.close();
});

test('it waits for the bus after a stall of whatever length', async () => {
  const { bus, feeds, opened } = await follow();
  bus.cutOff(true);
  now += 10_000;
  await pass(400);
  bus.cutOff(false);
  await pass(500);
  expect(opened()).toBe(0);
  feeds.close();
});

test('it takes over also where it is late all the time', async () => {
  const { owner, feeds } = await follow();
  owner.die();
  for (let late = 0; late < 5; late += 1) {
    now += 400;
    await pass(100);
  }
  expect(feeds.stats.leases).toBe(1);
  feeds.close();
});

test('it takes no owner for dead whose messages it has not read yet', async () => {
  const { bus, owner, feeds } = await follow();
  const claim = vi.spyOn(bus, 'claim');
  const silentFor = vi.spyOn(bus, 'silentFor').mockReturnValue(2_000);
  now += 2_000;
  await pass(100);
  silentFor.mockReturnValue(0);
  await pass(300);
  expect(claim).not.toHaveBeenCalled();
  owner.die();
  silentFor.mockReturnValue(2_000);
  await pass(300);
  expect(feeds.stats.leases).toBe(1);
  feeds.close();
});

test('after a short absence it shares again as soon, after another one only once the bus has stayed for four seconds', async () => {
  const { bus, feeds } = await follow();
  bus.cutOff(true);
  await pass(1_000);
  expect(feeds.stats.unshared).toBe(1);
  bus.cutOff(false);
  await pass(900);
  expect(feeds.stats.unshared).toBe(1);
  await pass(500);
  expect(feeds.stats.followed).toBe(1);

  bus.cutOff(true);
  await pass(1_000);
  bus.cutOff(false);
  await pass(3_800);
  expect(feeds.stats.unshared).toBe(1);
  await pass(600);
  expect(feeds.stats.followed).toBe(1);

  await pass(60_000);
  bus.cutOff(true);
  await pass(30_000);
  bus.cutOff(false);
  await pass(3_800);
  expect(feeds.stats.unshared).toBe(1);
  await pass(600);
  expect(feeds.stats.followed).toBe(1);
  feeds.close();
});

test('a claim that is not answered is made again, and only after a second of them the server feeds itself', async () => {
  for (const [failing, expected] of [
    [4, 'owned'],
    [5, 'alone'],
  ] as const) {
    const bus = new MemoryCluster().join('a');
    const claims = vi.spyOn(bus, 'claim');
    for (let i = 0; i < failing; i += 1) claims.mockRejectedValueOnce(new Error('late'));
    const { feed, feeds } = serve(bus);
    feed.start();
    let wasAlone = false;
    for (let checks = 0; checks < 20; checks += 1) {
      await pass(100);
      wasAlone ||= feeds.stats.unshared === 1;
    }
    expect(wasAlone).toBe(expected === 'alone');
    expect(feeds.stats.leases).toBe(1);
    feed.close();
    feeds.close();
  }
});

test('claims that failed for an owner before do not count against those of a topic that is open again', async () => {
  const failing: number[] = [];
  const bus = { claim: () => Promise.reject(new Error('late')) };
  const unsettled = vi.fn();
  const parts = { bus, key: KEY, monotonic: () => now, unsettled } as unknown as SharedFeedParts;
  const claims = new Claims(parts, {
    onAnswer: () => Promise.resolve(),
    onFailure: (failingFor) => failing.push(failingFor),
    isFollowing: () => false,
  });
  await claims.ask();
  now += 600;
  await claims.ask();
  now += 10_000;
  claims.askAtOnce();
  await expect.poll(() => failing).toEqual([0, 600, 0]);
  expect(unsettled).toHaveBeenCalledTimes(3);
});
