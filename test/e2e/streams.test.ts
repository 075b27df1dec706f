import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import type { z } from 'zod';
import { symbolReply } from '../../src/schemas/stream-protocol.js';
import {
  ohlcvEvent,
  orderBookEvent,
  statusEvent,
  tickerEvent,
  tradesEvent,
} from '../../src/schemas/stream.js';
import { extent } from '../support/extent.js';
import {
  openMany,
  readSse,
  readWs,
  sseHead,
  stall,
  startRig,
  wsHead,
  type Reader,
  type Rig,
} from './streams-rig.js';

const EVERY_TICK = 'exchange=binance&symbol=BTC/USDT&threshold=0';
/** Of each kind; in the long form as many as the product promises in one go. */
const CLIENTS = extent({ short: 200, long: 2000 });
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
const LINGER_S = 1;
/** The goals are 13 and 15 kB after a collection; here nobody collects, so this catches gross faults only. */
const MAX_BYTES_PER_CLIENT = 60_000;
/** Garbage of the start that nobody has collected yet, however many clients there are. */
const START_BYTES = 60_000_000;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ STREAM_LINGER: String(LINGER_S), STREAM_MAX_CONNECTIONS: '10000' });
});
afterAll(() => rig.close());

const tickRate = (perSecond: number): void =>
  rig.sandbox.control.setTickRate(perSecond, { venue: 'binance', symbol: 'BTC/USDT' });

/** The channels of all open sockets to the venue. */
const upstreamChannels = (): string[] =>
  rig.sandbox.control.listSockets().flatMap(({ channels }) => channels);

const received = (readers: Reader[]): number => readers.reduce((sum, { tickers }) => sum + tickers.length, 0);

/** Forgets the first events, which differ by when a reader came, once the standing market has no more of them. */
const settle = async (readers: Reader[]): Promise<void> => {
  let before = 0;
  while (before !== received(readers)) {
    before = received(readers);
    await pause(1000);
  }
  for (const reader of readers) reader.tickers.length = reader.times.length = 0;
};

/** Lets the market tick for a while, then waits until every reader has as many tickers as the others. */
const tick = async (readers: Reader[], duration: number): Promise<void> => {
  tickRate(10);
  await pause(duration);
  tickRate(0);
  const counts = (): number[] => [...new Set(readers.map(({ tickers }) => tickers.length))];
  await expect.poll(counts, { timeout: 20_000, interval: 500 }).toHaveLength(1);
};

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

test(`${2 * CLIENTS} clients of one symbol: one upstream subscription, every event once and in order, then no upstream at all`, async () => {
  const before = await rig.residentBytes();
  const readers = [
    ...(await openMany(CLIENTS, () => readSse(rig.port, EVERY_TICK))),
    ...(await openMany(CLIENTS, () => readWs(rig.port, EVERY_TICK))),
  ];
  expect((await rig.residentBytes()) - before).toBeLessThan(START_BYTES + 2 * CLIENTS * MAX_BYTES_PER_CLIENT);
  // /metrics is rendered once a second.
  await expect.poll(() => rig.metric('stream_clients'), { timeout: 20_000 }).toBe(2 * CLIENTS);

  await settle(readers);
  await tick(readers, 3000);
  const [reference] = readers;
  expect(reference!.tickers.length).toBeGreaterThan(10);
  expect(new Set(reference!.tickers).size).toBe(reference!.tickers.length);
  const times = reference!.tickers.map((json) => (JSON.parse(json) as { timestamp: number }).timestamp);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  const different = readers.filter(({ tickers }) => tickers.join('\n') !== reference!.tickers.join('\n'));
  expect(different).toHaveLength(0);
  expect(upstreamChannels()).toHaveLength(1);
  expect(await rig.metric('stream_events_conflated_total')).toBe(0);

  for (const reader of readers) reader.close();
  await expect.poll(() => rig.metric('stream_clients'), { timeout: 20_000 }).toBe(0);
  await expect.poll(upstreamChannels, { timeout: LINGER_S * 1000 + 10_000 }).toEqual([]);
});

test('stalled readers among others are dropped and counted, and delay nobody', async () => {
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

test('/ws serves all four channels side by side, and every message is what its schema says', async () => {
  rig.sandbox.control.setTickRate(10);
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/ws`);
  const seen = new Map<string, unknown[]>();
  socket.on('message', (data) => {
    const message = JSON.parse((data as Buffer).toString()) as { event_type: string };
    seen.set(message.event_type, [...(seen.get(message.event_type) ?? []), message]);
  });
  await once(socket, 'open');
  for (const params of [
    { channel: 'ticker', threshold: 0 },
    { channel: 'trades' },
    { channel: 'orderbook' },
    { channel: 'ohlcv', interval: '1m' },
  ])
    socket.send(
      JSON.stringify({
        method: 'subscribe',
        params: { ...params, exchange: 'binance', symbol: ['ETH/USDT'] },
      }),
    );
  const schemas: Record<string, z.ZodType> = {
    reply: symbolReply,
    ticker: tickerEvent,
    trades: tradesEvent,
    orderbook: orderBookEvent,
    ohlcv: ohlcvEvent,
    status: statusEvent,
  };
  const enough = (): boolean => Object.keys(schemas).every((type) => (seen.get(type)?.length ?? 0) >= 3);
  await expect.poll(enough, { timeout: 30_000 }).toBe(true);
  socket.terminate();
  tickRate(0);
  rig.sandbox.control.setTickRate(0);
  for (const [type, schema] of Object.entries(schemas))
    for (const message of seen.get(type) ?? []) expect(schema.safeParse(message).error).toBeUndefined();
  expect(seen.get('reply')).toHaveLength(4);
  expect(seen.has('error')).toBe(false);
});

test('a termination ends event streams, closes WebSockets with 1012, and exits with 0', async () => {
  const own = await startRig();
  const readers = [await readSse(own.port, EVERY_TICK), await readWs(own.port, EVERY_TICK)];
  const exit = new Promise((resolve) => own.process.once('exit', resolve));
  own.process.kill('SIGTERM');
  expect(await Promise.all(readers.map(({ closed }) => closed))).toEqual([0, 1012]);
  expect(await exit).toBe(0);
  await own.close();
});
