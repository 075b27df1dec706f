import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestApp, type TestApp } from '../../support/app.js';

let rig: TestApp;
let socket: WebSocket;
afterEach(async () => {
  socket.terminate();
  await rig.app.close();
});

const open = async (): Promise<void> => {
  rig = await startTestApp({ CLIENT_RATE_LIMIT_REQUESTS: '10', CLIENT_RATE_LIMIT_WINDOW: '60' });
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  socket = new WebSocket(`ws://127.0.0.1:${(rig.app.server.address() as AddressInfo).port}/ws`);
  await once(socket, 'open');
};

/** The first message about request `req_id`. */
const answerTo = async (req_id: number, symbol: readonly string[]): Promise<unknown> => {
  const params = { channel: 'ticker', exchange: 'binance', symbol };
  socket.send(JSON.stringify({ method: 'subscribe', params, req_id }));
  for (;;) {
    const [data] = (await once(socket, 'message')) as [Buffer];
    const message = JSON.parse(data.toString()) as { req_id?: number };
    if (message.req_id === req_id) return message;
  }
};

test('each symbol that a /ws client subscribes to counts as a request against the client limit', async () => {
  await open();
  expect(await answerTo(1, ['BTC/USDT', 'ETH/USDT'])).toMatchObject({ event_type: 'reply' });
  // The upgrade was one, these were two.
  const answer = await fetch(socket.url.replace('ws:', 'http:').replace('/ws', '/v1/exchanges'));
  expect(answer.headers.get('x-ratelimit-remaining')).toBe('6');
});

test('more symbols than the client limit has left are refused without asking an exchange', async () => {
  await open();
  const symbols = Array.from({ length: 20 }, (_, i) => `C${i}/USDT`);
  expect(await answerTo(1, symbols)).toMatchObject({
    event_type: 'error',
    code: 'client_rate_limited',
    status: 429,
    req_id: 1,
  });
  expect(rig.venue.fetched).toHaveLength(0);
  const answer = await fetch(socket.url.replace('ws:', 'http:').replace('/ws', '/v1/exchanges'));
  expect(answer.status).toBe(429);
});
