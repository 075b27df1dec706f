import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
import { openMany, readSse, readWs, stall, startRig, type Reader, type Rig } from './streams-rig.js';

const EVERY_TICK = 'exchange=binance&symbol=BTC/USDT&threshold=0';
/** As many of each kind as the product promises in one go. */
const CLIENTS = 2000;
const STALLED = 100;
const LINGER_S = 1;
/** The goals are 13 and 15 kB after a collection; here nobody collects, so this catches gross faults only. */
const MAX_BYTES_PER_CLIENT = 60_000;

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

/** The q-th quantile of the time from the first reader's receipt of an event to each other's, ms. */
const spread = (readers: Reader[], q: number): number => {
  const events = readers[0]!.times.length;
  const delays: number[] = [];
  for (let i = 0; i < events; i += 1) {
    const first = Math.min(...readers.map(({ times }) => times[i] ?? Infinity));
    for (const { times } of readers) delays.push((times[i] ?? Infinity) - first);
  }
  delays.sort((a, b) => a - b);
  return delays[Math.floor(delays.length * q)] ?? NaN;
};

test('4000 clients of one symbol: one upstream subscription, every event once and in order, then no upstream at all', async () => {
  const before = await rig.residentBytes();
  const readers = [
    ...(await openMany(CLIENTS, () => readSse(rig.port, EVERY_TICK))),
    ...(await openMany(CLIENTS, () => readWs(rig.port, EVERY_TICK))),
  ];
  expect((await rig.residentBytes()) - before).toBeLessThan(2 * CLIENTS * MAX_BYTES_PER_CLIENT);
  expect(await rig.metric('stream_clients')).toBe(2 * CLIENTS);

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
    ...(await openMany(200, () => readSse(rig.port, EVERY_TICK))),
    ...(await openMany(200, () => readWs(rig.port, EVERY_TICK))),
  ];
  await settle(readers);
  await tick(readers, 1500);
  const alone = spread(readers, 0.99);

  const stalled = await openMany(STALLED, () => stall(rig.port, EVERY_TICK));
  const gone = Promise.all(stalled.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  await settle(readers);
  const before = await rig.residentBytes();
  await tick(readers, 3000);
  // Generous: the machine's noise is larger than anything that a stalled reader could cost.
  expect(spread(readers, 0.99)).toBeLessThan(Math.max(250, alone * 5));
  tickRate(5);
  await expect
    .poll(() => rig.metric('stream_clients_dropped_total'), { timeout: 40_000, interval: 500 })
    .toBe(STALLED);
  tickRate(0);
  expect((await rig.residentBytes()) - before).toBeLessThan(50_000_000);
  await expect.poll(() => rig.metric('stream_clients'), { timeout: 20_000 }).toBe(readers.length);
  for (const socket of stalled) socket.resume();
  await gone;
  for (const reader of readers) reader.close();
});

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
