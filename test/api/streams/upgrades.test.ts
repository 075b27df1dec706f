import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAnswers } from '../../../src/http/requests/answer-record.js';
import { addWebSockets } from '../../../src/http/streams/websocket.js';
import { rawExchange } from './stream-app.js';

/** What Java's HttpClient and `curl --http2` send with their first request over plain HTTP. */
const OFFER = [
  'Host: x',
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAAQAAP__',
];
const PLAIN_GET = 'GET /plain?n=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

let app: FastifyInstance;

beforeAll(async () => {
  app = Fastify();
  addAnswers(app);
  await addWebSockets(app, {
    connections: { close: () => Promise.resolve() },
    requestId: () => 'refused',
  });
  app.get('/plain', ({ query, headers }) => ({ query, headers }));
  app.post('/plain', ({ body }) => ({ body }));
  await app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => app.close());

const exchange = (text: string): Promise<string> =>
  rawExchange((app.server.address() as AddressInfo).port, text, () => false);

test('a request that offers HTTP/2 is answered in HTTP/1.1, and so is the next one on its connection', async () => {
  const head = ['GET /plain?n=1 HTTP/1.1', ...OFFER, 'X-Kept: \xe9'];
  const text = await exchange(`${head.join('\r\n')}\r\n\r\n${PLAIN_GET}`);
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
  expect(text).toContain('{"query":{"n":"1"},"headers":{"host":"x","x-kept":"Ã©"}}');
  expect(text).toContain('{"query":{"n":"2"}');
});

test('its body arrives, even in pieces, and its wish to close the connection is kept', async () => {
  const connection = 'Connection: close, Upgrade, HTTP2-Settings';
  const offer = OFFER.map((line) => (line.startsWith('Connection') ? connection : line));
  const head = [
    'POST /plain HTTP/1.1',
    'Content-Type: application/json',
    'Transfer-Encoding: chunked',
    ...offer,
  ];
  const text = await exchange(`${head.join('\r\n')}\r\n\r\n4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n`);
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
  expect(text).toContain('{"body":{"a":1}}');
  expect(text).toMatch(/^connection: close\r$/im);
});

test('a WebSocket upgrade of an address that speaks none is refused', async () => {
  const text = await exchange(
    'GET /plain HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  );
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
});

test('an HTTP/1.0 request is answered as if it had offered no WebSocket', async () => {
  const offer = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
  const text = await exchange(`GET /plain?n=1 HTTP/1.0\r\nHost: x\r\n${offer}\r\n`);
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  expect(text).toContain('{"query":{"n":"1"},');
});
