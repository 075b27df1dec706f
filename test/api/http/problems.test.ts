import { request } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { problem } from '../../../src/schemas/problem.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { startTestApp, type TestApp } from '../../support/app.js';

let rig: TestApp;
beforeEach(async () => {
  rig = await startTestApp();
});
afterEach(async () => {
  await rig.app.close();
});

const expectProblem = (
  response: Awaited<ReturnType<TestApp['app']['inject']>>,
  code: keyof typeof ERROR_CODES,
) => {
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  const body = problem.strict().parse(response.json());
  expect(body).toMatchObject({ code, status: ERROR_CODES[code].status, type: `/docs/errors#${code}` });
  expect(response.statusCode).toBe(ERROR_CODES[code].status);
  expect(body.request_id).toBe(response.headers['x-request-id']);
  expect(response.headers['x-content-type-options']).toBe('nosniff');
  return body;
};

test('an unknown path is a 404 that does not repeat a hostile path in full', async () => {
  expectProblem(await rig.app.inject('/nothing?x=1'), 'not_found');
  const body = expectProblem(await rig.app.inject(`/${'x'.repeat(2000)}`), 'not_found');
  expect(body.instance.length).toBeLessThan(300);
});

test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE'] as const)(
  '%s on an address that is only read is a 405 with Allow',
  async (method) => {
    const response = await rig.app.inject({ method: method as 'POST', url: '/v1/markets/ticker' });
    expectProblem(response, 'method_not_allowed');
    expect(response.headers.allow).toBe('GET, HEAD, OPTIONS');
  },
);

test.each([
  ['application/json', '{"half'],
  ['application/x-nothing', 'x'],
  ['application/json', JSON.stringify('x'.repeat(300_000))],
])('a %s body that nothing takes does not hide that', async (type, payload) => {
  const post = (url: string) =>
    rig.app.inject({ method: 'POST', url, headers: { 'content-type': type }, payload });
  const response = await post('/v1/markets/ticker');
  expectProblem(response, 'method_not_allowed');
  expect(response.headers.allow).toBe('GET, HEAD, OPTIONS');
  expectProblem(await post('/nothing'), 'not_found');
});

test('OPTIONS tells the methods; on an unknown path it is a 404', async () => {
  const response = await rig.app.inject({ method: 'OPTIONS', url: '/v1/health' });
  expect(response.statusCode).toBe(204);
  expect(response.headers.allow).toBe('GET, HEAD, OPTIONS');
  expectProblem(await rig.app.inject({ method: 'OPTIONS', url: '/nothing' }), 'not_found');
});

test('a malformed percent-encoding in the path is a 400', async () => {
  expectProblem(await rig.app.inject('/v1/%zz'), 'invalid_request');
});

test('a URL beyond the bound is a 414', async () => {
  const response = await rig.app.inject(`/v1/markets/ticker?symbol=${'A'.repeat(1_000_000)}`);
  expectProblem(response, 'uri_too_long');
});

test('a body beyond the bound is a 413, a type we cannot read and malformed JSON are a 400', async () => {
  const post = (type: string, payload: string) =>
    rig.app.inject({ method: 'POST', url: '/test-body', headers: { 'content-type': type }, payload });
  await rig.app.close();
  rig = await startTestApp();
  rig.app.post('/test-body', () => ({ read: true }));
  expectProblem(await post('application/json', JSON.stringify('x'.repeat(300_000))), 'payload_too_large');
  expectProblem(await post('application/x-nothing', 'x'), 'invalid_request');
  expectProblem(await post('application/json', '{"half'), 'invalid_request');
});

test('a bug of ours is an internal_error without details, logged with its request id', async () => {
  rig.app.get('/test-bug', () => {
    throw new TypeError('secret inside at /home/us/file.ts');
  });
  const response = await rig.app.inject('/test-bug');
  const body = expectProblem(response, 'internal_error');
  expect(JSON.stringify(body)).not.toContain('secret');
  const line = rig.log.lines.find(({ level }) => level === 'error');
  expect(line?.details).toMatchObject({ request_id: body.request_id, err: expect.any(TypeError) });
});

test('a sane X-Request-Id is kept, another one is replaced', async () => {
  const idOf = async (id: string) =>
    (await rig.app.inject({ url: '/v1/health', headers: { 'x-request-id': id } })).headers['x-request-id'];
  expect(await idOf('trace-42:a/b+c=')).toBe('trace-42:a/b+c=');
  expect(await idOf('x'.repeat(65))).not.toBe('x'.repeat(65));
  expect(await idOf('a b')).not.toBe('a b');
  expect(await idOf('')).not.toBe('');
});

/** What a raw TCP client gets for `bytes`. */
const raw = async (bytes: string): Promise<string> => {
  if (!rig.app.server.listening) await rig.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = rig.app.server.address() as AddressInfo;
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => (received += String(chunk)));
    socket.on('close', () => resolve(received));
    socket.on('error', () => undefined);
    socket.write(bytes);
  });
};

const rawProblem = (text: string) => {
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { head: head.toLowerCase(), body: problem.strict().parse(JSON.parse(body)) };
};

