import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { extent } from '../support/extent.js';
import {
  EVERY_TICK,
  openMany,
  readSse,
  readWs,
  settle,
  sseHead,
  stall,
  startRig,
  wsHead,
  type Reader,
  type Rig,
} from './streams-rig.js';

/** The others' number, the stalled ones' (half of each kind), and how fast their markets tick. */
const OTHERS = extent({ short: 190, long: 1900 });
const STALLED = extent({ short: 20, long: 100 });
const RATE = 5;
const BUSY_RATE = 100;
const ROUNDS = extent({ short: 1, long: 2 });
const CALM_MS = extent({ short: 2000, long: 5000 });
/** Of a machine that does other things as well. */
const NOISE_MS = 20;
/** 64 kB unsent and a backlog each make 10 MB; the rest is garbage that nobody has collected yet. */
const MAX_STALLED_BYTES = 100_000_000;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ STREAM_MAX_CONNECTIONS: '10000' });
});
afterAll(() => rig.close());

const tickRate = (perSecond: number): void =>
  rig.sandbox.control.setTickRate(perSecond, { venue: 'binance', symbol: 'BTC/USDT' });

/** The q-th quantile. */
const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? NaN;

/**
 * How late readers are: for each event the q-th quantile over the readers of the time from the first one's receipt,
 * and of these the median, so that a hiccup of the machine does not count. In ms.
 */
const lateness = (readers: readonly Reader[], q: number): number => {
  const events = Math.min(...readers.map(({ times }) => times.length));
  const late = Array.from({ length: events }, (_, event) => {
    const arrivals = readers.map(({ times }) => times[event] ?? Infinity);
    const first = Math.min(...arrivals);
    return quantile(
      arrivals.map((at) => at - first),
      q,
    );
  });
  return quantile(late, 0.5);
};

test('stalled readers among others are dropped and counted, and delay no other', async () => {
  const readers = [
    ...(await openMany(OTHERS / 2, () => readSse(rig.port, EVERY_TICK))),
    ...(await openMany(OTHERS / 2, () => readWs(rig.port, EVERY_TICK))),
  ];
  // Busy enough to fill a socket's buffers within seconds; the stalled event streams and a few healthy readers have it.
  const busy = 'exchange=binance&symbol=ETH/USDT&threshold=0';
  const company = await openMany(STALLED / 2, () => readSse(rig.port, busy));
  rig.sandbox.control.setTickRate(BUSY_RATE, { venue: 'binance', symbol: 'ETH/USDT' });
  await settle(readers);

  const calm: { p50: number; p99: number }[] = [];
  const measure = async (until: Promise<unknown>) => {
    for (const reader of readers) reader.tickers.length = reader.times.length = 0;
    tickRate(RATE);
    await until;
    tickRate(0);
    const counts = (): number => new Set(readers.map(({ times }) => times.length)).size;
    await expect.poll(counts, { timeout: 20_000, interval: 200 }).toBe(1);
    return { p50: lateness(readers, 0.5), p99: lateness(readers, 0.99) };
  };
  const droppedBefore = await rig.metric('stream_clients_dropped_total');
  const dropped = async () => (await rig.metric('stream_clients_dropped_total')) - droppedBefore;
  const stalls: { p50: number; p99: number }[] = [];
  let memory = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    calm.push(await measure(pause(CALM_MS)));
    const before = await rig.residentBytes();
    const stalled = [
      await stall(rig.port, STALLED / 2, sseHead(busy)),
      await stall(rig.port, STALLED / 2, wsHead(EVERY_TICK)),
    ];
    onTestFinished(() => stalled.forEach((child) => child.kill()));
    const allDropped = expect
      .poll(dropped, { timeout: 60_000, interval: 500 })
      .toBeGreaterThanOrEqual(round * STALLED);
    stalls.push(await measure(allDropped));
    memory = Math.max(memory, (await rig.residentBytes()) - before);
    expect(await dropped()).toBe(round * STALLED);
    for (const child of stalled) child.kill();
  }
  calm.push(await measure(pause(CALM_MS)));

  const told = (slices: typeof calm): string =>
    slices.map(({ p50, p99 }) => `${p50.toFixed(1)}/${p99.toFixed(1)}`).join(', ');
  console.info(
    `lateness of ${OTHERS} readers, p50/p99 in ms: calm ${told(calm)}; with ${STALLED} stalled ${told(stalls)}; ` +
      `dropped ${await dropped()}, memory at most ${(memory / 1e6).toFixed(1)} MB more`,
  );
  // What the stalled readers cost would be in each slice with them; what the machine does beside, only in some.
  const beside = Math.min(...stalls.map(({ p99 }) => p99));
  expect(beside).toBeLessThan(Math.max(...calm.map(({ p99 }) => p99)) * 2 + NOISE_MS);
  expect(memory).toBeLessThan(MAX_STALLED_BYTES);
  await expect
    .poll(() => rig.metric('stream_clients'), { timeout: 20_000 })
    .toBe(readers.length + company.length);
  for (const reader of [...readers, ...company]) reader.close();
}, 300_000);
