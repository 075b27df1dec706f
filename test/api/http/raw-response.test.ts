// Over real sockets: what Node makes of a response shows in the bytes.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import type { HeaderPair } from '../../../src/http/answers/common-headers.js';
import { canSendRaw, headerLines, sendRaw } from '../../../src/http/response-cache/raw-response.js';

const KEEP_ALIVE_MS = 72_000;
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** All that comes back for `requests`, the last of which asks for the end of the connection. */
const answersTo = async (
  requests: string,
  handle: Handler,
  keepAliveTimeout = KEEP_ALIVE_MS,
): Promise<string[]> => {
  const server = createServer({ keepAliveTimeout }, handle).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.write(requests, 'latin1');
  await once(socket, 'close');
  return text.split(/(?=HTTP\/1\.1 \d)/);
};

const get = (more = '', version = '1.1', method = 'GET'): string =>
  `${method} / HTTP/${version}\r\nHost: x\r\n${more}\r\n`;
const LAST = get('Connection: close\r\n');

const HEADERS: readonly HeaderPair[] = [
  ['etag', '"e"'],
  ['x-cache', 'HIT'],
];

const byHand = (
  status: 200 | 304,
  body: string | Buffer | null,
  keepAliveTimeoutMs = KEEP_ALIVE_MS,
): Handler => {
  const length: HeaderPair[] = body === null ? [] : [['content-length', String(body.length)]];
  const lines = headerLines([...HEADERS, ...length]);
  return (request, response) => {
    if (canSendRaw(request, response)) sendRaw(response, { status, lines, body, keepAliveTimeoutMs });
    else response.end();
  };
};

const byNode =
  (status: 200 | 304, body: string | Buffer | null): Handler =>
  (_request, response) => {
    const length = body === null ? [] : ['content-length', String(body.length)];
    response.writeHead(status, [...HEADERS.flat(), ...length]);
    response.end(body ?? undefined, 'latin1');
  };

/** Lines of the head in an order of their own, names in lower case, without the time of the Date header. */
const headOf = (answer = ''): string[] =>
  answer
    .slice(0, answer.indexOf('\r\n\r\n'))
    .split('\r\n')
    .map((line) => line.replace(/^[\w-]+:/, (name) => name.toLowerCase()).replace(/(^date: ).*/, '$1'))
    .sort();

const bodyOf = (answer = ''): string => answer.slice(answer.indexOf('\r\n\r\n') + 4);

test.each([
  ['200 with text', 200, '{"é":1}'],
  ['200 with bytes', 200, Buffer.alloc(100_000, 'x')],
  ['200 without a body', 200, ''],
  ['304', 304, null],
] as const)(
  'a %s has the head that Node makes, its body, and leaves the connection to the next',
  async (_what, status, body) => {
    const [first, second, last] = await answersTo(get() + get() + LAST, byHand(status, body));
    const [expected] = await answersTo(get() + LAST, byNode(status, body));
    expect(headOf(first)).toEqual(headOf(expected));
    expect(first!.endsWith(`\r\n\r\n${body?.toString('latin1') ?? ''}`)).toBe(true);
    // The second one may be of the next second.
    expect(headOf(second)).toEqual(headOf(first));
    expect(bodyOf(second)).toBe(bodyOf(first));
    expect(headOf(last)).toContain('connection: close');
  },
);

test('no Keep-Alive header where idle connections have no end', async () => {
  const [first] = await answersTo(get() + LAST, byHand(200, 'x', 0), 0);
  expect(headOf(first)).toContain('connection: keep-alive');
  expect(headOf(first).join()).not.toContain('keep-alive:');
});

test('Date is the current second', async () => {
  const from = Math.floor(Date.now() / 1000) * 1000;
  const [first = ''] = await answersTo(get() + LAST, byHand(200, 'x'));
  const date = Date.parse(/^date: (.*)$/im.exec(first)?.[1] ?? '');
  expect(date).toBeGreaterThanOrEqual(from);
  expect(date).toBeLessThanOrEqual(Date.now());
});

test.each<[string, string, IncomingHttpHeaders]>([
  ['HEAD', get('', '1.1', 'HEAD'), {}],
  ['HTTP/1.0', get('Connection: keep-alive\r\n', '1.0'), {}],
  ['a connection that is to be closed', LAST, {}],
  ['headers that are set already', get(), { connection: 'close' }],
])('is not for %s', async (_what, request, headers) => {
  const seen: boolean[] = [];
  await answersTo(request + (request === LAST ? '' : LAST), (incoming, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value!);
    seen.push(canSendRaw(incoming, response));
    response.end();
  });
  expect(seen[0]).toBe(false);
});

test('takes "Keep-Alive" in any case, and each Node from 20 on has the field that it rests on', async () => {
  const seen: boolean[] = [];
  await answersTo(get('Connection: Keep-Alive\r\n') + LAST, (incoming, response) => {
    seen.push(canSendRaw(incoming, response));
    response.end();
  });
  expect(seen).toEqual([true, false]);
});

test.each([
  ['a name', [['a b', '1']]],
  ['a value', [['a', '1\r\nset-cookie: x=1']]],
] as const)('%s that would break the head is refused', (_what, pairs) => {
  expect(() => headerLines(pairs)).toThrow(/header/i);
});
