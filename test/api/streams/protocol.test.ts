import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { likelySymbol } from '../../../src/market-data/market-directory.js';
import { tickerEvent, tradesEvent } from '../../support/fake-hub.js';
import { connectWs, startStreamApp, type StreamApp, type WsClient } from './stream-app.js';

let server: StreamApp;
let client: WsClient;

beforeEach(async () => {
  server = await startStreamApp();
  client = await connectWs(server.port, '/ws');
});
afterEach(() => server.close());

const subscribe = (symbol: string | string[], more: object = {}, req_id: unknown = 1) => ({
  method: 'subscribe',
  params: { channel: 'ticker', exchange: 'binance', symbol, ...more },
  req_id,
});

/** Sends a request and resolves with the next message. */
const ask = async (message: unknown): Promise<Record<string, unknown>> => {
  const before = client.messages.length;
  client.send(message);
  await client.until((messages) => messages.length > before);
  return client.messages[before]!;
};

describe('subscribe', () => {
  test('answers once a symbol with its req_id, then sends the snapshot and updates', async () => {
    server.hub.snapshot = ({ topic }) => [tickerEvent({ symbol: likelySymbol(topic.symbol), last: 0 })];
    client.send(subscribe(['BTC/USDT', 'eth-usdt'], { threshold: 0 }, 'first'));
    await client.until((messages) => messages.length === 4);
    expect(client.messages).toEqual([
      expect.objectContaining({
        event_type: 'reply',
        method: 'subscribe',
        req_id: 'first',
        success: true,
        channel: 'ticker',
        exchange: 'binance',
        symbol: 'BTC/USDT',
      }),
      expect.objectContaining({ event_type: 'ticker', symbol: 'BTC/USDT', last: 0 }),
      expect.objectContaining({ success: true, symbol: 'ETH/USDT', req_id: 'first' }),
      expect.objectContaining({ event_type: 'ticker', symbol: 'ETH/USDT', last: 0 }),
    ]);
    server.hub.send(tickerEvent({ last: 5 }));
    await client.until((messages) => messages.length === 6);
    expect(server.hub.requests.map(({ threshold }) => threshold)).toEqual([0, 0]);
  });

  test('names the last event that was seen as since, and takes the place of what is there', async () => {
    await ask(subscribe('BTC/USDT'));
    await ask(subscribe('BTC/USDT', { since: '1795350115200-7' }));
    expect(server.hub.requests.map(({ lastEventId }) => lastEventId)).toEqual([undefined, '1795350115200-7']);
    expect(server.hub.open.size).toBe(1);
    const { subscriptions } = await ask({ method: 'list' });
    expect(subscriptions).toEqual([{ channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' }]);
    const unsubscribed = await ask({ ...subscribe('BTC/USDT', { since: 7 }), method: 'unsubscribe' });
    expect(unsubscribed).toMatchObject({ success: true });
  });

  test('since is of one symbol, and as long as an id may be', async () => {
    expect(await ask(subscribe(['BTC/USDT', 'ETH/USDT'], { since: '1-1' }))).toMatchObject({
      ...{ success: false, symbol: 'BTC/USDT', req_id: 1 },
      problem: { code: 'invalid_request', detail: 'since is of one symbol: it takes exactly one.' },
    });
    await client.until((messages) => messages.length === 2);
    expect(await ask(subscribe('BTC/USDT', { since: 'x'.repeat(65) }))).toMatchObject({
      ...{ event_type: 'error', code: 'invalid_request', req_id: 1 },
      errors: [{ parameter: 'params.since' }],
    });
    expect(server.hub.requests).toEqual([]);
    expect(await ask(subscribe('BTC/USDT', { since: 'x'.repeat(64) }))).toMatchObject({ success: true });
  });

  test('events tell their ids; on the stream of one ticker they do not', async () => {
    server.hub.snapshot = () => [tickerEvent({ last: 7 })];
    client.send(subscribe('BTC/USDT'));
    await client.until((messages) => messages.length === 2);
    expect(client.messages[0]).not.toHaveProperty('id');
    expect(client.messages[1]).toMatchObject({ event_type: 'ticker', last: 7, id: '7' });
    const single = await connectWs(server.port, '/ws/ticker?exchange=binance&symbol=BTC/USDT');
    await single.until((messages) => messages.length === 1);
    expect(single.messages[0]).toMatchObject({ last: 7 });
    expect(single.messages[0]).not.toHaveProperty('id');
    single.socket.terminate();
  });

  test('a client that asks for symbol after symbol gets a retry time, and the venue is not asked any more', async () => {
    server.hub.gate = () => Promise.reject(new AppError('symbol_not_found', 'None of them.'));
    const unknown = (round: number) => Array.from({ length: 200 }, (_, i) => `R${round}N${i}/USDT`);
    for (const round of [1, 2]) {
      client.send(subscribe(unknown(round)));
      await client.until((messages) => messages.length === round * 200);
    }
    expect(await ask(subscribe(unknown(3), {}, 'third'))).toMatchObject({
      event_type: 'error',
      code: 'client_rate_limited',
      method: 'subscribe',
      req_id: 'third',
      retry_after_ms: expect.any(Number) as number,
    });
    expect(server.hub.requests).toHaveLength(400);
    expect(await ask({ method: 'ping' })).toMatchObject({ method: 'ping', success: true });
  });

  test('a bad symbol is refused with a problem and affects no good one', async () => {
    server.hub.gate = ({ topic }) =>
      topic.symbol === 'FOO/BAR'
        ? Promise.reject(new AppError('symbol_not_found', 'No FOO/BAR here.'))
        : Promise.resolve();
    client.send(subscribe(['BTC/USDT', 'FOO/BAR', ' ']));
    await client.until((messages) => messages.length === 3);
    const bySymbol = Object.fromEntries(client.messages.map((m) => [m['symbol'], m]));
    expect(bySymbol['BTC/USDT']).toMatchObject({ success: true });
    expect(bySymbol['FOO/BAR']).toMatchObject({
      success: false,
      req_id: 1,
      problem: { code: 'symbol_not_found', status: 400, detail: 'No FOO/BAR here.', instance: '/ws' },
    });
    expect(bySymbol[' ']).toMatchObject({ success: false, problem: { code: 'invalid_request' } });
    expect(server.hub.open.size).toBe(1);
  });

  test('an exchange that is not there is a problem of each symbol', async () => {
    expect(await ask(subscribe('BTC/USDT', { exchange: 'nowhere' }))).toMatchObject({
      success: false,
      problem: { code: 'unknown_exchange' },
    });
  });

  test('the same subscription again succeeds without a second one', async () => {
    await ask(subscribe('BTC/USDT'));
    expect(await ask(subscribe('btc_usdt', {}, 2))).toMatchObject({
      success: true,
      req_id: 2,
      symbol: 'BTC/USDT',
    });
    expect(server.hub.requests).toHaveLength(1);
  });

  test('a second request for a topic that is still being opened waits for the first', async () => {
    let open = (): void => undefined;
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    client.send(subscribe('BTC/USDT', {}, 1));
    client.send(subscribe('BTC/USDT', {}, 2));
    await expect.poll(() => server.hub.requests.length).toBe(1);
    open();
    await client.until((messages) => messages.length === 2);
    expect(client.messages.map(({ req_id, success }) => [req_id, success])).toEqual([
      [1, true],
      [2, true],
    ]);
    expect(server.hub.open.size).toBe(1);
  });

  test('another threshold replaces the one before', async () => {
    await ask(subscribe('BTC/USDT', { threshold: 0.01 }));
    await ask(subscribe('BTC/USDT', { threshold: 0.5 }));
    expect(server.hub.open.size).toBe(1);
    expect([...server.hub.open][0]!.request.threshold).toBe(0.5);
  });

  test('trades, orderbook and ohlcv are channels of their own', async () => {
    for (const more of [
      { channel: 'trades' },
      { channel: 'orderbook' },
      { channel: 'ohlcv', interval: '5m' },
    ])
      expect(await ask(subscribe('BTC/USDT', more))).toMatchObject({ success: true, ...more });
    expect(server.hub.requests.map(({ topic }) => [topic.channel, topic.interval])).toEqual([
      ['trades', undefined],
      ['orderbook', undefined],
      ['ohlcv', '5m'],
    ]);
    server.hub.send(tradesEvent(['a']), 'trades');
    await client.until((messages) => messages.at(-1)?.['event_type'] === 'trades');
  });

  test('ohlcv without an interval is the 1m feed', async () => {
    expect(await ask(subscribe('BTC/USDT', { channel: 'ohlcv' }))).toMatchObject({ interval: '1m' });
  });

  test('more than 200 subscriptions are refused one by one', async () => {
    const symbols = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${prefix}${i}/USDT`);
    client.send(subscribe(symbols('A', 199)));
    client.send(subscribe(['B/USDT', 'C/USDT'], {}, 2));
    await client.until((messages) => messages.length === 201);
    expect(client.messages.filter(({ success }) => success)).toHaveLength(200);
    expect(client.messages.find(({ success }) => success === false)).toMatchObject({
      req_id: 2,
      symbol: 'C/USDT',
      problem: { code: 'invalid_request', detail: expect.stringContaining('200') },
    });
  });

  test('a client that leaves while a subscription is being opened leaves none behind', async () => {
    let open = (): void => undefined;
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    client.send(subscribe('BTC/USDT'));
    await expect.poll(() => server.hub.requests.length).toBe(1);
    client.socket.terminate();
    await expect.poll(() => server.connections.stats().websocket).toBe(0);
    open();
    await expect.poll(() => server.hub.closed).toBe(1);
  });
});

describe('unsubscribe', () => {
  const unsubscribe = (symbol: string, more: object = {}) => ({
    ...subscribe(symbol, more),
    method: 'unsubscribe',
  });

  test('ends the subscription and its events', async () => {
    await ask(subscribe('BTC/USDT'));
    expect(await ask(unsubscribe('BTC/USDT'))).toMatchObject({
      method: 'unsubscribe',
      success: true,
      req_id: 1,
    });
    expect(server.hub.open.size).toBe(0);
  });

  test.each([
    { channel: 'ticker', symbol: 'BTC/USDT', threshold: 0.001 },
    { channel: 'ticker', symbol: ['BTC/USDT'], threshold: 0 },
    { channel: 'trades', symbol: 'BTC/USDT' },
    { channel: 'orderbook', symbol: 'BTC/USDT' },
    { channel: 'ohlcv', symbol: 'BTC/USDT', interval: '5m' },
  ])('takes the same params as subscribe: %j', async (params) => {
    const request = { params: { exchange: 'binance', ...params }, req_id: 7 };
    expect(await ask({ method: 'subscribe', ...request })).toMatchObject({ success: true });
    await server.hub.opened(1);
    expect(await ask({ method: 'unsubscribe', ...request })).toMatchObject({
      event_type: 'reply',
      method: 'unsubscribe',
      success: true,
      req_id: 7,
    });
    await server.hub.opened(0);
    expect(await ask({ method: 'list' })).toMatchObject({ subscriptions: [] });
  });

  test('of a subscription that is not there succeeds', async () => {
    expect(await ask(unsubscribe('BTC/USDT', { channel: 'ohlcv', interval: '1h' }))).toMatchObject({
      success: true,
    });
  });

  test('overtaking its subscribe withdraws it', async () => {
    let open = (): void => undefined;
    server.hub.gate = () => new Promise((resolve) => (open = resolve));
    client.send(subscribe('BTC/USDT', {}, 1));
    await expect.poll(() => server.hub.requests.length).toBe(1);
    await ask(unsubscribe('BTC/USDT'));
    open();
    await client.until((messages) => messages.length === 2);
    expect(client.messages[1]).toMatchObject({ method: 'subscribe', success: false });
    expect(server.hub.open.size).toBe(0);
  });
});

test('ping is answered with the time, list with the subscriptions', async () => {
  expect(await ask({ method: 'ping', req_id: 7 })).toEqual({
    event_type: 'reply',
    method: 'ping',
    req_id: 7,
    success: true,
    timestamp: expect.any(Number),
  });
  await ask(subscribe('BTC/USDT', { threshold: 0.01 }));
  await ask(subscribe('BTC/USDT', { channel: 'ohlcv', interval: '1h' }));
  expect(await ask({ method: 'list' })).toEqual({
    event_type: 'reply',
    method: 'list',
    success: true,
    subscriptions: [
      { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT', threshold: 0.01 },
      { channel: 'ohlcv', exchange: 'binance', symbol: 'BTC/USDT', interval: '1h' },
    ],
  });
});

test('a subscription that is still being opened is listed already', async () => {
  server.hub.gate = () => new Promise(() => undefined);
  client.send(subscribe('BTC/USDT'));
  expect(await ask({ method: 'list' })).toMatchObject({ subscriptions: [{ symbol: 'BTC/USDT' }] });
});

describe('what is no request', () => {
  test.each([['{'], ['"text"'], ['null'], ['']])(
    '%s is answered with an error, and the client stays',
    async (text) => {
      client.socket.send(text);
      await client.until((messages) => messages.length === 1);
      expect(client.messages[0]).toMatchObject({ event_type: 'error', code: 'invalid_request', status: 400 });
      expect(await ask({ method: 'ping' })).toMatchObject({ success: true });
    },
  );

  test('a binary message is answered with an error', async () => {
    client.socket.send(Buffer.from('{"method":"ping"}'), { binary: true });
    await client.until((messages) => messages.length === 1);
    expect(client.messages[0]).toMatchObject({ event_type: 'error', code: 'invalid_request' });
  });

  test('the error for a malformed request names the parameter, its method and req_id', async () => {
    const message = subscribe('BTC/USDT', { channel: 'ticker', threshold: 3 }, 9);
    expect(await ask(message)).toMatchObject({
      event_type: 'error',
      method: 'subscribe',
      req_id: 9,
      code: 'invalid_request',
      errors: [{ parameter: 'params.threshold' }],
    });
    expect(await ask({ method: 'order', req_id: { a: 1 } })).toMatchObject({
      event_type: 'error',
      method: 'order',
    });
    expect(client.messages.at(-1)).not.toHaveProperty('req_id');
  });

  test('a client that goes on with it is closed with 1008', async () => {
    for (let i = 0; i < 21; i += 1) client.socket.send('{');
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(client.messages).toHaveLength(21);
  });

  test('too many messages are refused with a time to wait, and closed with 1008 in the end', async () => {
    for (let i = 0; i < 120; i += 1) client.send({ method: 'ping', req_id: i });
    expect(await client.closed).toMatchObject({ code: 1008 });
    const refused = client.messages.filter(({ code }) => code === 'client_rate_limited');
    expect(refused.length).toBeGreaterThanOrEqual(21);
    expect(refused[0]).toMatchObject({ event_type: 'error', retry_after_ms: expect.any(Number) });
  });
});

describe("the keep-alives of other services' clients", () => {
  test.each([
    ['ping', undefined],
    ['"ping"', undefined],
    ['PING', undefined],
    ['{"op":"ping"}', undefined],
    ['{"op":"ping","req_id":"a"}', 'a'],
    ['{"event":"ping","reqid":42}', 42],
    ['{"type":"ping","id":"1545910590801"}', '1545910590801'],
    ['{"time":1545404023,"channel":"spot.ping"}', undefined],
    ['{"method":"PING"}', undefined],
    ['{"id":7,"method":"ping","params":[]}', 7],
    ['{"cmd":"ping"}', undefined],
    ['{"ping":1492420473027}', undefined],
  ])('%s is answered as a ping', async (text, req_id) => {
    client.socket.send(text);
    await client.until((messages) => messages.length === 1);
    expect(client.messages).toEqual([
      {
        event_type: 'reply',
        method: 'ping',
        success: true,
        timestamp: expect.any(Number),
        ...(req_id === undefined ? {} : { req_id }),
      },
    ]);
  });

  test('do not close a connection, however many there are', async () => {
    for (const text of ['ping', '{"op":"ping"}']) for (let i = 0; i < 25; i += 1) client.socket.send(text);
    await client.until((messages) => messages.length === 50);
    expect(await ask({ method: 'list' })).toMatchObject({ success: true });
  });

  test('an answer to a ping that was never sent is passed over', async () => {
    for (const text of ['pong', '{"pong":1}', '{"op":"pong"}']) client.socket.send(text);
    expect(await ask({ method: 'ping', req_id: 9 })).toMatchObject({ req_id: 9 });
    expect(client.messages).toHaveLength(1);
  });

  test('are answered on /ws/ticker as well, and close nothing there either', async () => {
    const stream = await connectWs(server.port, '/ws/ticker?exchange=binance&symbol=BTC/USDT');
    for (let i = 0; i < 25; i += 1) stream.socket.send(i % 2 === 0 ? 'ping' : '{"method":"ping"}');
    await stream.until((messages) => messages.length === 25);
    expect(new Set(stream.messages.map(({ method }) => method))).toEqual(new Set(['ping']));
    stream.socket.close();
    expect(await stream.closed).toMatchObject({ code: 1005 });
  });
});

test('in the sandbox an error event says so', async () => {
  const sandboxed = await startStreamApp({ sandbox: true });
  const other = await connectWs(sandboxed.port, '/ws');
  other.socket.send('{');
  await other.until((messages) => messages.length === 1);
  expect(other.messages[0]).toMatchObject({ event_type: 'error', sandbox: true });
  await sandboxed.close();
});
