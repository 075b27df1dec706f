import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { healthEvent } from '../../../src/schemas/stream.js';
import { healthReply, listReply } from '../../../src/schemas/stream-protocol.js';
import { startTestApp, type TestApp } from '../../support/app.js';

let server: TestApp;
let socket: WebSocket;
afterEach(async () => {
  socket.terminate();
  await server.app.close();
});

const HEALTH = { channel: 'health' };

const connect = async (): Promise<Record<string, unknown>[]> => {
  server = await startTestApp();
  await server.app.listen({ port: 0, host: '127.0.0.1' });
  socket = new WebSocket(`ws://127.0.0.1:${(server.app.server.address() as AddressInfo).port}/ws`);
  const messages: Record<string, unknown>[] = [];
  socket.on('message', (data) => messages.push(JSON.parse((data as Buffer).toString())));
  await once(socket, 'open');
  return messages;
};
const say = (method: string, params?: object, req_id = 1): void =>
  socket.send(JSON.stringify({ method, params, req_id }));

test('the health channel answers, and sends the body of /v1/status at once', async () => {
  const messages = await connect();
  say('subscribe', HEALTH);
  await expect.poll(() => messages.length).toBe(2);
  expect(messages[0]).toEqual({
    event_type: 'reply',
    method: 'subscribe',
    req_id: 1,
    success: true,
    ...HEALTH,
  });
  expect(healthReply.safeParse(messages[0]).success).toBe(true);
  const { event_type, uptime, ...told } = messages[1]!;
  expect(event_type).toBe('health');
  expect(healthEvent.safeParse(messages[1]).success).toBe(true);
  const { uptime: later, ...status } = (await server.app.inject('/v1/status')).json<
    Record<string, unknown>
  >();
  expect(told).toEqual(status);
  expect(later).toBeGreaterThanOrEqual(uptime as number);
});

test('asked for twice it is there once; it is listed, and ended by unsubscribe', async () => {
  const messages = await connect();
  say('subscribe', HEALTH, 1);
  say('subscribe', HEALTH, 2);
  say('list', undefined, 3);
  say('unsubscribe', HEALTH, 4);
  say('list', undefined, 5);
  await expect.poll(() => messages.length).toBe(6);
  expect(messages.filter(({ event_type }) => event_type === 'health')).toHaveLength(1);
  const listed = messages.filter(({ method }) => method === 'list');
  expect(listed.map(({ subscriptions }) => subscriptions)).toEqual([[HEALTH], []]);
  expect(listed.every((reply) => listReply.safeParse(reply).success)).toBe(true);
});

test('it is of no market: a symbol is refused', async () => {
  const messages = await connect();
  say('subscribe', { ...HEALTH, exchange: 'binance', symbol: 'BTC/USDT' });
  await expect.poll(() => messages.length).toBe(1);
  expect(messages[0]).toMatchObject({ event_type: 'error', code: 'invalid_request', req_id: 1 });
});
