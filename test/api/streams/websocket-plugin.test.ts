import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AppError, type ErrorCode } from '../../../src/errors.js';
import { addAnswers } from '../../../src/http/requests/answer-record.js';
import { addWebSockets, textOf, webSocketRoute } from '../../../src/http/streams/websocket.js';
import { connectWs } from './stream-app.js';

let app: FastifyInstance;
let closes = 0;

beforeAll(async () => {
  app = Fastify();
  addAnswers(app);
  await addWebSockets(app, {
    requestId: () => 'refused',
    connections: {
      close() {
        closes += 1;
        return Promise.resolve();
      },
    },
  });
  app.route({
    url: '/fails/:code',
    config: { webSocket: true },
    ...webSocketRoute({
      sandbox: false,
      prepare: ({ params }) => (params as { code: ErrorCode | 'bug' }).code,
      begin(_socket, code) {
        throw code === 'bug' ? new TypeError('a bug') : new AppError(code, 'It failed.');
      },
    }),
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await app.close();
  expect(closes).toBe(1);
});

test.each([
  ['symbol_not_found', 1008],
  ['bug', 1011],
  ['upstream_auth_required', 1011],
  ['shutting_down', 1012],
  ['upstream_unavailable', 1013],
])(
  'a connection that fails with %s after its upgrade gets an error event, then close code %i',
  async (fault, code) => {
    const client = await connectWs((app.server.address() as AddressInfo).port, `/fails/${fault}`);
    expect(await client.closed).toMatchObject({ code });
    expect(client.messages).toMatchObject([
      {
        event_type: 'error',
        code: fault === 'bug' ? 'internal_error' : fault,
        instance: `/fails/${fault}`,
        request_id: expect.any(String),
      },
    ]);
  },
);

test('only a text message in one piece has a text', () => {
  expect(textOf(Buffer.from('abc'), false)).toBe('abc');
  expect(textOf(Buffer.from('abc'), true)).toBeNull();
  expect(textOf([Buffer.from('abc')], false)).toBeNull();
});
