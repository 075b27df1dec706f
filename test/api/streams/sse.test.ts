import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { problem } from '../../../src/schemas/problem.js';
import { createSharedEvent } from '../../../src/streams/events.js';
import { tickerEvent } from '../../support/fake-hub.js';
import { openSse, rawExchange, startStreamApp, type StreamApp } from './stream-app.js';

const PATH = '/v1/stream/ticker?exchange=Binance&symbol=btc-usdt';
let server: StreamApp;

beforeEach(async () => {
  server = await startStreamApp();
});
afterEach(() => server.close());

describe('an event stream', () => {
  test('begins with its headers, a retry hint and the snapshot, then brings every event once and in order', async () => {
    server.hub.snapshot = () => [tickerEvent({ last: 1 })];
    const client = await openSse(server.port, PATH, {
      headers: { 'x-request-id': 'abc', origin: 'http://a.b' },
    });
    await client.until((c) => c.events().length === 1);
    for (let last = 2; last <= 5; last += 1) server.hub.send(tickerEvent({ last }));
    await client.until((c) => c.events().length === 5);

    expect(client.status).toBe(200);
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
      'data-source': 'binance; via=websocket',
      connection: 'close',
    });
    expect(client.headers['x-request-id']).toBeDefined();
    expect(client.headers['transfer-encoding']).toBeUndefined();
    expect(client.text().startsWith('retry: 3000\n\nid: 1\ndata: {')).toBe(true);
    expect(client.text().match(/^retry:/gm)).toHaveLength(1);
    expect(client.text()).not.toMatch(/^event:/m);
    expect(client.events().map(({ last }) => last)).toEqual([1, 2, 3, 4, 5]);
    client.destroy();
  });

  test('passes threshold, the symbol as it is written, the asked-for name and Last-Event-ID to the hub', async () => {
    const client = await openSse(
      server.port,
      '/v1/stream/ticker?exchange=CoinbasePro&symbol=btc_usd&threshold=0.01',
      {
        headers: { 'last-event-id': '17' },
      },
    );
    expect(server.hub.requests).toEqual([
      {
        topic: { channel: 'ticker', exchange: 'coinbaseexchange', symbol: 'btc_usd' },
        name: 'coinbasepro',
        client: '127.0.0.1',
        signal: expect.any(AbortSignal),
        threshold: 0.01,
        lastEventId: '17',
      },
    ]);
    expect(client.headers['data-source']).toBe('coinbaseexchange; via=websocket');
    client.destroy();
  });

  test.each([
    { threshold: String(0.0000001), fraction: 0.0000001 },
    { threshold: '2.5E-8', fraction: 0.000000025 },
    { threshold: String(0.1 + 0.2), fraction: 0.1 + 0.2 },
    { threshold: '1e0', fraction: 1 },
  ])('a threshold may be written as $threshold', async ({ threshold, fraction }) => {
    const client = await openSse(server.port, `${PATH}&threshold=${threshold}`);
    expect(server.hub.requests[0]?.threshold).toBe(fraction);
    client.destroy();
  });

  test.each(['', 'NaN', 'Infinity', '1e999', '-1e-7', '0x1', '2e0', '1e', 'e-7'])(
    'the threshold "%s" is refused',
    async (threshold) => {
      const client = await openSse(server.port, `${PATH}&threshold=${threshold}`);
      await client.ended;
      expect(client.status).toBe(400);
      expect(server.hub.requests).toEqual([]);
    },
  );

  test('an absurdly long Last-Event-ID is an id that nobody knows', async () => {
    const client = await openSse(server.port, PATH, { headers: { 'last-event-id': 'x'.repeat(129) } });
    expect(server.hub.requests[0]?.lastEventId).toBe('');
    client.destroy();
  });

  test.each(['1795350115200-41', ''])('the head says that the stream goes on behind "%s"', async (after) => {
    server.hub.resumedAfter = after;
    const resumed = await openSse(server.port, PATH, { headers: { 'last-event-id': '1795350115200-7' } });
    expect(resumed.headers['last-event-id']).toBe(after);
    resumed.destroy();
    const fresh = await openSse(server.port, PATH);
    expect(fresh.headers).not.toHaveProperty('last-event-id');
    fresh.destroy();
  });

  test('events that came in while the stream was being opened are sent after its head', async () => {
    let open = (): void => undefined;
    server.hub.snapshot = () => [tickerEvent({ last: 1 }), tickerEvent({ last: 2 })];
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    const opening = openSse(server.port, PATH);
    await expect.poll(() => server.hub.requests.length).toBe(1);
    open();
    const client = await opening;
    await client.until((c) => c.events().length === 2);
    expect(client.events().map(({ last }) => last)).toEqual([1, 2]);
    client.destroy();
  });

  test('a client that leaves releases its slot and its subscription', async () => {
    const client = await openSse(server.port, PATH);
    await server.hub.opened(1);
    expect(server.connections.stats().sse).toBe(1);
    client.destroy();
    await server.hub.opened(0);
    expect(server.connections.stats()).toMatchObject({ sse: 0, opened: { sse: 1, websocket: 0 } });
  });

  test('a client that leaves while its stream is being opened leaves no subscription behind', async () => {
    let open = (): void => undefined;
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    const opening = openSse(server.port, PATH);
    opening.catch(() => undefined);
    const socket = rawExchange(server.port, `GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`, () => false);
    socket.catch(() => undefined);
    await expect.poll(() => server.connections.stats().sse).toBe(2);
    server.app.server.closeAllConnections();
    await expect.poll(() => server.connections.stats().sse).toBe(0);
    server.hub.gate = () => Promise.resolve();
    open();
    await expect.poll(() => server.hub.closed).toBe(1);
    expect(server.hub.open.size).toBe(0);
  });

  test('in the sandbox its source says so', async () => {
    const sandboxed = await startStreamApp({ sandbox: true, heartbeatMs: 20 });
    const client = await openSse(sandboxed.port, PATH);
    await client.until((c) => c.events().length > 0);
    expect(client.headers['data-source']).toBe('sandbox; via=websocket');
    expect(client.events()[0]).toMatchObject({ event_type: 'heartbeat', sandbox: true });
    await sandboxed.close();
  });

  test('heartbeats come at their interval and carry no id', async () => {
    const beating = await startStreamApp({ heartbeatMs: 20 });
    const client = await openSse(beating.port, PATH);
    await client.until((c) => c.events().length >= 2);
    for (const event of client.events())
      expect(event).toEqual({ event_type: 'heartbeat', timestamp: expect.any(Number) });
    expect(client.text()).not.toMatch(/^id:/m);
    await beating.close();
  });

  test('a status event reaches the client without an id line', async () => {
    const json = JSON.stringify({ event_type: 'status', state: 'reconnecting' });
    const client = await openSse(server.port, PATH);
    server.hub.send(createSharedEvent({ type: 'status', json, conflationKey: 'status' }));
    await client.until((c) => c.events().length === 1);
    expect(client.text()).toBe(`retry: 3000\n\ndata: ${json}\n\n`);
    client.destroy();
  });
});

