import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { tickerEvent } from '../../support/fake-hub.js';
import {
  connectWs,
  openWs,
  rawExchange,
  startStreamApp,
  type Refusal,
  type StreamApp,
} from './stream-app.js';

const PATH = '/ws/ticker?exchange=binance&symbol=BTC-USDT';
let server: StreamApp;

beforeEach(async () => {
  server = await startStreamApp();
});
afterEach(() => server.close());

/** A handshake that the server takes, but for `line`, which replaces the header of its name or comes on top. */
const handshake = (path: string, line = 'X-Nothing: more'): string => {
  const [name] = line.split(':');
  const headers = [
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ].filter((header) => !header.startsWith(`${name}:`));
  return `${[`GET ${path} HTTP/1.1`, ...headers, line].join('\r\n')}\r\n\r\n`;
};

const refusal = async (path: string): Promise<Refusal> => {
  const answer = await openWs(server.port, path);
  if (!('status' in answer)) throw new Error('The upgrade was not refused.');
  return answer;
};

describe('/ws/ticker', () => {
  test('sends the snapshot and every event as one text message each, once and in order', async () => {
    server.hub.snapshot = () => [tickerEvent({ last: 0 })];
    const client = await connectWs(server.port, PATH);
    await client.until((messages) => messages.length === 1);
    for (let last = 1; last <= 300; last += 1) server.hub.send(tickerEvent({ last }));
    await client.until((messages) => messages.length === 301);
    expect(client.messages.map(({ last }) => last)).toEqual(Array.from({ length: 301 }, (_, i) => i));
    expect(client.messages[0]).toMatchObject({ event_type: 'ticker', symbol: 'BTC/USDT' });
    expect(server.hub.requests[0]).toMatchObject({ topic: { symbol: 'BTC-USDT' }, name: 'binance' });
    client.socket.close();
  });

  test('negotiates no compression', async () => {
    const client = await connectWs(server.port, PATH);
    expect(client.socket.extensions).toBe('');
    client.socket.close();
  });

  test('heartbeats come at their interval', async () => {
    const beating = await startStreamApp({ heartbeatMs: 20 });
    const client = await connectWs(beating.port, PATH);
    await client.until((messages) => messages.length >= 2);
    expect(client.messages[1]).toEqual({ event_type: 'heartbeat', timestamp: expect.any(Number) });
    await beating.close();
  });

  test('a client that leaves releases its slot and its subscription', async () => {
    const client = await connectWs(server.port, PATH);
    expect(server.connections.stats()).toMatchObject({ websocket: 1, opened: { sse: 0, websocket: 1 } });
    client.socket.close(1000);
    await server.hub.opened(0);
    expect((await client.closed).code).toBe(1000);
    await expect.poll(() => server.connections.stats().websocket).toBe(0);
  });

  test('a client whose socket is cut releases its slot too', async () => {
    const client = await connectWs(server.port, PATH);
    client.socket.terminate();
    await server.hub.opened(0);
    await expect.poll(() => server.connections.stats().websocket).toBe(0);
  });

  test('a client that keeps talking to a stream that takes no messages is closed with 1008', async () => {
    const client = await connectWs(server.port, PATH);
    for (let i = 0; i < 25; i += 1) client.send({ method: 'list' });
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(client.messages).toEqual([]);
  });

  test('a message above the payload bound closes with 1009', async () => {
    const client = await connectWs(server.port, PATH);
    client.socket.send('x'.repeat(17 * 1024));
    expect(await client.closed).toMatchObject({ code: 1009 });
    await expect.poll(() => server.connections.stats().websocket).toBe(0);
  });

  test('a closing server closes every client with 1012', async () => {
    const clients = [await connectWs(server.port, PATH), await connectWs(server.port, '/ws')];
    const closing = server.close();
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1012 });
    await closing;
    expect(server.connections.stats().websocket).toBe(0);
  });

  test('an upgrade that the shutdown overtakes is closed with 1012 after an error event', async () => {
    let open = (): void => undefined;
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    const opening = connectWs(server.port, PATH);
    await expect.poll(() => server.hub.requests.length).toBe(1);
    await server.connections.close();
    open();
    const client = await opening;
    expect(await client.closed).toMatchObject({ code: 1012 });
    expect(client.messages).toMatchObject([{ event_type: 'error', code: 'shutting_down', retryable: true }]);
    expect(server.hub.open.size).toBe(0);
  });

  test('is counted as one long-lived answer of its route', async () => {
    const client = await connectWs(server.port, PATH);
    client.socket.close();
    await client.closed;
    expect(server.answers).toMatchObject([{ route: '/ws/ticker', status: 101, longLived: true }]);
  });
});

