// graphql-transport-ws: the protocol's order, its close codes, its bounds, and the streams behind it.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { startSandbox } from '../../../src/sandbox/sandbox.js';
import { GraphqlRig } from './graphql-app.js';
import { TransportWsClient, type ConnectOptions, type Message } from './transport-ws-client.js';

const PROTOCOL = 'graphql-transport-ws';
const SUBSCRIPTION = `subscription ($symbol: String!) {
  ticker(exchange: "binance", symbol: $symbol, threshold: 0) {
    __typename
    ... on TickerEvent { exchange symbol last priceChangePercent sandbox }
    ... on StreamStatus { state }
  }
}`;

let sandbox: Sandbox;
let rig: GraphqlRig;
beforeAll(async () => {
  sandbox = await startSandbox({ marketsPerVenue: 60, ticksPerSecond: 20, weightLimit: Infinity });
  rig = await GraphqlRig.start(sandbox, { CLIENT_RATE_LIMIT_REQUESTS: '100000' });
});
afterAll(async () => {
  await rig.close();
  await sandbox.close();
});

const clients: TransportWsClient[] = [];
afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.terminate();
});
const connect = (url = rig.wsUrl, options?: ConnectOptions): TransportWsClient => {
  const client = new TransportWsClient(url, options);
  clients.push(client);
  return client;
};
const opened = async (url?: string, options?: ConnectOptions): Promise<TransportWsClient> => {
  const client = connect(url, options);
  await once(client.socket, 'open');
  return client;
};
const acknowledged = async (url?: string): Promise<TransportWsClient> => {
  const client = connect(url);
  await client.init();
  expect(await client.next()).toEqual({ type: 'connection_ack' });
  return client;
};
/** The answer to an upgrade that is refused. */
const refusal = async (url: string, protocols: string[], headers = {}): Promise<IncomingMessage> => {
  const socket = new WebSocket(url, protocols, { headers });
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  response.resume();
  return response;
};