describe('before the first byte a fault is a problem', () => {
  test.each([
    { query: 'exchange=binance', code: 'invalid_request', parameters: ['symbol'] },
    {
      query: 'exchange=binance&symbol=BTC/USDT&threshold=2',
      code: 'invalid_request',
      parameters: ['threshold'],
    },
    { query: 'exchange=bin%20ance&symbol=%07', code: 'invalid_request', parameters: ['exchange', 'symbol'] },
    { query: 'exchange=bin%20ance&symbol=!', code: 'invalid_request', parameters: ['exchange'] },
    { query: 'exchange=nowhere&symbol=BTC/USDT', code: 'unknown_exchange', parameters: [] },
  ])('$query is refused with 400 $code', async ({ query, code, parameters }) => {
    const client = await openSse(server.port, `/v1/stream/ticker?${query}`);
    await client.ended;
    const fault = problem.parse(JSON.parse(client.text()));
    expect(client.status).toBe(400);
    expect(client.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(fault).toMatchObject({ code, status: 400, instance: '/v1/stream/ticker' });
    expect((fault.errors ?? []).map(({ parameter }) => parameter)).toEqual(parameters);
    expect(server.connections.stats().sse).toBe(0);
  });

  test('an unknown query parameter is named', async () => {
    const client = await openSse(server.port, `${PATH}&treshold=1`);
    await client.ended;
    expect(client.status).toBe(400);
    expect(JSON.parse(client.text()).errors).toEqual([
      {
        parameter: 'treshold',
        reason:
          'is not a parameter here; there are exchange, symbol, threshold, stats, last_event_id, ticket',
      },
    ]);
  });

  test('what the hub rejects with becomes the answer, and its slot is free again', async () => {
    server.hub.gate = () => Promise.reject(new AppError('symbol_not_found', 'No such symbol.'));
    const client = await openSse(server.port, PATH);
    await client.ended;
    expect(client.status).toBe(400);
    expect(JSON.parse(client.text()).code).toBe('symbol_not_found');
    expect(server.connections.stats().sse).toBe(0);
  });

  test('many refusals over one kept-alive connection leave nothing on its socket', async () => {
    server.hub.gate = () => Promise.reject(new AppError('symbol_not_found', 'No such symbol.'));
    const sockets: Socket[] = [];
    server.app.server.on('connection', (socket: Socket) => sockets.push(socket));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 20; i += 1) {
      const request = get({ host: '127.0.0.1', port: server.port, path: PATH, agent });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
    }
    agent.destroy();
    expect(sockets).toHaveLength(1);
    expect(sockets[0]!.listenerCount('close')).toBeLessThan(6);
  });

  test('a flood of events before the stream began is refused as overload and unsubscribed', async () => {
    server.hub.snapshot = () => Array.from({ length: 300 }, (_, last) => tickerEvent({ last }));
    const client = await openSse(server.port, PATH);
    await client.ended;
    expect(client.status).toBe(503);
    expect(JSON.parse(client.text()).code).toBe('overloaded');
    expect(server.hub.open.size).toBe(0);
  });

  test.each([
    ['application/json', 406],
    ['text/event-stream;q=0, application/json', 406],
    ['text/event-stream;q=0, */*', 406],
    ['text/event-stream; q=0.5', 200],
    ['text/*', 200],
    ['*/*', 200],
    ['application/json, TEXT/EVENT-STREAM', 200],
  ])('Accept: %s is answered with %i', async (accept, status) => {
    const client = await openSse(server.port, PATH, { headers: { accept } });
    expect(client.status).toBe(status);
    client.destroy();
  });

  test('a stream behind another request in a pipeline is refused, not mixed into its answer', async () => {
    const line = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    let open = (): void => undefined;
    server.hub.gate = () => {
      server.hub.gate = () => Promise.resolve();
      return new Promise((resolve) => (open = resolve));
    };
    const text = rawExchange(server.port, line(PATH) + line(PATH), (seen) => seen.includes('snapshot'));
    await expect.poll(() => server.hub.requests.length).toBe(2);
    await expect.poll(() => server.connections.stats().sse).toBe(1);
    server.hub.snapshot = () => [
      createSharedEvent({ type: 'ticker', json: '{"event_type":"snapshot"}', conflationKey: 'ticker' }),
    ];
    open();
    expect((await text).match(/HTTP\/1\.1 200/g)).toHaveLength(1);
  });
});

