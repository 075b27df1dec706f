/** The way of a topic's events to the bus: what it does while the bus is slow or away. */
import { expect, test } from 'vitest';
import type { Bus, Publication } from '../../../src/cluster/bus.js';
import { Publisher } from '../../../src/cluster/feeds/publisher.js';
import { PublishingRoom } from '../../../src/cluster/feeds/publishing-room.js';
import type { Timers } from '../../../src/lib/timers.js';

const MB = 1024 * 1024;

const rig = ({ isLatestOnly = false, keep = 100, room = new PublishingRoom(64 * MB) } = {}) => {
  const calls: { publications: readonly Publication[]; keep: number }[] = [];
  const answers: { resolve(holds: boolean): void; reject(error: Error): void }[] = [];
  const timers = new Set<() => void>();
  const counts = { published: 0, conflated: 0, dropped: 0 };
  let fenced = 0;
  const bus: Pick<Bus, 'publish' | 'isIn'> = {
    isIn: true,
    publish: (_topic, _fence, sent) => {
      calls.push(sent);
      return new Promise((resolve, reject) => answers.push({ resolve, reject }));
    },
  };
  const after: Timers['after'] = (_delay, run) => {
    timers.add(run);
    return () => timers.delete(run);
  };
  const publisher = new Publisher(
    {
      ...{ bus, topic: 't', fence: 1, keep, room, isLatestOnly, timers: { after } },
      onFenced: () => (fenced += 1),
      count: (outcome, events) => (counts[outcome] += events),
    },
    { acknowledged: null },
  );
  const sent = () => calls.map(({ publications }) => publications.map(({ id }) => id));
  return { publisher, room, calls, answers, timers, counts, sent, fenced: () => fenced };
};
const event = (seq: number, bytes = 10): Publication => ({ id: `1-${seq}`, text: 'x'.repeat(bytes) });
const settle = () => new Promise((resolve) => setImmediate(resolve));

test('of tickers that wait only the latest is sent, and those that it replaced are counted', async () => {
  const { publisher, answers, sent, counts } = rig({ isLatestOnly: true });
  for (const seq of [1, 2, 3, 4]) publisher.add(event(seq));
  answers[0]?.resolve(true);
  await settle();
  answers[1]?.resolve(true);
  await settle();
  expect(sent()).toEqual([['1-1'], ['1-4']]);
  expect(counts).toEqual({ published: 2, conflated: 2, dropped: 0 });
});

test('events of all topics that wait take 8 MB at most; the oldest of the topic that adds are given up', () => {
  const room = new PublishingRoom(64 * MB);
  const [one, other] = [rig({ room }), rig({ room })];
  for (let seq = 1; seq <= 12; seq++) one.publisher.add(event(seq, MB));
  expect(room.pendingBytes).toBeLessThanOrEqual(8 * MB);
  other.publisher.add(event(1, MB));
  other.publisher.add(event(2, MB));
  expect(room.pendingBytes).toBeLessThanOrEqual(9 * MB);
  expect(one.counts.dropped).toBe(4);
  expect(other.counts.dropped).toBe(1);
  one.publisher.end();
  other.publisher.end();
  expect(room.pendingBytes).toBe(0);
});

test('where all topics want more history than there is room for, each is kept shorter, and longer again later', async () => {
  const room = new PublishingRoom(100_000);
  const [one, other] = [rig({ room, keep: 100 }), rig({ room, keep: 100 })];
  const fill = async ({ publisher, answers }: ReturnType<typeof rig>) => {
    for (let seq = 1; seq <= 100; seq++) {
      publisher.add(event(seq, 1_000));
      answers.at(-1)?.resolve(true);
      await settle();
    }
  };
  await fill(one);
  expect(one.calls.at(-1)?.keep).toBe(100);
  await fill(other);
  expect(other.calls.at(-1)?.keep).toBe(50);
  one.publisher.end();
  other.publisher.add(event(101, 1_000));
  expect(other.calls.at(-1)?.keep).toBe(100);
});

test('what the bus did not take is sent again, unless the topic has ended', async () => {
  const { publisher, answers, timers, sent } = rig();
  publisher.add(event(1));
  answers[0]?.reject(new Error('no answer'));
  await settle();
  const [retry] = timers;
  retry?.();
  expect(sent()).toEqual([['1-1'], ['1-1']]);
  answers[1]?.reject(new Error('no answer'));
  await settle();
  publisher.end();
  expect([...timers].filter((timer) => timer !== retry)).toEqual([]);
  expect(sent()).toHaveLength(2);
});

test('a fence that does not hold is told once; what was not published is handed on', async () => {
  const { publisher, answers, fenced, sent } = rig();
  publisher.add(event(1));
  answers[0]?.resolve(false);
  await settle();
  publisher.add(event(2));
  expect(fenced()).toBe(1);
  expect(sent()).toHaveLength(1);
  expect(publisher.end().map(({ id }) => id)).toEqual(['1-1', '1-2']);
});
