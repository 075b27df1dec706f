// GraphQL over Server-Sent Events, an operation a connection.
import { createClient } from 'graphql-sse';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { GraphqlRig } from './graphql-app.js';

const TICKER =
  'subscription { ticker(exchange: "binance", symbol: "BTC/USDT", threshold: 0) { __typename ... on TickerEvent { last } } }';

let sandbox: Sandbox;
let rig: GraphqlRig;
beforeAll(async () => {
  sandbox = await startSandbox({ marketsPerVenue: 60, ticksPerSecond: 20, weightLimit: Infinity });
  rig = await GraphqlRig.start(sandbox, { STREAM_HEARTBEAT_INTERVAL: '0.1' });
});
afterAll(async () => {
  await rig.close();
  await sandbox.close();
});

const stream = async (query: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${rig.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query }),
    ...init,
  });

/** Reads until the text holds what is wanted. */
const readUntil = async (answer: Response, wanted: (text: string) => boolean): Promise<string> => {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (reader !== undefined && !wanted(text)) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  await reader?.cancel();
  return text;
};

test('a subscription is a stream of next events, kept alive by comments', async () => {
  const answer = await stream(TICKER);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  expect(answer.headers.get('data-source')).toMatch(/^sandbox; via=/);
  const text = await readUntil(answer, (so) => so.split('event: next').length > 3 && so.includes('\n:\n\n'));
  expect(text).toMatch(
    /event: next\ndata: \{"data":\{"ticker":\{"__typename":"TickerEvent","last":[\d.]+\}\}\}\n\n/,
  );
});

test('a GET can be one, too', async () => {
  const search = new URLSearchParams({ query: TICKER });
  const answer = await fetch(`${rig.url}/graphql?${search.toString()}`, {
    headers: { accept: 'text/event-stream' },
  });
  expect(await readUntil(answer, (so) => so.includes('TickerEvent'))).toContain('event: next');
});

test('a query by an event stream is one result and its end', async () => {
  const answer = await stream('{ ticker(exchange: "binance", symbol: "ETH/USDT") { symbol } }');
  const text = await answer.text();
  expect(text).toContain('event: next\ndata: {"data":{"ticker":{"symbol":"ETH/USDT"}}}\n\n');
  expect(text).toMatch(/event: complete\ndata: \n\n$/);
});

test.each([
  ['a bad document', 'subscription { nothing }', 400, 'graphql_validation_failed'],
  [
    'a bad symbol',
    'subscription { trades(exchange: "binance", symbol: "NO/SUCH") { __typename } }',
    400,
    'symbol_not_found',
  ],
  ['a bomb', `{ ${'__typename '.repeat(201)} }`, 400, 'query_too_complex'],
])('%s is refused before the first byte', async (_name, ...[query, status, code]) => {
  const answer = await stream(query);
  expect(answer.status).toBe(status);
  const { errors } = (await answer.json()) as { errors: { extensions: { code: string } }[] };
  expect(errors[0]?.extensions.code).toBe(code);
});

test('a client has as many streams as it may, and its place is given back', async () => {
  const limited = await GraphqlRig.start(sandbox, { STREAM_MAX_PER_CLIENT: '1' });
  const open = (query: string) =>
    fetch(`${limited.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query }),
    });
  const bad = 'subscription { trades(exchange: "binance", symbol: "NO/SUCH") { __typename } }';
  expect((await open(bad)).status).toBe(400);
  const first = await open(TICKER);
  expect(first.status).toBe(200);
  const second = await open(TICKER);
  expect(second.status).toBe(429);
  expect(second.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  await limited.close();
});

test('an operation costs its units of the client limit before it is executed, a refused one 1', async () => {
  const limited = await GraphqlRig.start(sandbox, { CLIENT_RATE_LIMIT_REQUESTS: '12' });
  const open = (query: string) =>
    fetch(`${limited.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query }),
    });
  const tickers = (count: number) =>
    `{ tickers(markets: [${'{exchange:"binance",symbol:"BTC/USDT"}'.repeat(count)}]) { symbol } }`;
  /** Costs 1 itself. */
  const left = async () =>
    Number((await limited.post({ query: '{ __typename }' })).headers.get('x-ratelimit-remaining'));
  const done = async () =>
    /operations_total\{type="query",outcome="ok"\} (\d+)/.exec(
      await (await fetch(`${limited.url}/metrics`)).text(),
    )?.[1];
  await (await open(tickers(3))).text();
  expect(await left()).toBe(8);
  await (await open('{ nothing }')).text();
  expect(await left()).toBe(6);
  const stream = await open(TICKER);
  await stream.body?.cancel();
  expect([stream.status, await left()]).toEqual([200, 4]);
  const before = await done();
  const refused = await open(tickers(5));
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([
    429,
    'client_rate_limited',
  ]);
  expect([before, await done()]).toEqual(['4', '4']);
  await limited.close();
});

test('works with the client of graphql-sse', async () => {
  const client = createClient({ url: `${rig.url}/graphql` });
  const results: unknown[] = [];
  for await (const result of client.iterate({ query: TICKER })) {
    results.push(result.data);
    if (results.length === 3) break;
  }
  expect(results).toHaveLength(3);
  client.dispose();
});
