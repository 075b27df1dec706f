// A day of use, by count and with a clock that jumps: whatever was opened for it is closed again in the end.
import { setTimeout as pause } from 'node:timers/promises';
import { Agent } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSoakRig, until, type Reading, type SoakRig, type ThreadReading } from './soak-rig.js';
import { cycle, Tally } from './soak-traffic.js';

/** Of eight hours each; one more goes before them, to load and to fill what is filled but once. */
const CYCLES = 3;
const CYCLE_MS = 28_800_000;
const MB = 1_048_576;
/** By how much a thread's heap may be larger after a day, and after a cycle that was like the one before. */
const MAX_GROWTH = 3 * MB;
const MAX_GROWTH_OF_LAST_CYCLE = MB;
/** Far more than anything takes to end by itself: linger, refreshes behind stale answers. */
const SETTLED_WITHIN_MS = 30_000;
/** Further readings of a heap that has grown, and the pause before each. */
const HEAP_READINGS = 20;
const HEAP_PAUSE_MS = 250;

let rig: SoakRig;
beforeAll(async () => {
  rig = await startSoakRig();
});
afterAll(() => rig.close());

const NOTHING_UNDER_WAY = [
  'stream_topics',
  'stream_clients',
  'stream_subscriptions',
  'worker_watches',
  'worker_calls_in_flight',
  'market_flights',
];

/** Nothing is under way, and the connections of this test are gone. */
const quiet = async (): Promise<void> => {
  for (const name of NOTHING_UNDER_WAY)
    await until(`${name} is 0`, async () => (await rig.metric(name)) === 0);
  // The one that asks is one of them.
  await until('no other request is answered', async () => (await rig.metric('http_requests_in_flight')) <= 1);
  await rig.agent.close();
  rig.agent = new Agent({ connections: 32 });
};

/** With the connections gone that are kept alive for the next call to a venue: they end by themselves, but not soon. */
const readIdle = async (): Promise<Reading> => {
  await rig.dropIdle();
  return rig.read();
};

const threadsOf = ({ main, workers }: Reading) => [main, ...workers];

/** All that is counted, by a name such as `binance handles tcp`. */
const openOf = (reading: Reading): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = { threads: reading.threads };
  const add = (what: string, of: Readonly<Record<string, number>>): void => {
    for (const [kind, count] of Object.entries(of)) counts[`${what} ${kind}`] = count;
  };
  add('descriptors', reading.descriptors);
  for (const { thread, handles, resources, timers } of threadsOf(reading)) {
    add(`${thread} handles`, handles);
    add(`${thread} resources`, resources);
    counts[`${thread} timers`] = timers;
  }
  return counts;
};

/** What there is more of than there was. */
const leftOpen = (reading: Reading, start: Reading): Readonly<Record<string, string>> => {
  const before = openOf(start);
  return Object.fromEntries(
    Object.entries(openOf(reading)).flatMap(([what, count]) => {
      const was = before[what] ?? 0;
      return count > was ? [[what, `${was} -> ${count}`]] : [];
    }),
  );
};

/**
 * What a thread does just then, such as a list of markets that it refreshes, is none of its growth and gone in one of the
 * next readings, which a leak is not: of some readings the least heap of each thread, the first where nothing grew.
 */
const leastHeaps = async (before: Reading): Promise<Reading> => {
  let least = await rig.read();
  for (let i = 0; i < HEAP_READINGS && mostGrown(least, before) >= MAX_GROWTH_OF_LAST_CYCLE; i += 1) {
    await pause(HEAP_PAUSE_MS);
    const next = await rig.read();
    const smaller = (one: ThreadReading, other: ThreadReading | undefined): ThreadReading =>
      other !== undefined && other.heapBytes < one.heapBytes ? other : one;
    least = {
      ...next,
      main: smaller(next.main, least.main),
      workers: next.workers.map((worker, place) => smaller(worker, least.workers[place])),
    };
  }
  return least;
};

const mostGrown = (reading: Reading, before: Reading): number =>
  Math.max(
    ...threadsOf(reading).map(
      ({ heapBytes }, place) => heapBytes - (threadsOf(before)[place]?.heapBytes ?? NaN),
    ),
  );

const inMb = (bytes: number): string => (bytes / MB).toFixed(1);

test(`${CYCLES * 8} hours of use leave handles, sockets, timers, threads and heap where they started`, async () => {
  const tally = new Tally();
  const traffic = { rig, tally };
  await cycle(traffic, 0);
  await quiet();
  let start = await readIdle();
  await until('no worker has a socket or a timer for a call any more', async () => {
    const before = JSON.stringify(openOf(start));
    start = await readIdle();
    return (
      start.workers.every(({ handles }) => !('tcp' in handles)) && JSON.stringify(openOf(start)) === before
    );
  });
  const readings = [start];
  const startedAt = rig.passedMs();

  for (let i = 1; i <= CYCLES; i += 1) {
    await cycle(traffic, i);
    await quiet();
    const left = async () => leftOpen(await readIdle(), start);
    await expect.poll(left, { timeout: SETTLED_WITHIN_MS, interval: 200 }).toEqual({});
    readings.push(await leastHeaps(readings.at(-1)!));
  }

  console.log(JSON.stringify(tally.counts));
  console.log(JSON.stringify(openOf(start)));
  expect(rig.passedMs() - startedAt).toBe(CYCLES * CYCLE_MS);
  for (const [place, { thread }] of threadsOf(start).entries()) {
    const heaps = readings.map((reading) => threadsOf(reading)[place]?.heapBytes ?? NaN);
    const [first = NaN, last = NaN, lastButOne = NaN] = [heaps[0], heaps.at(-1), heaps.at(-2)];
    console.log(`heap of ${thread} after each cycle, MB: ${heaps.map(inMb).join(', ')}`);
    expect(last - first, `${thread}: growth since the start`).toBeLessThan(MAX_GROWTH);
    expect(last - lastButOne, `${thread}: growth in the last cycle`).toBeLessThan(MAX_GROWTH_OF_LAST_CYCLE);
  }
}, 600_000);