test('HEAD tells what GET would, and leaves no stream behind', async () => {
  const [head, get] = [
    await openSse(server.port, PATH, { method: 'HEAD' }),
    await openSse(server.port, PATH),
  ];
  await head.ended;
  expect(head.status).toBe(200);
  const ownWay = { date: '', connection: '', 'keep-alive': '', 'x-request-id': '' };
  expect({ ...head.headers, ...ownWay }).toEqual({ ...get.headers, ...ownWay });
  expect(head.headers).toMatchObject({
    'content-type': 'text/event-stream',
    'data-source': 'binance; via=websocket',
  });
  expect(head.text()).toBe('');
  expect(server.hub.requests).toHaveLength(2);
  expect(server.hub.open.size).toBe(1);
  expect(server.connections.stats()).toMatchObject({ sse: 1, opened: { sse: 1 } });
  get.destroy();
});

test.each([
  { what: 'an unknown exchange', path: '/v1/stream/ticker?exchange=nowhere&symbol=BTC/USDT', status: 400 },
  { what: 'an unknown symbol', path: PATH, status: 400 },
  { what: 'a wrong parameter', path: `${PATH}&threshold=x`, status: 400 },
  { what: 'an Accept without event streams', path: PATH, headers: { accept: 'text/html' }, status: 406 },
])('HEAD is refused like GET for $what', async ({ path, headers = {}, status }) => {
  server.hub.gate = () => Promise.reject(new AppError('symbol_not_found', 'No such symbol.'));
  const [head, get] = [
    await openSse(server.port, path, { headers, method: 'HEAD' }),
    await openSse(server.port, path, { headers }),
  ];
  await Promise.all([head.ended, get.ended]);
  expect([head.status, get.status]).toEqual([status, status]);
  expect(head.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  expect(head.headers['content-length']).toBe(get.headers['content-length']);
  expect(head.text()).toBe('');
  expect(server.connections.stats().sse).toBe(0);
});

test('above STREAM_MAX_CONNECTIONS a client gets 503 overloaded with Retry-After, until one leaves', async () => {
  const small = await startStreamApp({ maxConnections: 1 });
  const first = await openSse(small.port, PATH);
  const second = await openSse(small.port, PATH);
  await second.ended;
  expect(second.status).toBe(503);
  expect(second.headers['retry-after']).toBe('5');
  expect(JSON.parse(second.text())).toMatchObject({
    code: 'overloaded',
    retryable: true,
    retry_after_ms: 5000,
  });
  expect(small.connections.stats().refused).toBe(1);
  first.destroy();
  await expect.poll(() => small.connections.stats().sse).toBe(0);
  const third = await openSse(small.port, PATH);
  expect(third.status).toBe(200);
  await small.close();
});

test('a closing server ends every event stream in order', async () => {
  const client = await openSse(server.port, PATH);
  server.hub.send(tickerEvent({ last: 7 }));
  await server.close();
  await client.ended;
  expect(client.events()).toMatchObject([{ last: 7 }]);
  expect(server.connections.stats().sse).toBe(0);
});

test('the stream is counted as one long-lived answer of its route', async () => {
  const client = await openSse(server.port, PATH);
  client.destroy();
  await expect.poll(() => server.answers.length).toBe(1);
  expect(server.answers[0]).toMatchObject({
    route: '/v1/stream/ticker',
    status: 200,
    longLived: true,
    exchange: 'binance',
  });
});
