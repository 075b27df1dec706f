import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_SOCKET_BYTES } from '../../../src/streams/clients/limits.js';
import { createSharedEvent } from '../../../src/streams/events.js';
import { tradesEvent } from '../../support/fake-hub.js';
import { connectWs, openSse, startStreamApp, type StreamApp } from './stream-app.js';

const SSE_PATH = '/v1/stream/ticker?exchange=binance&symbol=BTC/USDT';
const WS_PATH = '/ws/ticker?exchange=binance&symbol=BTC/USDT';
/** Large enough to fill the kernel's buffers of a loopback socket soon. */
const FILLER = 'x'.repeat(50_000);
/** The kernel swallows about 6 MB a socket; ten times that is a generous end of patience. */
const MANY = 1200;

let server: StreamApp;
beforeEach(async () => {
  server = await startStreamApp();
});
afterEach(() => server.close());

const book = (last: number) =>
  createSharedEvent({
    type: 'orderbook',
    conflationKey: 'orderbook',
    json: JSON.stringify({ event_type: 'orderbook', last, filler: FILLER }),
  });

/** Sends events, one a turn, until `enough`; returns the number of the last one. */
const sendUntil = async (enough: () => boolean, onTurn: (last: number) => Promise<void>): Promise<number> => {
  for (let last = 1; last <= MANY; last += 1) {
    server.hub.send(book(last));
    await turn();
    await onTurn(last);
    if (enough()) return last;
  }
  throw new Error('No reader ever turned slow.');
};

test('a stalled event stream is conflated and brought up to date, while another client gets every event', async () => {
  const stalled = await openSse(server.port, SSE_PATH);
  const neighbour = await openSse(server.port, SSE_PATH);
  stalled.pause();
  const last = await sendUntil(
    () => server.connections.stats().conflated >= 50,
    (sent) => neighbour.until((c) => c.whole() >= sent),
  );
  expect(neighbour.whole()).toBe(last);
  expect(neighbour.events().map((event) => event['last'])).toEqual(
    Array.from({ length: last }, (_, i) => i + 1),
  );
  stalled.resume();
  await stalled.until((c) => c.whole() >= last - server.connections.stats().conflated);
  const got = stalled.events().map((event) => Number(event['last']));
  expect(got.at(-1)).toBe(last);
  expect(got).toEqual([...new Set(got)].sort((a, b) => a - b));
  expect(got.length).toBe(last - server.connections.stats().conflated);
});

test('a stalled WebSocket gets every trade or is told how many it lost', async () => {
  const client = await connectWs(server.port, '/ws');
  client.send({
    method: 'subscribe',
    params: { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' },
  });
  await client.until((messages) => messages.length === 1);
  client.socket.pause();
  let sent = 0;
  while (server.connections.stats().lost < 100 && sent < MANY * 10) {
    for (let i = 0; i < 10; i += 1) server.hub.send(tradesEvent([`${sent++}-${FILLER}`]));
    await turn();
  }
  client.socket.resume();
  await client.until((messages) => messages.at(-1)?.['event_type'] === 'lost');
  server.hub.send(tradesEvent(['end']));
  await client.until((messages) => messages.at(-1)?.['event_type'] === 'trades');
  const lost = client.messages.filter(({ event_type }) => event_type === 'lost');
  const got = client.messages.filter(({ event_type }) => event_type === 'trades');
  expect(lost.reduce((sum, { count }) => sum + Number(count), 0) + got.length).toBe(sent + 1);
  expect(lost[0]).toMatchObject({ channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' });
});

test('stalled readers hold a bounded number of bytes in this process', async () => {
  const sockets: Socket[] = [];
  server.app.server.on('connection', (socket: Socket) => sockets.push(socket));
  const client = await connectWs(server.port, WS_PATH);
  const stream = await openSse(server.port, SSE_PATH);
  client.socket.pause();
  stream.pause();
  await sendUntil(
    () => server.connections.stats().conflated >= 200,
    () => Promise.resolve(),
  );
  const unsent = sockets.map(({ writableLength }) => writableLength);
  expect(Math.min(...unsent)).toBeGreaterThan(0);
  expect(Math.max(...unsent)).toBeLessThanOrEqual(MAX_SOCKET_BYTES + FILLER.length + 200);
  client.socket.terminate();
  stream.destroy();
});
