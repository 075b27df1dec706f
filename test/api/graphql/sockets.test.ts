// graphql-transport-ws: the protocol's order, its close codes, its bounds, and the streams behind it.
import { once } from 'node:events';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { startSandbox } from '../../../src/sandbox/sandbox.js';
import { GraphqlRig } from './graphql-app.js';

const PROTOCOL = 'graphql-transport-ws';
const SUBSCRIPTION = `subscription ($symbol: String!) {
  ticker(exchange: "binance", symbol: $symbol, threshold: 0) {
    __typename
    ... on TickerEvent { exchange symbol last priceChangePercent sandbox }
    ... on StreamStatus { state }
  }
}`;

interface Message {
  readonly id?: string;
  readonly type: string;
  readonly payload?: unknown;
}

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

const sockets: WebSocket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.terminate();
});

/** A socket whose messages are read one by one. */
class Talk {
  readonly socket: WebSocket;
  readonly closed: Promise<number>;
  readonly #messages: Message[] = [];
  #wake: (() => void) | undefined;

  constructor(
    url = rig.wsUrl,
    protocols: string | string[] = PROTOCOL,
    headers: Record<string, string> = {},
  ) {
    this.socket = new WebSocket(url, protocols, { headers });
    sockets.push(this.socket);
    this.socket.on('message', (data: Buffer) => {
      this.#messages.push(JSON.parse(data.toString()) as Message);
      this.#wake?.();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', resolve);
      this.socket.on('error', () => undefined);
    });
  }

  static async open(): Promise<Talk> {
    const talk = new Talk();
    await once(talk.socket, 'open');
    return talk;
  }

  static async greeted(): Promise<Talk> {
    const talk = await Talk.open();
    talk.say({ type: 'connection_init' });
    expect(await talk.next()).toEqual({ type: 'connection_ack' });
    return talk;
  }

  say(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id: string, query: string, variables?: object): void {
    this.say({ id, type: 'subscribe', payload: { query, variables } });
  }