describe('the protocol', () => {
  test.each([
    ['another subprotocol', ['graphql-ws']],
    ['no subprotocol', []],
  ])('refuses an upgrade with %s by 400 with its reason', async (_what, protocols) => {
    const { statusCode, headers } = await refusal(rig.wsUrl, protocols);
    expect([statusCode, headers['content-type']]).toEqual([400, 'application/problem+json; charset=utf-8']);
  });

  test('chooses its subprotocol of several', async () => {
    const { socket } = await opened(rig.wsUrl, { protocols: ['other', PROTOCOL] });
    expect(socket.protocol).toBe(PROTOCOL);
  });

  test('closes with 4408 where connection_init does not come in time', async () => {
    const hasty = await GraphqlRig.start(sandbox, {}, { graphqlInitTimeoutMs: 50 });
    const client = await opened(hasty.wsUrl);
    // A message that is no connection_init does not extend the time.
    client.say({ type: 'ping' });
    expect(await client.closed).toBe(4408);
    await hasty.close();
  });

  test.each([
    ['4400 for what is no message', ['{'], 4400],
    [
      '4400 for a type that clients do not send',
      [{ type: 'connection_init' }, { type: 'connection_ack' }],
      4400,
    ],
    ['4401 before init', [{ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } }], 4401],
    ['4429 for a second init', [{ type: 'connection_init' }, { type: 'connection_init' }], 4429],
    [
      '4409 for the same id',
      [
        { type: 'connection_init' },
        ...Array.from({ length: 2 }, () => ({
          id: '1',
          type: 'subscribe',
          payload: { query: SUBSCRIPTION, variables: { symbol: 'BTC/USDT' } },
        })),
      ],
      4409,
    ],
    [
      '4400 for an id of more than 64 characters',
      [
        { type: 'connection_init' },
        { id: 'x'.repeat(65), type: 'subscribe', payload: { query: '{ __typename }' } },
      ],
      4400,
    ],
    [
      '1009 for a message of more than 16 kB',
      [{ type: 'connection_init', payload: { a: 'x'.repeat(20_000) } }],
      1009,
    ],
  ])('closes with %s', async (_name, messages, code) => {
    const client = await opened();
    for (const message of messages) {
      client.say(message);
      // Each is served in its turn; init is answered before the next comes.
      if (
        typeof message === 'object' &&
        message.type === 'connection_init' &&
        messages.length > 1 &&
        message === messages[0]
      )
        await client.next();
    }
    expect(await client.closed).toBe(code);
  });

  test('closes a binary message with 4400', async () => {
    const client = await opened();
    client.socket.send(Buffer.from('{"type":"ping"}'), { binary: true });
    expect(await client.closed).toBe(4400);
  });

  test('closes with 4400 a message that nests deeply, of any type, and 1008 after a flood of pings', async () => {
    const deep = `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`;
    for (const message of [
      `{"type":"ping","payload":${deep}}`,
      `{"id":"1","type":"subscribe","payload":{"query":"{__typename}","variables":${deep}}}`,
    ]) {
      const client = await opened();
      client.say(message);
      expect(await client.closed).toBe(4400);
    }
    const flood = await opened();
    for (let i = 0; i < 200; i++) flood.say({ type: 'ping' });
    expect(await flood.closed).toBe(1008);
    expect(flood.messages.length).toBeLessThan(150);
  });

  test('answers pings, with their payload', async () => {
    const client = await opened();
    client.say({ type: 'ping', payload: { a: 1 } });
    expect(await client.next()).toEqual({ type: 'pong', payload: { a: 1 } });
    client.say({ type: 'ping' });
    expect(await client.next()).toEqual({ type: 'pong' });
    client.say({ type: 'pong' });
    client.say({ type: 'complete', id: 'nothing' });
    client.say({ type: 'connection_init' });
    expect(await client.next()).toEqual({ type: 'connection_ack' });
  });

  test('answers a query and completes it', async () => {
    const client = await acknowledged();
    client.subscribe('q', '{ ticker(exchange: "binance", symbol: "BTC/USDT") { symbol } }');
    expect(await client.next()).toEqual({
      id: 'q',
      type: 'next',
      payload: { data: { ticker: { symbol: 'BTC/USDT' } } },
    });
    expect(await client.next()).toEqual({ id: 'q', type: 'complete' });
  });

  test.each([
    ['what the schema does not have', '{ nothing }', 'graphql_validation_failed'],
    ['what is too complex', `{ ${'__typename '.repeat(201)} }`, 'query_too_complex'],
    [
      'a symbol that is not there',
      'subscription { trades(exchange: "binance", symbol: "NO/SUCH") { __typename } }',
      'symbol_not_found',
    ],
    [
      'an exchange that is not there',
      'subscription { trades(exchange: "nowhere", symbol: "A/B") { __typename } }',
      'unknown_exchange',
    ],
    [
      'an argument that is not valid',
      'subscription { ticker(exchange: "binance", symbol: "A/B", threshold: 3) { __typename } }',
      'invalid_request',
    ],
  ])('refuses %s with an error of its operation', async (_name, query, code) => {
    const client = await acknowledged();
    client.subscribe('bad', query);
    const { id, type, payload } = await client.next();
    expect([id, type]).toEqual(['bad', 'error']);
    expect(payload).toEqual([
      expect.objectContaining({ extensions: expect.objectContaining({ code }) as object }),
    ]);
  });
});

