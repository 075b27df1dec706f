// Raw bytes over real sockets: what Node does with pipelined requests, resets and hand-overs shows nowhere else.
import net, { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { AnswerRecord } from '../../../src/http/requests/answer-record.js';
import { MAX_UNFINISHED } from '../../../src/http/connections/pipelines.js';
import { holdAnswers } from '../../support/fake-exchange-client.js';
import { startTestApp, type TestApp } from '../../support/app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
const WEBSOCKET =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const MANY = 1600;

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

let rig: TestApp;
let port = 0;
let answers: AnswerRecord[] = [];
const sockets: net.Socket[] = [];

const start = async (...args: Parameters<typeof startTestApp>): Promise<void> => {
  rig = await startTestApp(...args);
  answers = [];
  rig.app.onAnswer((answer) => answers.push(answer));
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = rig.app.server.address() as AddressInfo);
};
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await rig.app.close();
});

const connect = async (): Promise<net.Socket> => {
  const socket = net.connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
};

/** Sends `bytes`; `text()` is what has come back. */
const send = async (bytes: string): Promise<{ socket: net.Socket; text: () => string }> => {
  const socket = await connect();
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.write(bytes);
  return { socket, text: () => text };
};

const statuses = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]!);
const health = async (): Promise<number> => {
  const { text, socket } = await send(get('/v1/health', 'Connection: close\r\n'));
  await once(socket, 'close');
  return Number(statuses(text())[0]);
};
/** Requests that have reached a hook of the app, by their answers: each is told exactly once. */
const settled = (route: string): number => answers.filter((answer) => answer.route === route).length;

test('requests that are answered at once do not hold back those of other connections', async () => {
  await start();
  const many = await send(get('/nowhere').repeat(MANY));
  const other = await send(get('/v1/health'));
  await expect.poll(other.text, { timeout: 10_000 }).toMatch(/200 OK/);
  const before = answers.findIndex(({ route }) => route === '/v1/health');
  // What the connection had sent is handled in turns of MAX_UNFINISHED: the other's request waits for a few of them.
  expect(before).toBeLessThan(20 * MAX_UNFINISHED);
  await expect.poll(() => statuses(many.text()).length, { timeout: 20_000 }).toBe(MANY);
  expect(new Set(statuses(many.text()))).toEqual(new Set(['404']));
});