  async next(wanted: (message: Message) => boolean = () => true): Promise<Message> {
    for (;;) {
      const at = this.#messages.findIndex(wanted);
      const [found] = at < 0 ? [] : this.#messages.splice(at, 1);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

describe('the protocol', () => {
  test('asks for its subprotocol before the upgrade, and chooses it of several', async () => {
    const other = new WebSocket(rig.wsUrl, 'graphql-ws');
    const [, response] = (await once(other, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(400);
    const talk = new Talk(rig.wsUrl, ['other', PROTOCOL]);
    await once(talk.socket, 'open');
    expect(talk.socket.protocol).toBe(PROTOCOL);
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
    const talk = await Talk.open();
    for (const message of messages) {
      talk.say(message);
      // Each is served in its turn; init is answered before the next comes.
      if (
        typeof message === 'object' &&
        message.type === 'connection_init' &&
        messages.length > 1 &&
        message === messages[0]
      )
        await talk.next();
    }
    expect(await talk.closed).toBe(code);
  });

  test('closes a binary message with 4400', async () => {
    const talk = await Talk.open();
    talk.socket.send(Buffer.from('{"type":"ping"}'), { binary: true });
    expect(await talk.closed).toBe(4400);
  });

  test('answers pings, with their payload', async () => {
    const talk = await Talk.open();
    talk.say({ type: 'ping', payload: { a: 1 } });
    expect(await talk.next()).toEqual({ type: 'pong', payload: { a: 1 } });
    talk.say({ type: 'ping' });
    expect(await talk.next()).toEqual({ type: 'pong' });
    talk.say({ type: 'pong' });
    talk.say({ type: 'complete', id: 'nothing' });
    talk.say({ type: 'connection_init' });
    expect(await talk.next()).toEqual({ type: 'connection_ack' });
  });

  test('answers a query and completes it', async () => {
    const talk = await Talk.greeted();
    talk.subscribe('q', '{ ticker(exchange: "binance", symbol: "BTC/USDT") { symbol } }');
    expect(await talk.next()).toEqual({
      id: 'q',
      type: 'next',
      payload: { data: { ticker: { symbol: 'BTC/USDT' } } },
    });
    expect(await talk.next()).toEqual({ id: 'q', type: 'complete' });
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
    const talk = await Talk.greeted();
    talk.subscribe('bad', query);
    const { id, type, payload } = await talk.next();
    expect([id, type]).toEqual(['bad', 'error']);
    expect(payload).toEqual([
      expect.objectContaining({ extensions: expect.objectContaining({ code }) as object }),
    ]);
  });
});

describe('subscriptions', () => {
  test('give the latest at once, then what follows; complete ends them', async () => {
    const talk = await Talk.greeted();
    talk.subscribe('__proto__', SUBSCRIPTION, { symbol: 'ETH/USDT' });
    const isTicker = ({ payload }: Message) => JSON.stringify(payload).includes('TickerEvent');
    const events = [await talk.next(isTicker), await talk.next(isTicker), await talk.next(isTicker)];
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
    talk.say({ type: 'complete', id: '__proto__' });
    talk.say({ type: 'ping' });
    // What was on its way when it ended may come; after the pong nothing does.
    await talk.next(({ type }) => type === 'pong');
    const again = await Talk.greeted();
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
    const talk = await Talk.greeted();
    talk.subscribe('1', `subscription { ...S } fragment S on Subscription { ${selection} }`);
    const { payload } = await talk.next((message) => JSON.stringify(message.payload).includes(type));
    expect(payload).toMatchObject({ data: { [field]: { __typename: type } } });
    expect(JSON.stringify(payload)).not.toContain('errors');
  });

  test('there are at most 200 operations a socket, and 10,000 ids close it', async () => {
    const talk = await Talk.greeted();
    const query = 'subscription { ticker(exchange: "binance", symbol: "BTC/USDT") { __typename } }';
    for (let i = 0; i < 201; i++) talk.subscribe(`s${i}`, query);
    const refused = await talk.next(({ type }) => type === 'error');
    expect(refused.id).toBe('s200');
    expect(refused.payload).toEqual([
      expect.objectContaining({
        extensions: expect.objectContaining({ code: 'stream_limit_reached' }) as object,
      }),
    ]);
    for (let i = 0; i < 10_000; i++) talk.subscribe(`more${i}`, query);
    expect(await talk.closed).toBe(1008);
  });

  test('clients of one document share its execution, and a slow one takes nothing from the others', async () => {
    const [a, b] = [await Talk.greeted(), await Talk.greeted()];
    for (const talk of [a, b]) talk.subscribe('1', SUBSCRIPTION, { symbol: 'SOL/USDT' });
    a.socket.pause();
    const isTicker = ({ payload }: Message) => JSON.stringify(payload).includes('TickerEvent');
    for (let i = 0; i < 5; i++) await b.next(isTicker);
    a.socket.resume();
    expect((await a.next(isTicker)).id).toBe('1');
  });

  test('work with the client of graphql-ws', async () => {
    const client = createClient({ url: rig.wsUrl, webSocketImpl: WebSocket, lazy: true });
    const results: unknown[] = [];
    for await (const result of client.iterate({ query: SUBSCRIPTION, variables: { symbol: 'BTC/USDT' } })) {
      results.push(result.data);
      if (results.length === 3) break;
    }
    expect(results).toHaveLength(3);
    await client.dispose();
  });
});

describe('who may come', () => {
  test('a page of a foreign origin is refused before the upgrade', async () => {
    const closed = await GraphqlRig.start(sandbox, { CORS_ORIGIN: 'https://app.example' });
    const talk = new WebSocket(closed.wsUrl, PROTOCOL, { origin: 'https://other.example' });
    const [, response] = (await once(talk, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(403);
    await closed.close();
  });

  test('an operation costs its units of the client limit, and one too many is an error', async () => {
    const limited = await GraphqlRig.start(sandbox, { CLIENT_RATE_LIMIT_REQUESTS: '5' });
    const talk = new Talk(limited.wsUrl);
    await once(talk.socket, 'open');
    talk.say({ type: 'connection_init' });
    await talk.next();
    const market = '{exchange:"binance",symbol:"BTC/USDT"}';
    talk.subscribe('1', `{ tickers(markets: [${market.repeat(3)}]) { symbol } }`);
    expect((await talk.next(({ type }) => type !== 'complete')).type).toBe('next');
    talk.subscribe('2', `{ tickers(markets: [${market.repeat(2)}]) { symbol } }`);
    const { payload } = await talk.next(({ id }) => id === '2');
    expect(payload).toEqual([
      expect.objectContaining({
        extensions: expect.objectContaining({ code: 'client_rate_limited', retryable: true }) as object,
      }),
    ]);
    await limited.close();
    // A server that ends says so.
    expect(await talk.closed).toBe(1012);
  });
});