describe('a fault in the query of /ws/ticker is sent after the upgrade, where a page can read it', () => {
  test.each([
    ['?exchange=binance', 'invalid_request', 'symbol'],
    ['?exchange=binance&symbol=BTC/USDT&treshold=1', 'invalid_request', 'treshold'],
    ['?exchange=binance&symbol=A/B&symbol=C/D', 'invalid_request', 'symbol'],
    ['?exchange=nowhere&symbol=BTC/USDT', 'unknown_exchange', undefined],
    ['', 'invalid_request', 'exchange'],
  ])('%s', async (query, code, parameter) => {
    const client = await connectWs(server.port, `/ws/ticker${query}`);
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(client.messages).toEqual([
      expect.objectContaining({ event_type: 'error', code, status: 400, retryable: false }),
    ]);
    if (parameter !== undefined)
      expect(client.messages[0]?.['errors']).toContainEqual(expect.objectContaining({ parameter }));
    expect(server.answers).toMatchObject([{ route: '/ws/ticker', status: 101, errorCode: code }]);
    expect(server.connections.stats().websocket).toBe(0);
  });

  test('a symbol that the exchange does not have', async () => {
    server.hub.gate = () => Promise.reject(new AppError('symbol_not_found', 'No such symbol.'));
    const client = await connectWs(server.port, PATH);
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(client.messages).toMatchObject([{ event_type: 'error', code: 'symbol_not_found' }]);
  });

  test('in the sandbox the error event says so', async () => {
    const sandboxed = await startStreamApp({ sandbox: true });
    const client = await connectWs(sandboxed.port, '/ws/ticker');
    await client.closed;
    expect(client.messages).toMatchObject([{ event_type: 'error', sandbox: true }]);
    await sandboxed.close();
  });
});

describe('before the upgrade a fault is an HTTP answer', () => {
  test.each([
    ['/ws?exchange=binance', 400, 'invalid_request'],
    ['/nothing/here', 404, 'not_found'],
    ['/plain', 400, 'invalid_request'],
  ])('%s is refused with %i %s', async (path, status, code) => {
    const answer = await refusal(path);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.headers['x-request-id']).toBeDefined();
    expect(answer.body).toMatchObject({ code, status });
    expect(server.connections.stats().websocket).toBe(0);
  });

  test('what the hub rejects with becomes the answer', async () => {
    server.hub.gate = () =>
      Promise.reject(new AppError('upstream_unavailable', 'The venue is away.', { retryAfterMs: 2000 }));
    const answer = await refusal(PATH);
    expect(answer).toMatchObject({ status: 503, body: { code: 'upstream_unavailable' } });
    expect(answer.headers['retry-after']).toBe('2');
    expect(server.connections.stats().websocket).toBe(0);
  });

  test('above STREAM_MAX_CONNECTIONS SSE and WebSocket clients together get 503', async () => {
    const small = await startStreamApp({ maxConnections: 1 });
    const first = await connectWs(small.port, '/ws');
    const second = await openWs(small.port, '/ws');
    expect(second).toMatchObject({ status: 503, body: { code: 'overloaded' } });
    expect(
      await fetch(`http://127.0.0.1:${small.port}/v1/stream/ticker?exchange=binance&symbol=A/B`),
    ).toMatchObject({
      status: 503,
    });
    first.socket.close();
    await small.close();
  });

  test('a plain GET is told that this address speaks WebSocket', async () => {
    const response = await fetch(`http://127.0.0.1:${server.port}/ws`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: 'invalid_request',
      detail: expect.stringMatching(/WebSocket/),
    });
  });

  test.each([
    ['Sec-WebSocket-Key: short', 'Sec-WebSocket-Key'],
    ['Sec-WebSocket-Version: 7', 'Sec-WebSocket-Version'],
    ['Sec-WebSocket-Protocol: ,,', 'Sec-WebSocket-Protocol'],
    ['Sec-WebSocket-Protocol: two words', 'Sec-WebSocket-Protocol'],
    ['Sec-WebSocket-Protocol: twice, twice', 'Sec-WebSocket-Protocol'],
    ['Upgrade: websocket, h2c', 'Upgrade'],
  ])('a handshake with "%s" is refused as a problem before anything is opened', async (line, parameter) => {
    const text = await rawExchange(server.port, handshake(PATH, line), () => false);
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).toMatch(/^content-type: application\/problem\+json/m);
    expect(text).toMatch(/^sec-websocket-version: 13/m);
    expect(text).toContain(`"parameter":"${parameter}"`);
    expect(text.match(/"parameter"/g)).toHaveLength(1);
    expect(server.connections.stats().websocket).toBe(0);
    expect(server.hub.requests).toEqual([]);
  });

  test('a handshake without key and version is told of both', async () => {
    const head = 'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const text = await rawExchange(server.port, head, () => false);
    expect(text.match(/"parameter"/g)).toHaveLength(2);
  });

  test('the first subprotocol offered is agreed to', async () => {
    const text = await rawExchange(
      server.port,
      handshake(PATH, 'Sec-WebSocket-Protocol: a.b , c'),
      (so_far) => so_far.includes('\r\n\r\n'),
    );
    expect(text).toMatch(/^HTTP\/1.1 101 /);
    expect(text).toMatch(/^Sec-WebSocket-Protocol: a\.b\r$/m);
  });

  test('a handshake that fails at the very end leaves no subscription behind', async () => {
    let open: () => void = () => undefined;
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    const accepted = once(server.app.server, 'connection') as Promise<[net.Socket]>;
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(handshake(PATH)));
    const [served] = await accepted;
    await expect.poll(() => server.hub.requests).toHaveLength(1);
    const gone = once(socket, 'close');
    // The client has said its last word; only the upgrade itself looks at that.
    const ended = once(served.resume(), 'end');
    socket.resume().end();
    await ended;
    open();
    await gone;
    await server.hub.opened(0);
    await expect.poll(() => server.connections.stats().websocket).toBe(0);
  });

  test('an upgrade to another protocol is ignored, and the answer says what this address speaks', async () => {
    const head = ['GET /ws HTTP/1.1', 'Host: x', 'Connection: Upgrade, close', 'Upgrade: h2c'];
    const text = await rawExchange(server.port, `${head.join('\r\n')}\r\n\r\n`, () => false);
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).toContain('This address speaks WebSocket');
  });
});