describe('subscriptions', () => {
  test('give the latest at once, then what follows; complete ends them', async () => {
    const client = await acknowledged();
    client.subscribe('__proto__', SUBSCRIPTION, { symbol: 'ETH/USDT' });
    const isTicker = ({ payload }: Message) => JSON.stringify(payload).includes('TickerEvent');
    const events = [await client.next(isTicker), await client.next(isTicker), await client.next(isTicker)];
    for (const { id, type, payload } of events) {
      expect([id, type]).toEqual(['__proto__', 'next']);
      expect(payload).toEqual({
        data: {
          ticker: {
            __typename: 'TickerEvent',
            ...{ exchange: 'binance', symbol: 'ETH/USDT', sandbox: true },
            last: expect.any(Number) as number,
            priceChangePercent: expect.any(Number) as number,
          },
        },
      });
    }
    client.say({ type: 'complete', id: '__proto__' });
    client.say({ type: 'ping' });
    // What was on its way when it ended may come; after the pong nothing does.
    await client.next(({ type }) => type === 'pong');
    const again = await acknowledged();
    again.subscribe('1', '{ status { exchanges { id feeds { live polling } } } }');
    expect((await again.next()).payload).toMatchObject({
      data: { status: { exchanges: [{ id: 'binance' }, {}, {}] } },
    });
  });

  test.each([
    [
      'trades',
      'trades(exchange: "kraken", symbol: "BTC/USD") { __typename ... on TradesEvent { trades { tradeId price } } }',
      'TradesEvent',
    ],
    [
      'orderBook',
      'orderBook(exchange: "binance", symbol: "BTC/USDT") { __typename ... on OrderBookEvent { bids { price } bookIntegrity } }',
      'OrderBookEvent',
    ],
    [
      'ohlcv',
      'ohlcv(exchange: "binance", symbol: "BTC/USDT") { __typename ... on OhlcvEvent { interval candles { close closed } } }',
      'OhlcvEvent',
    ],
  ])('%s come as their events', async (field, selection, type) => {
    const client = await acknowledged();
    client.subscribe('1', `subscription { ...S } fragment S on Subscription { ${selection} }`);
    const { payload } = await client.next((message) => JSON.stringify(message.payload).includes(type));
    expect(payload).toMatchObject({ data: { [field]: { __typename: type } } });
    expect(JSON.stringify(payload)).not.toContain('errors');
  });

  test('there are at most 200 operations a socket, and 10,000 ids close it', async () => {
    const client = await acknowledged();
    const query = 'subscription { ticker(exchange: "binance", symbol: "BTC/USDT") { __typename } }';
    for (let i = 0; i < 201; i++) client.subscribe(`s${i}`, query);
    const refused = await client.next(({ type }) => type === 'error');
    expect(refused.id).toBe('s200');
    expect(refused.payload).toEqual([
      expect.objectContaining({
        extensions: expect.objectContaining({ code: 'stream_limit_reached' }) as object,
      }),
    ]);
    for (let i = 0; i < 10_000; i++) client.subscribe(`more${i}`, query);
    expect(await client.closed).toBe(1008);
  });

  test('clients of one document share its execution, and a slow one takes nothing from the others', async () => {
    const [a, b] = [await acknowledged(), await acknowledged()];
    for (const client of [a, b]) client.subscribe('1', SUBSCRIPTION, { symbol: 'SOL/USDT' });
    a.socket.pause();
    const isTicker = ({ payload }: Message) => JSON.stringify(payload).includes('TickerEvent');
    for (let i = 0; i < 5; i++) await b.next(isTicker);
    a.socket.resume();
    expect((await a.next(isTicker)).id).toBe('1');
  });

  test('work with the client of graphql-ws', async () => {
    const library = createClient({ url: rig.wsUrl, webSocketImpl: WebSocket, lazy: true });
    const results: unknown[] = [];
    for await (const result of library.iterate({ query: SUBSCRIPTION, variables: { symbol: 'BTC/USDT' } })) {
      results.push(result.data);
      if (results.length === 3) break;
    }
    expect(results).toHaveLength(3);
    await library.dispose();
  });
});

describe('who may come', () => {
  test('a page of a foreign origin is refused before the upgrade', async () => {
    const closed = await GraphqlRig.start(sandbox, { CORS_ORIGIN: 'https://app.example' });
    const { statusCode } = await refusal(closed.wsUrl, [PROTOCOL], { origin: 'https://other.example' });
    expect(statusCode).toBe(403);
    await closed.close();
  });

  test('an operation costs its units of the client limit, and one too many is an error', async () => {
    const limited = await GraphqlRig.start(sandbox, { CLIENT_RATE_LIMIT_REQUESTS: '5' });
    const client = await acknowledged(limited.wsUrl);
    const market = '{exchange:"binance",symbol:"BTC/USDT"}';
    client.subscribe('1', `{ tickers(markets: [${market.repeat(3)}]) { symbol } }`);
    expect((await client.next(({ type }) => type !== 'complete')).type).toBe('next');
    client.subscribe('2', `{ tickers(markets: [${market.repeat(2)}]) { symbol } }`);
    const { payload } = await client.next(({ id }) => id === '2');
    expect(payload).toEqual([
      expect.objectContaining({
        extensions: expect.objectContaining({ code: 'client_rate_limited', retryable: true }) as object,
      }),
    ]);
    await limited.close();
    // A server that ends says so.
    expect(await client.closed).toBe(1012);
  });
});