describe('a client that resets its connection', () => {
  test.each([
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an upgrade to WebSocket', get('/ws', WEBSOCKET)],
    ['an upgrade that is refused', get(TICKER, WEBSOCKET)],
    ['an offer of HTTP/2', get(TICKER, H2C)],
    ['bytes that are no request', 'no request\r\n\r\n'],
    ['headers without end', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n`],
    ['an expectation', get(TICKER, 'Expect: 100-continue\r\n')],
    ['HTTP/1.0', 'GET /v1/health HTTP/1.0\r\n\r\n'],
  ])('right after %s ends nothing but that connection', async (_name, bytes) => {
    // With a client limit each request's address is asked for, which a connection that was reset has no more.
    await start({ CLIENT_RATE_LIMIT_REQUESTS: '100000' });
    for (let round = 0; round < 20; round += 1) {
      const crowd = await Promise.all(Array.from({ length: 10 }, connect));
      for (const socket of crowd) {
        socket.write(bytes);
        socket.resetAndDestroy();
      }
    }
    expect(await health()).toBe(200);
    await expect.poll(() => rig.app.inFlight()).toBe(0);
    expect(rig.log.lines.filter(({ message }) => message === 'internal error')).toEqual([]);
  });
});

describe('pipelined requests that nobody reads', () => {
  const unread = async (bytes: string, end: (socket: net.Socket) => unknown): Promise<void> => {
    const socket = await connect();
    socket.pause();
    socket.write(bytes);
    await expect.poll(() => answers.length + rig.app.inFlight()).toBeGreaterThan(0);
    end(socket);
    await expect.poll(() => rig.app.inFlight()).toBe(0);
  };

  test.each([
    ['plain ones, closed', get('/v1/exchanges').repeat(MANY), (socket: net.Socket) => socket.destroy()],
    [
      'plain ones, reset',
      get('/v1/exchanges').repeat(MANY),
      (socket: net.Socket) => socket.resetAndDestroy(),
    ],
    ['upgrades to HTTP/2', get('/v1/exchanges', H2C).repeat(MANY), (socket: net.Socket) => socket.destroy()],
  ])('%s: none counts as in flight once its connection is gone', async (_name, bytes, end) => {
    await start({ CLIENT_RATE_LIMIT_REQUESTS: '1000000' });
    await unread(bytes, end);
    expect(await health()).toBe(200);
    expect(new Set(answers.map(({ requestId }) => requestId)).size).toBe(answers.length);
  });

  test('those behind one that waits are settled, logged and counted once each when the connection ends', async () => {
    await start({ ACCESS_LOG: 'all' });
    holdAnswers(rig.venue);
    const socket = await connect();
    socket.write(get(TICKER) + get('/v1/exchanges').repeat(MANY));
    await expect.poll(() => rig.app.inFlight()).toBeGreaterThan(0);
    socket.resetAndDestroy();
    await expect.poll(() => rig.app.inFlight()).toBe(0);
    await expect.poll(() => settled('/v1/markets/ticker')).toBe(1);
    expect(settled('/v1/exchanges')).toBe(MAX_UNFINISHED - 1);
    expect(answers.every(({ aborted }) => aborted)).toBe(true);
    expect(new Set(answers.map(({ requestId }) => requestId)).size).toBe(answers.length);
    expect(rig.log.lines.filter(({ details }) => Reflect.get(details, 'aborted') === true)).toHaveLength(
      MAX_UNFINISHED,
    );
  });

  test('answers that wait for their reader are no load: no request is refused for them', async () => {
    await start({}, { maxInFlight: 8 });
    rig.venue.answer = (request) =>
      Promise.resolve({
        body: Buffer.from(`{"exchange":"binance","padding":"${'p'.repeat(4_000_000)}"}`),
        symbol: request.symbol,
        receivedAt: rig.clock.now,
        closesAt: null,
      });
    for (let i = 0; i < 3; i += 1) {
      const socket = await connect();
      socket.pause();
      socket.write(get(TICKER).repeat(MAX_UNFINISHED));
    }
    await expect.poll(() => rig.venue.fetched.length).toBe(1);
    await expect.poll(() => rig.app.inFlight()).toBe(0);
    const { text } = await send(get('/v1/exchanges', 'Connection: close\r\n'));
    await expect.poll(() => statuses(text())).toEqual(['200']);
  });
});

describe('pipelined requests that are read', () => {
  test('are all answered, in order', async () => {
    await start();
    const { text } = await send(
      Array.from({ length: MANY }, (_, i) => get(`/nothing/${i}`)).join('') +
        get('/v1/health', 'Connection: close\r\n'),
    );
    await expect.poll(() => statuses(text()).length).toBe(MANY + 1);
    const instances = [...text().matchAll(/"instance":"\/nothing\/(\d+)"/g)].map((match) => Number(match[1]));
    expect(instances).toEqual(Array.from({ length: MANY }, (_, i) => i));
    expect(statuses(text()).at(-1)).toBe('200');
  });

  test('at most so many of a connection are worked on at once, and the others come after them', async () => {
    await start();
    const release = holdAnswers(rig.venue);
    const paths = Array.from({ length: 50 }, (_, i) => get(`${TICKER}&convert=C${i}`));
    const { text } = await send(paths.join(''));
    await expect.poll(() => rig.app.inFlight()).toBe(MAX_UNFINISHED);
    const other = await send(get('/v1/exchanges', 'Connection: close\r\n'));
    await expect.poll(() => statuses(other.text())).toEqual(['200']);
    expect(rig.app.inFlight()).toBe(MAX_UNFINISHED);
    release();
    await expect.poll(() => statuses(text())).toEqual(Array<string>(50).fill('200'));
  });
});

describe('what cannot follow an unanswered request is answered in its turn, and ends the connection', () => {
  test.each([
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'This server is no proxy.'],
    ['an offer of HTTP/2', get('/v1/exchanges', H2C), 'cannot follow an unanswered request'],
    ['an upgrade to WebSocket', get('/ws', WEBSOCKET), 'cannot follow an unanswered request'],
    ['bytes that are no request', 'no request\r\n\r\n', 'not a well-formed HTTP request'],
  ])('%s', async (_name, bytes, detail) => {
    await start();
    const release = holdAnswers(rig.venue);
    const { socket, text } = await send(get(TICKER));
    await expect.poll(() => rig.app.inFlight()).toBe(1);
    socket.write(bytes + get('/v1/health'));
    // Answered at once, it would stand in the first one's place: another connection proves that there was time for it.
    expect(await health()).toBe(200);
    expect(text()).toBe('');
    release();
    await once(socket, 'close');
    expect(statuses(text())).toEqual(['200', '400']);
    expect(text()).toContain(detail);
    await expect
      .poll(() => answers.filter(({ route, status }) => route === 'unmatched' && status === 400))
      .toHaveLength(1);
  });

  test('CONNECT behind a cached answer, in one packet', async () => {
    await start();
    const warm = await send(get(TICKER, 'Connection: close\r\n'));
    await once(warm.socket, 'close');
    const { socket, text } = await send(`${get(TICKER)}CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    await once(socket, 'close');
    expect(statuses(text())).toEqual(['200', '400']);
  });
});

test('CONNECT, malformed bytes and a malformed path are counted like other answers', async () => {
  await start();
  for (const bytes of [
    'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
    'no request\r\n\r\n',
    get('/%zz', 'Connection: close\r\n'),
  ]) {
    const { socket } = await send(bytes);
    await once(socket, 'close');
  }
  await expect
    .poll(() => answers.map(({ method, status }) => [method, status]))
    .toEqual([
      ['CONNECT', 400],
      ['unknown', 400],
      ['GET', 400],
    ]);
});

test('offers of HTTP/2 one after the other on one connection are answered, each like the first', async () => {
  await start();
  const { socket, text } = await send('');
  const warnings: Error[] = [];
  const warned = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warned);
  for (let i = 1; i <= 50; i += 1) {
    socket.write(get('/v1/exchanges', H2C));
    await expect.poll(() => statuses(text()).length, { interval: 1 }).toBe(i);
  }
  process.off('warning', warned);
  expect(new Set(statuses(text()))).toEqual(new Set(['200']));
  expect(warnings.map(({ message }) => message)).toEqual([]);
});
