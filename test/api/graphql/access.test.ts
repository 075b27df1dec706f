// GraphQL where access is on: credentials on each transport, scopes, plans, units, and what ends with a credential.
import { createHash } from 'node:crypto';
import type { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { makeKey } from '../../../src/access/key-format.js';
import { testFolder } from '../access/access-app.js';
import { PlansRig, startVenues } from '../access/plans-rig.js';
import { TransportWsClient, type Message } from './transport-ws-client.js';
import { openSocket, opened } from '../access/stream-clients.js';

const QUERY = '{ ticker(exchange: "binance", symbol: "BTC/USDT") { symbol } }';
const GOOD = { data: { ticker: { symbol: 'BTC/USDT' } } };
const LIVE =
  'subscription { ticker(exchange: "binance", symbol: "BTC/USDT") { __typename ... on TickerEvent { symbol } } }';

let venues: Sandbox;
let folder: ReturnType<typeof testFolder>;
let rig: PlansRig;
const sockets: WebSocket[] = [];
beforeAll(async () => {
  venues = await startVenues();
});
afterAll(() => venues.close());
beforeEach(() => {
  folder = testFolder();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  // fetch may hold a connection that it never used.
  rig.app.server.closeAllConnections();
  await rig.close();
  await folder.end();
});

const start = async (env: Readonly<Record<string, string>> = {}): Promise<PlansRig> => {
  rig = await PlansRig.start(venues, folder.file, env);
  return rig;
};

const connect = (path = '/graphql', headers: Record<string, string> = {}): TransportWsClient => {
  const client = new TransportWsClient(`ws://127.0.0.1:${rig.port}${path}`, { headers });
  sockets.push(client.socket);
  return client;
};
const init = (client: TransportWsClient, key: string | null): Promise<void> =>
  client.init(key === null ? undefined : { authorization: `Bearer ${key}` });
/** By `connection_init`, and acknowledged. */
const acknowledged = async (
  key: string | null,
  path?: string,
  headers?: Record<string, string>,
): Promise<TransportWsClient> => {
  const client = connect(path, headers);
  await init(client, key);
  await client.next(({ type }) => type === 'connection_ack');
  return client;
};

const post = async (key: string | null, body: object, accept = 'application/json') =>
  fetch(`http://127.0.0.1:${rig.port}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept,
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify(body),
  });

const codesOf = (message: { readonly errors?: readonly { extensions: { code: string } }[] }): unknown =>
  message.errors?.map(({ extensions }) => extensions.code);
const codeOf = async (answer: Response | Promise<Response>): Promise<unknown> => {
  const body = (await (await answer).json()) as Parameters<typeof codesOf>[0] & { code?: string };
  return body.code ?? codesOf(body);
};
const errorOf = ({ type, payload }: Message): unknown =>
  type === 'error' ? codesOf({ errors: payload as { extensions: { code: string } }[] }) : type;

describe('scopes', () => {
  test('of queries and subscriptions are those of REST and streams over HTTP', async () => {
    await start();
    const { key: reads } = await rig.issue({ scopes: ['market:read'] });
    const { key: streams } = await rig.issue({ scopes: ['stream:read'] });
    expect(await (await post(reads, { query: QUERY })).json()).toEqual(GOOD);
    const refused = await post(streams, { query: QUERY });
    expect([refused.status, await codeOf(refused)]).toEqual([403, 'insufficient_scope']);
    expect(await codeOf(post(reads, { query: LIVE }, 'text/event-stream'))).toBe('insufficient_scope');
    const stream = await post(streams, { query: LIVE }, 'text/event-stream');
    expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    await stream.body?.cancel();
  });

  test.each([
    ['with a header', (key: string) => acknowledged(null, '/graphql', { 'x-api-key': key })],
    ['by connection_init', (key: string) => acknowledged(key)],
  ])('are the same over a WebSocket that is opened %s', async (_how, open) => {
    await start();
    const reader = await open((await rig.issue({ scopes: ['market:read'] })).key);
    expect(errorOf(await reader.ask('q', QUERY))).toBe('next');
    expect(errorOf(await reader.ask('s', LIVE))).toEqual(['insufficient_scope']);
    const streamer = await open((await rig.issue({ scopes: ['stream:read'] })).key);
    expect(errorOf(await streamer.ask('q', QUERY))).toEqual(['insufficient_scope']);
    expect(errorOf(await streamer.ask('s', LIVE))).toBe('next');
  });

  test('a batch needs the one of queries', async () => {
    await start({ GRAPHQL_MAX_BATCH: '2' });
    const { key } = await rig.issue({ scopes: ['stream:read'] });
    expect(await codeOf(post(key, [{ query: QUERY }] as object))).toBe('insufficient_scope');
  });
});

describe('connection_init', () => {
  test.each([
    ['without a credential', null],
    ['with an unknown key', makeKey()],
    ['with what is no credential', 'two words'],
  ])('%s is refused with 4403', async (_what, credential) => {
    await start();
    const client = connect();
    await init(client, credential);
    expect(await client.closed).toBe(4403);
  });

  test('of a key that may do nothing here is refused', async () => {
    await start();
    const client = connect();
    await init(client, (await rig.issue({ scopes: ['history:read'] })).key);
    expect(await client.closed).toBe(4403);
  });

  test('of a good key is served from an address with too many failures; so is auth on /ws', async () => {
    await start();
    const { key } = await rig.issue();
    for (let i = 0; i < 22; i++) await rig.get('/v1/exchanges', makeKey());
    expect((await rig.get('/v1/exchanges', makeKey())).statusCode).toBe(429);
    // The same address: loopback.
    for (let i = 0; i < 22; i++) await (await post(makeKey(), { query: QUERY })).text();
    const client = await acknowledged(key);
    expect(errorOf(await client.ask('q', QUERY))).toBe('next');
    const stream = opened(await openSocket(rig.port, '/ws'));
    stream.send({ method: 'auth', params: { token: key }, req_id: 1 });
    expect(await stream.next(({ req_id }) => req_id === 1)).toMatchObject({ success: true });
    stream.socket.close();
  });
});

test('a ticket for GraphQL opens one WebSocket or one event stream', async () => {
  await start();
  const { key } = await rig.issue();
  const ticketOf = async (purpose: string): Promise<string> => {
    const answer = await rig.app.inject({
      method: 'POST',
      url: '/v1/tickets',
      headers: { 'x-api-key': key },
      payload: { purpose },
    });
    return answer.json<{ ticket: string }>().ticket;
  };
  const ticket = await ticketOf('graphql');
  const client = await acknowledged(null, `/graphql?ticket=${ticket}`);
  expect(errorOf(await client.ask('s', LIVE))).toBe('next');
  const sse = (used: string) => {
    const search = new URLSearchParams({ query: LIVE, ticket: used });
    const headers = { accept: 'text/event-stream' };
    return fetch(`http://127.0.0.1:${rig.port}/graphql?${search.toString()}`, { headers });
  };
  expect(await codeOf(sse(ticket))).toBe('ticket_invalid');
  expect(await codeOf(sse(await ticketOf('sse')))).toBe('ticket_invalid');
  const stream = await sse(await ticketOf('graphql'));
  expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
  await stream.body?.cancel();
});

