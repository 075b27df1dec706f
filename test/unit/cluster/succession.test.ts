/** What a server does about an owner that is not heard of any more. */
import { expect, test, vi } from 'vitest';
import type { TopicListener } from '../../../src/cluster/bus.js';
import { createSharedFeeds } from '../../../src/cluster/feeds/shared-feeds.js';
import { maySucceed } from '../../../src/cluster/feeds/succession.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import type { FeedRequest, FeedSources } from '../../../src/streams/feed/feed-source.js';
import { recordingLog } from '../../support/recording-log.js';
import { MemoryCluster, type MemoryServer } from '../../support/memory-bus.js';

const TOPICS = 50;

test('it asks once who survives, however many topics the dead server had', async () => {
  const cluster = new MemoryCluster();
  const owner = cluster.join('a');
  const joined = cluster.join('b');
  const survivors = vi.fn((dead: string) => joined.survivors(dead));
  const bus = Object.create(joined, { survivors: { value: survivors } }) as MemoryServer;
  const local = {
    open: () => ({
      status: { state: 'live', detail: '', at: 0 },
      reconnects: 0,
      start: vi.fn(),
      close: vi.fn(),
    }),
  } as unknown as FeedSources;
  const log = recordingLog();
  const feeds = createSharedFeeds({
    ...{ bus, local, venues: '', history: 10, historyBytes: 1_000, log },
    ...{ now: () => 0, monotonic: steadyNow, random: () => 0, timers: { after: () => () => undefined } },
  });
  const listener = {
    ...{ ready: false, onStatus: vi.fn(), onInterrupted: vi.fn() },
  } as unknown as FeedRequest['listener'];
  const opened = Array.from({ length: TOPICS }, (_each, at) => {
    const topic = { channel: 'trades', exchange: 'kraken', symbol: `S${at}/USD` } as const;
    return { feed: feeds.open({ topic, listener } as FeedRequest), key: `trades kraken  S${at}/USD` };
  });
  for (const { key } of opened) await owner.claim(key);
  for (const { feed } of opened) feed.start();
  await expect.poll(() => feeds.stats.followed).toBe(TOPICS);
  owner.die();
  feeds.start();
  await expect.poll(() => feeds.stats.leases).toBe(TOPICS);
  // A few moments may pass until the bus has answered all claims.
  expect(survivors.mock.calls.length).toBeLessThan(TOPICS / 5);
  feeds.close();
  for (const { feed } of opened) feed.close();
  // A log that is read slowly stops whoever writes a line for each of thousands.
  const message = 'took over feeds of another server';
  const taken = log.lines.map(({ details }) => details as { topics: number; examples: object[] });
  expect(log.lines.every((line) => line.message === message)).toBe(true);
  expect(taken.reduce((sum, { topics }) => sum + topics, 0)).toBe(TOPICS);
  expect(taken.length).toBeLessThan(TOPICS / 5);
  expect(taken[0]).toMatchObject({ because: 'dead', from: 'a', examples: { length: 3 } });
});

test.each([
  'the answer did not come',
  'neither answer nor announcement came',
  // As one that waited in the socket of an old connection.
  'another claim was answered',
] as const)(
  'what was granted is its own although %s: the owner before lives and follows it',
  async (missed) => {
    const cluster = new MemoryCluster();
    const owner = cluster.join('b');
    const bus = cluster.join('a');
    const key = 'trades kraken  BTC/USD';
    await owner.claim(key);
    const opened = vi.fn();
    const local = {
      open: () => ({
        status: { state: 'live', detail: '', at: 0 },
        reconnects: 0,
        start: opened,
        close: vi.fn(),
      }),
    } as unknown as FeedSources;
    const claim = bus.claim.bind(bus);
    const isSilent = vi.spyOn(bus, 'silentFor').mockReturnValue(5_000);
    const asked = vi.spyOn(bus, 'claim').mockImplementation(async (topic, overrule) => {
      if (overrule === undefined) return claim(topic);
      // Granted all the same: dead, by the clock of Redis.
      await claim(topic, { ...overrule, because: 'handover' });
      isSilent.mockReturnValue(0);
      if (missed === 'another claim was answered')
        return { granted: false, owner: overrule.owner, status: null, fences: [] };
      throw new Error('The answer did not come.');
    });
    if (missed === 'neither answer nor announcement came') {
      const subscribe = bus.subscribe.bind(bus);
      vi.spyOn(bus, 'subscribe').mockImplementation((topic, heard) =>
        subscribe(topic, Object.create(heard, { owned: { value: vi.fn() } }) as TopicListener),
      );
    }
    const feeds = createSharedFeeds({
      ...{ bus, local, venues: '', history: 10, historyBytes: 1_000, log: silentLog },
      ...{ now: () => 0, monotonic: steadyNow, random: () => 0, timers: { after: () => () => undefined } },
    });
    const listener = { ready: false, onStatus: vi.fn(), onInterrupted: vi.fn() };
    const topic = { channel: 'trades', exchange: 'kraken', symbol: 'BTC/USD' };
    const feed = feeds.open({ topic, listener } as unknown as FeedRequest);
    feed.start();
    await expect.poll(() => feed.owner).toBe('b');
    feeds.start();
    await expect.poll(() => feeds.stats.leases).toBe(1);
    expect(opened).toHaveBeenCalledTimes(1);
    expect(asked.mock.lastCall).toEqual([key, undefined]);
    feeds.close();
    feed.close();
  },
);

test('those who survive claim one after the other, in an order that differs by topic', () => {
  const after =
    (leaseMs: number) =>
    (own: string, silent: number, topic: string): boolean =>
      maySucceed(
        topic,
        { server: 'dead', fence: 1 },
        {
          ...{ at: 0, isIn: true, isAway: false, mayReturn: true, leases: 1, leaseMs },
          ...{ silentFor: () => silent, survivors: () => ({ own, ids: ['a', 'b', 'c'] }) },
        },
      );
  const at = after(1_200);
  const firsts = Array.from({ length: 60 }, (_each, index) => {
    const topic = `t${index}`;
    for (const own of ['a', 'b', 'c']) {
      expect(at(own, 1_200, topic)).toBe(false);
      expect(at(own, 1_701, topic)).toBe(true);
      expect(after(4_000)(own, 4_000, topic)).toBe(false);
      expect(after(4_000)(own, 4_501, topic)).toBe(true);
    }
    const first = ['a', 'b', 'c'].filter((own) => at(own, 1_201, topic));
    expect(first).toHaveLength(1);
    expect(['a', 'b', 'c'].filter((own) => at(own, 1_451, topic))).toHaveLength(2);
    return first[0];
  });
  expect(new Set(firsts)).toEqual(new Set(['a', 'b', 'c']));
});
