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
import { extent } from '../support/extent.js';
import {
  EVERY_TICK,
  openMany,
  readSse,
  readWs,
  settle,
  startRig,
  type Reader,
  type Rig,
} from './streams-rig.js';

/** Of each kind; in the long form as many as the product promises in one go. */
const CLIENTS = extent({ short: 200, long: 2000 });
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

/** Lets the market tick for a while, then waits until every reader has as many tickers as the others. */
const tick = async (readers: Reader[], duration: number): Promise<void> => {
  tickRate(10);
  await pause(duration);
  tickRate(0);
  const counts = (): number[] => [...new Set(readers.map(({ tickers }) => tickers.length))];
  await expect.poll(counts, { timeout: 20_000, interval: 500 }).toHaveLength(1);
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