test.each([
  { what: 'not HTTP at all', bytes: 'hello there\r\n\r\n', status: 400, code: 'invalid_request' },
  {
    what: 'a header block without end',
    bytes: `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}`,
    status: 431,
    code: 'headers_too_large',
  },
  {
    what: 'a request line without end',
    bytes: `GET /${'y'.repeat(40_000)}`,
    status: 414,
    code: 'uri_too_long',
  },
  {
    what: 'a URL of more than all headers may have',
    bytes: `GET /${'y'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    status: 414,
    code: 'uri_too_long',
  },
  {
    what: 'a body of two lengths',
    bytes: 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    status: 400,
    code: 'invalid_request',
  },
])(
  'on the socket itself, $what is a problem and the end of the connection',
  async ({ bytes, status, code }) => {
    const { head, body } = rawProblem(await raw(bytes));
    expect(head).toMatch(new RegExp(`^http/1.1 ${status} `));
    expect(head).toContain('content-type: application/problem+json');
    expect(head).toContain('connection: close');
    expect(head).toContain(`x-request-id: ${body.request_id.toLowerCase()}`);
    expect(body).toMatchObject({ code, status });
    // The server is unharmed.
    expect((await rig.app.inject('/v1/health')).statusCode).toBe(200);
  },
);

test('a tunnel is a problem: this server is no proxy', async () => {
  const { head, body } = rawProblem(await raw('CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'));
  expect(head).toMatch(/^http\/1.1 400 /);
  expect(body.code).toBe('invalid_request');
});

test.each([
  { what: 'no Host', head: 'HTTP/1.1\r\n', code: 'invalid_request' },
  { what: 'an expectation', head: 'HTTP/1.1\r\nHost: x\r\nExpect: a-pony\r\n', code: 'expectation_failed' },
] as const)('HTTP/1.1 with $what is a problem, also where the answer is at hand', async ({ head, code }) => {
  const path = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
  const ask = async (lines: string) => raw(`GET ${path} ${lines}Connection: close\r\n\r\n`);
  // Whatever the cache and the way to it: twice well-formed in between.
  for (let round = 0; round < 2; round++) {
    const { head: answer, body } = rawProblem(await ask(head));
    expect(answer).toMatch(new RegExp(`^http/1.1 ${ERROR_CODES[code].status} `));
    expect(answer).toContain('content-type: application/problem+json');
    expect(body).toMatchObject({ code, instance: '/v1/markets/ticker' });
    expect(await ask('HTTP/1.1\r\nHost: x\r\n')).toMatch(/^HTTP\/1.1 200 /);
  }
});

test('HTTP/1.0 needs no Host, and 100-continue is an expectation that is met', async () => {
  expect(await raw('GET /v1/health HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 200 /);
  const expecting = 'GET /v1/health HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n';
  expect(await raw(expecting)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /);
});

test('nonsense behind a request whose answer has begun ends the connection, and is no part of that answer', async () => {
  rig.app.get('/test-endless', (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200).write('begun');
  });
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = rig.app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (chunk) => (received += String(chunk)));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('GET /test-endless HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => received).toContain('begun');
  socket.write('nonsense\r\n\r\n');
  await closed;
  expect(received.match(/HTTP\/1\.1 /g)).toHaveLength(1);
});

test('what Node refuses is logged and counted like any other request', async () => {
  const { body } = rawProblem(await raw('hello there\r\n\r\n'));
  expect(rig.log.lines.map(({ details }) => details)).toContainEqual(
    expect.objectContaining({
      status: 400,
      route: 'unmatched',
      code: 'invalid_request',
      request_id: body.request_id,
    }),
  );
  const metrics = await rig.app.inject('/metrics');
  expect(metrics.body).toContain(
    'crypto_data_http_requests_total{method="other",route="unmatched",status="400"} 1',
  );
});

test('a client that resets its connection within a request affects no other', async () => {
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = rig.app.server.address() as AddressInfo;
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write('POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc', () =>
        socket.resetAndDestroy(),
      );
    });
    socket.on('close', () => resolve());
    socket.on('error', () => undefined);
  });
  expect((await rig.app.inject('/v1/health')).statusCode).toBe(200);
});

test('a request whose headers do not arrive is cut off', async () => {
  expect(rig.app.server.headersTimeout).toBeLessThanOrEqual(10_000);
  expect(rig.app.server.requestTimeout).toBeLessThanOrEqual(15_000);
  expect(rig.app.server.timeout).toBeGreaterThan(20_000);
  expect(rig.app.server.maxConnections).toBe(20_000);
  // What Node emits when that time has passed:
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = rig.app.server.address() as AddressInfo;
  const answer = await new Promise<string>((resolve) => {
    rig.app.server.once('connection', (socket) => {
      const error = Object.assign(new Error('timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
      rig.app.server.emit('clientError', error, socket);
    });
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.on('close', () => resolve(received));
  });
  const { head, body } = rawProblem(answer);
  expect(head).toMatch(/^http\/1.1 408 request timeout/);
  expect(body).toMatchObject({ code: 'request_timeout', retryable: true });
});

test('a kept-alive connection serves several requests', async () => {
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = rig.app.server.address() as AddressInfo;
  const statuses = await Promise.all(
    [1, 2, 3].map(
      () =>
        new Promise<number | undefined>((resolve) => {
          request({ port, path: '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT' }, (response) => {
            response.resume().on('end', () => resolve(response.statusCode));
          }).end();
        }),
    ),
  );
  expect(statuses).toEqual([200, 200, 200]);
});