describe('what is open ends', () => {
  test.each([
    ['the key is revoked', (id: string) => rig.access.keys.revoke(id, 'cli'), 'credentials_revoked'],
    [
      'the key expires',
      (id: string) => rig.access.keys.update(id, { expiresAt: Date.now() + 1_000 }, 'cli'),
      'credentials_expired',
    ],
    [
      'the key loses the scope',
      (id: string) => rig.access.keys.update(id, { scopes: ['market:read'] }, 'cli'),
      'insufficient_scope',
    ],
  ])('when %s: 4403, and an error before the end of an event stream', async (_when, end, code) => {
    await start();
    const { id, key } = await rig.issue();
    const clients = [await acknowledged(key), await acknowledged(null, '/graphql', { 'x-api-key': key })];
    for (const client of clients) expect(errorOf(await client.ask('s', LIVE))).toBe('next');
    const stream = await post(key, { query: LIVE }, 'text/event-stream');
    expect(stream.status).toBe(200);
    const text = stream.text();
    await end(id);
    for (const client of clients) expect(await client.closed).toBe(4403);
    const events = (await text).split('\n\n').filter((event) => event.startsWith('event: '));
    expect(events.at(-2)).toMatch(/^event: next\ndata: \{"errors":/);
    expect(events.at(-2)).toContain(`"code":"${code}"`);
    expect(events.at(-1)).toBe('event: complete\ndata: ');
  });
});

describe('a plan', () => {
  const ohlcv = (limit: number) =>
    `{ ohlcv(exchange: "binance", symbol: "BTC/USDT", limit: ${limit}) { symbol } }`;
  const kraken = '{ ticker(exchange: "kraken", symbol: "BTC/USD") { symbol } }';

  test('bounds exchanges and candles of each field, and the cost of an operation, before it is executed', async () => {
    await start({ GRAPHQL_MAX_BATCH: '2' });
    const key = await rig.keyOf({ exchanges: ['binance'], ohlcv_max: 10, graphql_cost: 2 });
    const dear = `{ ${'abc'
      .split('')
      .map((name) => `${name}: ${QUERY.slice(2, -2)}`)
      .join(' ')} }`;
    expect((await post(key, { query: ohlcv(10) })).status).toBe(200);
    for (const query of [kraken, ohlcv(11), dear])
      expect(await codeOf(post(key, { query }))).toEqual(['plan_forbids']);
    const [first, second] = (await (await post(key, [{ query: dear }, { query: QUERY }])).json()) as object[];
    expect([codesOf(first ?? {}), second]).toEqual([
      ['plan_forbids'],
      { data: { ticker: { symbol: 'BTC/USDT' } } },
    ]);
    const client = await acknowledged(key);
    expect(errorOf(await client.ask('d', dear))).toEqual(['plan_forbids']);
    expect(JSON.stringify(await client.ask('k', kraken))).toContain('plan_forbids');
    expect(errorOf(await client.ask('s', LIVE.replace('binance', 'kraken').replace('USDT', 'USD')))).toEqual([
      'plan_forbids',
    ]);
  });

  test('bounds streams and subscriptions', async () => {
    await start();
    const key = await rig.keyOf({ streams: 1, subscriptions: 1 });
    const client = await acknowledged(key);
    expect(errorOf(await client.ask('1', LIVE))).toBe('next');
    expect(errorOf(await client.ask('2', LIVE))).toEqual(['stream_limit_reached']);
    const second = connect();
    await init(second, key);
    expect(await second.closed).toBe(4403);
    expect(await codeOf(post(key, { query: LIVE }, 'text/event-stream'))).toBe('stream_limit_reached');
    client.socket.close();
    await client.closed;
    // The slot is given back once the server has seen the close.
    const again = async () => {
      const next = connect();
      await init(next, key);
      return Promise.race([next.closed, next.next().then(({ type }) => type)]);
    };
    await expect.poll(again).toBe('connection_ack');
  });

  test('meters what operations over a WebSocket cost like those over HTTP, and refuses them once it is used up', async () => {
    await start();
    const key = await rig.keyOf({ day: 5, requests: 100 });
    const market = '{exchange:"binance",symbol:"BTC/USDT"}';
    const two = `{ tickers(markets: [${market.repeat(2)}]) { symbol } }`;
    expect((await post(key, { query: two })).status).toBe(200);
    const client = await acknowledged(key);
    expect(errorOf(await client.ask('1', two))).toBe('next');
    await expect.poll(async () => (await rig.me(key))['used']).toMatchObject({ day: 4 });
    expect(errorOf(await client.ask('2', LIVE))).toBe('next');
    await expect.poll(async () => (await rig.me(key))['used']).toMatchObject({ day: 5 });
    expect(errorOf(await client.ask('3', QUERY))).toEqual(['quota_exceeded']);
    expect(await codeOf(post(key, { query: QUERY }))).toBe('quota_exceeded');
  });
});

describe('the units of a day', () => {
  const market = '{exchange:"binance",symbol:"BTC/USDT"}';
  const tickers = (count: number) => ({
    query: `{ tickers(markets: [${market.repeat(count)}]) { symbol } }`,
  });

  test('refuse what costs more than there are, before it is executed: an operation, a batch, one over a WebSocket', async () => {
    await start({ GRAPHQL_MAX_BATCH: '5' });
    const key = await rig.keyOf({ day: 3 });
    expect(await codeOf(post(key, tickers(4)))).toBe('quota_exceeded');
    expect(await codeOf(post(key, [tickers(2), tickers(2)]))).toBe('quota_exceeded');
    const talk = await acknowledged(key);
    expect(errorOf(await talk.ask('1', tickers(4).query))).toEqual(['quota_exceeded']);
    expect((await rig.me(key))['used']).toMatchObject({ day: 0 });
    const together = await Promise.all([post(key, [tickers(1), tickers(1)]), post(key, tickers(2))]);
    expect(together.map(({ status }) => status).sort()).toEqual([200, 429]);
    await expect.poll(async () => (await rig.me(key))['used']).toMatchObject({ day: 2 });
    // What was refused holds nothing back.
    expect((await post(key, { query: QUERY })).status).toBe(200);
    await expect.poll(async () => (await rig.me(key))['used']).toMatchObject({ day: 3 });
  });
});

test('documents of callers without a credential are executed, not remembered', async () => {
  await start({ AUTH_MODE: 'optional', CLIENT_RATE_LIMIT_REQUESTS: '0' });
  const { key } = await rig.issue();
  const persisted = (query: string) => ({
    extensions: {
      persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') },
    },
  });
  expect((await post(null, { query: QUERY, ...persisted(QUERY) })).status).toBe(200);
  expect(await codeOf(post(null, persisted(QUERY)))).toEqual(['persisted_query_not_found']);
  expect((await post(key, { query: QUERY, ...persisted(QUERY) })).status).toBe(200);
  expect(await (await post(null, persisted(QUERY))).json()).toEqual({
    data: { ticker: { symbol: 'BTC/USDT' } },
  });
});
