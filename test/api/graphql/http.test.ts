// GraphQL over HTTP: forms, statuses, faults, persisted queries, limits.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverAudits } from 'graphql-http';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ConfigError } from '../../../src/config/config.js';
import { GraphqlEngine } from '../../../src/graphql/engine.js';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { GraphqlRig, quietSandbox, type Asked } from './graphql-app.js';

const GRAPHQL_JSON = 'application/graphql-response+json';
const TICKER = '{ ticker(exchange: "binance", symbol: "BTC/USDT") { symbol } }';
const ANSWER = { data: { ticker: { symbol: 'BTC/USDT' } } };
const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const persisted = (hash: string, version = 1) => ({ persistedQuery: { version, sha256Hash: hash } });

let sandbox: Sandbox;
let shared: GraphqlRig;
beforeAll(async () => {
  sandbox = await quietSandbox();
  shared = await GraphqlRig.start(sandbox);
});
afterAll(async () => {
  await shared.close();
  await sandbox.close();
});

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
const rigWith = async (env: Readonly<Record<string, string>>): Promise<GraphqlRig> => {
  const rig = await GraphqlRig.start(sandbox, env);
  open.push(rig);
  return rig;
};

const codeOf = ({ body }: Asked): string | undefined => body.errors?.[0]?.extensions.code ?? body.code;

describe('the audits of graphql-http', () => {
  const audits = serverAudits({ url: () => `${shared.url}/graphql`, fetchFn: fetch });
  test.each(audits.map((audit) => [audit.name, audit] as const))('%s', async (_name, audit) => {
    const result = await audit.fn();
    if (result.status !== 'ok') throw new Error(result.reason);
    expect(result.status).toBe('ok');
  });
});

describe('forms', () => {
  test("a query is answered as legacy JSON by default, and as GraphQL's own type where that is liked", async () => {
    const legacy = await shared.ask(TICKER);
    expect(legacy.body).toEqual(ANSWER);
    expect(legacy.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(legacy.headers.get('data-source')).toBe('sandbox; via=rest');
    const own = await shared.post({ query: TICKER }, { accept: `${GRAPHQL_JSON}, application/json` });
    expect(own.headers.get('content-type')).toBe(`${GRAPHQL_JSON}; charset=utf-8`);
    expect(own.body).toEqual(ANSWER);
  });

  test('an Accept with an event stream behind JSON gets JSON for a query', async () => {
    const accept = `${GRAPHQL_JSON}, application/json, text/event-stream, multipart/mixed`;
    const { headers, body } = await shared.post({ query: TICKER }, { accept });
    expect(headers.get('content-type')).toBe(`${GRAPHQL_JSON}; charset=utf-8`);
    expect(body).toEqual(ANSWER);
  });

  test('an Accept that leaves nothing is 406', async () => {
    const answer = await shared.post({ query: TICKER }, { accept: 'text/html' });
    expect([answer.status, codeOf(answer)]).toEqual([406, 'not_acceptable']);
  });

  test('a subscription without a way to stream it is 400', async () => {
    const query = 'subscription { ticker(exchange: "binance", symbol: "BTC/USDT") { __typename } }';
    const answer = await shared.post({ query });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_request']);
  });

  test('a GET is kept as long as what it is made of, and has a validator', async () => {
    const first = await shared.get({ query: TICKER });
    const again = await shared.get({ query: TICKER });
    expect(again.body).toEqual(ANSWER);
    expect(again.headers.get('x-cache')).toBe('HIT');
    expect(again.headers.get('cache-control')).toMatch(/^public, max-age=[12]$/);
    expect(again.headers.get('vary')).toContain('Accept');
    const etag = first.headers.get('etag') ?? '';
    const search = new URLSearchParams({ query: TICKER });
    const known = await fetch(`${shared.url}/graphql?${search.toString()}`, {
      headers: { 'if-none-match': etag },
    });
    expect(known.status).toBe(304);
  });

  test('the result of a POST is sent again for the same variables while it is fresh, each time at its full cost', async () => {
    const rig = await rigWith({ CLIENT_RATE_LIMIT_REQUESTS: '20', TICKER_CACHE_TTL: '60' });
    const query = 'query ($m: [MarketInput!]!) { tickers(markets: $m) { symbol last } }';
    const ask = (...symbols: string[]) =>
      rig.ask(query, { m: symbols.map((symbol) => ({ exchange: 'binance', symbol })) });
    const answers = [
      await ask('BTC/USDT', 'ETH/USDT'),
      await ask('BTC/USDT', 'ETH/USDT'),
      await ask('ETH/USDT', 'BTC/USDT'),
    ];
    const [first, again, turned] = answers.map(({ body }) => body.data?.['tickers'] as unknown[]);
    expect(again).toEqual(first);
    expect(turned).toEqual([...(first ?? [])].reverse());
    expect(answers.map(({ headers }) => headers.get('x-ratelimit-remaining'))).toEqual(['18', '16', '14']);
    expect(answers.map(({ headers }) => headers.get('data-source'))).toEqual(
      answers.map(() => 'sandbox; via=rest'),
    );
  });

  test('what is true of one moment alone is not kept', async () => {
    const query = '{ ticker(exchange: "binance", symbol: "BTC/USDT") { last meta { ageMs } } }';
    const { headers } = await shared.get({ query });
    expect(headers.get('cache-control')).toBe('no-store');
  });
});

describe('broken requests are 400 with a code', () => {
  test.each([
    ['no JSON', '{', 'invalid_request'],
    ['no object', '"text"', 'invalid_request'],
    ['an empty body', '', 'invalid_request'],
    ['no query', '{}', 'invalid_request'],
    ['a query that is no text', '{"query":1}', 'invalid_request'],
    ['variables that are a list', JSON.stringify({ query: TICKER, variables: [] }), 'invalid_request'],
    [
      'an unknown operationName',
      JSON.stringify({ query: TICKER, operationName: 'other' }),
      'invalid_request',
    ],
    [
      'two operations and no name',
      '{"query":"query A { __typename } query B { __typename }"}',
      'invalid_request',
    ],
    [
      'a variable of the wrong type',
      JSON.stringify({
        query: 'query ($s: String!) { ticker(exchange: "a", symbol: $s) { last } }',
        variables: { s: 1 },
      }),
      'invalid_request',
    ],
    [
      'a subscription whose field is skipped by a variable',
      JSON.stringify({
        query:
          'subscription ($v: Boolean!) { ...F } fragment F on Subscription { ... { ticker(exchange: "a", symbol: "b") @skip(if: $v) { __typename } } }',
        variables: { v: false },
      }),
      'graphql_validation_failed',
    ],
    [
      'variables that nest deeply',
      `{"query":"query ($s: String!) { ticker(exchange: $s, symbol: $s) { last } }","variables":{"s":${'['.repeat(25_000)}${']'.repeat(25_000)}}}`,
      'query_too_complex',
    ],
    ['a batch', JSON.stringify([{ query: TICKER }, { query: TICKER }]), 'batch_not_allowed'],
  ])('%s', async (_name, body, code) => {
    const answer = await shared.post(body, { accept: GRAPHQL_JSON });
    expect([answer.status, codeOf(answer), answer.body.data]).toEqual([400, code, undefined]);
    expect(answer.body.errors?.[0]?.extensions).toMatchObject({
      retryable: false,
      request_id: expect.any(String) as string,
    });
  });

  test('an empty operationName is none', async () => {
    expect((await shared.post({ query: TICKER, operationName: '' })).body).toEqual(ANSWER);
    expect((await shared.get({ query: TICKER, operationName: '' })).body).toEqual(ANSWER);
  });

  test('variables of a URL that are no JSON', async () => {
    const answer = await shared.get({ query: TICKER, variables: '{' });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_request']);
  });

  test.each([
    ['graphql_parse_failed', '{'],
    ['graphql_validation_failed', '{ nothing }'],
    ['graphql_validation_failed', 'fragment F on Query { __typename }'],
  ])("%s: 400 as GraphQL's own type, without data either way", async (code, query) => {
    const own = await shared.post({ query }, { accept: GRAPHQL_JSON });
    expect([own.status, codeOf(own), 'data' in own.body]).toEqual([400, code, false]);
    const legacy = await shared.post({ query });
    expect([legacy.status, codeOf(legacy), 'data' in legacy.body]).toEqual([200, code, false]);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'a body of %s is 415, as a problem',
    async (type) => {
      const { status, headers, body } = await shared.post('query={ __typename }', { 'content-type': type });
      expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
      expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    },
  );

  test("a bad argument has REST's words", async () => {
    const answer = await shared.ask(
      '{ orderBook(exchange: "binance", symbol: "BTC/USDT", limit: 0) { timestamp } }',
    );
    expect([answer.status, codeOf(answer), answer.body.data]).toEqual([
      200,
      'invalid_request',
      { orderBook: null },
    ]);
    expect(answer.body.errors?.[0]?.message).toBe('limit must be at least 1.');
  });
});

describe('limits', () => {
  test('a document of more than 16 kB is 413, as a problem; so are long variables', async () => {
    const long = await shared.ask(`{ ${'#'.repeat(17_000)}\n __typename }`);
    expect([long.status, long.body.code]).toEqual([413, 'payload_too_large']);
    const variables = await shared.ask('query ($a: String) { __typename @skip(if: false) }', {
      a: 'x'.repeat(40_000),
    });
    expect([variables.status, variables.body.code]).toEqual([413, 'payload_too_large']);
  });

  test.each([
    ['more than 1,000 tokens', `{ ${'a '.repeat(1100)} }`, 'graphql_parse_failed', undefined],
    [
      'aliases',
      `{ ${Array.from({ length: 31 }, (_, i) => `a${i}: __typename`).join(' ')} }`,
      'query_too_complex',
      30,
    ],
    ['fields', `{ ${'__typename '.repeat(201)} }`, 'query_too_complex', 200],
    [
      'a cost in variables and defaults',
      `query ($n: Int = 2000) { ${Array.from({ length: 30 }, (_, i) => `a${i}: orderBook(exchange: "binance", symbol: "BTC/USDT", limit: $n) { timestamp }`).join(' ')} }`,
      'query_too_complex',
      100,
    ],
  ])('%s are refused with the number in message and extensions', async (_name, ...[query, code, limit]) => {
    const rig = await rigWith({ GRAPHQL_MAX_COST: '100' });
    const answer = await rig.post({ query }, { accept: GRAPHQL_JSON });
    expect([answer.status, codeOf(answer)]).toEqual([400, code]);
    const { extensions, message } = answer.body.errors?.[0] ?? {};
    expect(extensions?.limit).toBe(limit);
    expect(message).toContain(String(limit ?? 1000));
    expect(extensions?.retryable).toBe(false);
  });

  test('a cost that is too much tells both numbers', async () => {
    const rig = await rigWith({ GRAPHQL_MAX_COST: '10' });
    const markets = Array.from({ length: 11 }, () => ({ exchange: 'binance', symbol: 'BTC/USDT' }));
    const query = 'query ($m: [MarketInput!]!) { tickers(markets: $m) { last } }';
    const answer = await rig.ask(query, { m: markets });
    expect(answer.body.errors?.[0]?.extensions).toMatchObject({
      code: 'query_too_complex',
      limit: 10,
      cost: 11,
    });
  });

  test('a list argument of more than 100 items is refused', async () => {
    const markets = Array.from({ length: 101 }, () => ({ exchange: 'binance', symbol: 'BTC/USDT' }));
    const answer = await shared.ask('query ($m: [MarketInput!]!) { tickers(markets: $m) { last } }', {
      m: markets,
    });
    expect(answer.body.errors?.[0]?.extensions).toMatchObject({ code: 'query_too_complex', limit: 100 });
  });

  test("an operation costs its units of the client's limit, a refused one 1", async () => {
    const rig = await rigWith({ CLIENT_RATE_LIMIT_REQUESTS: '20' });
    const left = ({ headers }: Asked) => Number(headers.get('x-ratelimit-remaining'));
    const tickers = (count: number) =>
      rig.ask('query ($m: [MarketInput!]!) { tickers(markets: $m) { last } }', {
        m: Array.from({ length: count }, () => ({ exchange: 'binance', symbol: 'BTC/USDT' })),
      });
    expect(left(await tickers(5))).toBe(15);
    expect(left(await rig.ask('{ nothing }'))).toBe(14);
    expect(left(await rig.ask('{ __typename }'))).toBe(13);
    expect(
      left(
        await rig.ask(
          '{ a: __typename @skip(if: true) ticker(exchange: "binance", symbol: "BTC/USDT") @skip(if: true) { last } }',
        ),
      ),
    ).toBe(12);
    const book = '{ orderBook(exchange: "binance", symbol: "BTC/USDT", limit: 100) { timestamp } }';
    expect(left(await rig.ask(book))).toBe(10);
    const refused = await tickers(11);
    expect([refused.status, refused.body.code]).toEqual([429, 'client_rate_limited']);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('a kept answer that costs more than its request is charged in full each time', async () => {
    const rig = await rigWith({ CLIENT_RATE_LIMIT_REQUESTS: '20' });
    const query = `{ tickers(markets: [${'{exchange:"binance",symbol:"BTC/USDT"}'.repeat(4)}]) { last } }`;
    await rig.get({ query });
    const { headers } = await rig.get({ query });
    expect(headers.get('x-ratelimit-remaining')).toBe('12');
  });

  test('a batch has as many operations as it may, each with its own errors, charged together', async () => {
    const rig = await rigWith({ GRAPHQL_MAX_BATCH: '3', CLIENT_RATE_LIMIT_REQUESTS: '20' });
    const good = { query: TICKER };
    const answer = await rig.post([good, { query: '{ nothing }' }, good]);
    expect(answer.status).toBe(200);
    const items = answer.body as unknown as readonly { readonly errors?: readonly unknown[] }[];
    expect(items.map(({ errors }) => errors?.length ?? 0)).toEqual([0, 1, 0]);
    expect(answer.headers.get('x-ratelimit-remaining')).toBe('17');
    expect(codeOf(await rig.post([good, good, good, good]))).toBe('batch_not_allowed');
    expect(codeOf(await rig.post([]))).toBe('invalid_request');
  });

  test('a batch of too many operations is refused before any of them is looked at', async () => {
    const rig = await rigWith({ GRAPHQL_MAX_BATCH: '3' });
    const [prepare, execute] = [
      vi.spyOn(GraphqlEngine.prototype, 'prepare'),
      vi.spyOn(GraphqlEngine.prototype, 'execute'),
    ];
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    const good = { query: TICKER };
    expect(codeOf(await rig.post(Array.from({ length: 1000 }, () => good)))).toBe('batch_not_allowed');
    expect(prepare).not.toHaveBeenCalled();
    expect(codeOf(await rig.post([good, good]))).toBeUndefined();
    expect([prepare.mock.calls.length, execute.mock.calls.length]).toEqual([2, 2]);
  });
});

describe('persisted queries', () => {
  const hash = sha(TICKER);

  test('are registered by their clients', async () => {
    const unknown = await shared.get({ extensions: persisted(sha(`${TICKER} `)) });
    expect(unknown.status).toBe(200);
    expect(unknown.body.errors).toEqual([
      expect.objectContaining({
        message: 'PersistedQueryNotFound',
        extensions: expect.objectContaining({ code: 'persisted_query_not_found' }) as object,
      }),
    ]);
    const registered = await shared.post({ query: TICKER, extensions: persisted(hash) });
    expect(registered.body).toEqual(ANSWER);
    expect((await shared.get({ extensions: persisted(hash) })).body).toEqual(ANSWER);
  });

  test('of a wrong hash or version are refused', async () => {
    for (const extensions of [
      persisted(sha('other')),
      persisted(hash, 2),
      persisted('no hash'),
      { persistedQuery: 1 },
    ]) {
      const answer = await shared.post({ query: TICKER, extensions });
      expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_request']);
    }
  });

  test('are not registered by what is refused, however many come', async () => {
    const rig = await rigWith({});
    for (let i = 0; i < 50; i++) {
      const query = `{ nothing${i} }`;
      await rig.post({ query, extensions: persisted(sha(query)) });
      expect(codeOf(await rig.get({ extensions: persisted(sha(query)) }))).toBe('persisted_query_not_found');
    }
  });

  test('that nobody registered cost a unit each: a flood of hashes ends at the limit', async () => {
    const rig = await rigWith({ CLIENT_RATE_LIMIT_REQUESTS: '100' });
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        rig.get({ extensions: persisted(sha(String(i))) }).then((answer) => [answer.status, codeOf(answer)]),
      ),
    );
    const count = (status: number, code: string) =>
      answers.filter((answer) => answer[0] === status && answer[1] === code).length;
    expect(count(200, 'persisted_query_not_found')).toBe(100);
    expect(count(429, 'client_rate_limited')).toBe(200);
  });

  test('can be turned off', async () => {
    const rig = await rigWith({ GRAPHQL_PERSISTED: 'off' });
    const answer = await rig.get({ extensions: persisted(hash) });
    expect(answer.body.errors?.[0]?.message).toBe('PersistedQueryNotSupported');
    expect((await rig.post({ query: TICKER, extensions: persisted(hash) })).body).toEqual(ANSWER);
  });

  test('can be the only ones, from a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'documents-'));
    open.push({ close: () => rmSync(folder, { recursive: true }) });
    const file = join(folder, 'documents.json');
    writeFileSync(file, JSON.stringify({ [hash]: TICKER }));
    const rig = await rigWith({ GRAPHQL_PERSISTED: 'only', GRAPHQL_DOCUMENTS: file });
    expect((await rig.get({ extensions: persisted(hash) })).body).toEqual(ANSWER);
    expect((await rig.post({ query: TICKER })).body).toEqual(ANSWER);
    expect(codeOf(await rig.post({ query: '{ __typename }' }))).toBe('feature_disabled');
    expect(
      codeOf(await rig.post({ query: '{ a: __typename }', extensions: persisted(sha('{ a: __typename }')) })),
    ).toBe('feature_disabled');
  });

  test.each([
    ['is not there', null, 'cannot be read'],
    ['is no JSON', '{', 'must be JSON'],
    ['has other keys', '{"a":"b"}', 'SHA-256'],
    ['has a wrong hash', JSON.stringify({ [sha('a')]: 'b' }), 'is not the SHA-256'],
  ])('of a file that %s stop the start', async (_name, content, words) => {
    const folder = mkdtempSync(join(tmpdir(), 'documents-'));
    open.push({ close: () => rmSync(folder, { recursive: true }) });
    const file = join(folder, 'documents.json');
    if (content !== null) writeFileSync(file, content);
    const start = GraphqlRig.start(sandbox, { GRAPHQL_DOCUMENTS: file });
    await expect(start).rejects.toThrow(ConfigError);
    await expect(start).rejects.toThrow(words);
  });
});

describe('settings', () => {
  test('GRAPHQL=false: none of it is there', async () => {
    const rig = await rigWith({ GRAPHQL: 'false' });
    for (const path of ['/graphql', '/graphiql', '/schema.graphql'])
      expect((await fetch(rig.url + path)).status).toBe(404);
    expect((await rig.rest('/v1/status'))['features']).toMatchObject({ graphql: false });
  });

  test('in production the schema is not told to anonymous callers, nor hinted at, and there is no page', async () => {
    const rig = await rigWith({ APP_ENV: 'production' });
    expect(codeOf(await rig.ask('{ __schema { queryType { name } } }'))).toBe('graphql_validation_failed');
    const typo = await rig.ask('{ tickr }');
    expect(typo.body.errors?.[0]?.message).toBe('Cannot query field "tickr" on type "Query".');
    const member = await rig.ask('query ($m: [MarketInput!]!) { tickers(markets: $m) { last } }', {
      m: [{ exchang: 'binance', exchange: 'binance', symbol: 'BTC/USDT' }],
    });
    expect(member.body.errors?.[0]?.message).toMatch(
      /Field "exchang" is not defined by type "MarketInput"\.$/,
    );
    expect((await fetch(`${rig.url}/graphiql`)).status).toBe(404);
    const on = await rigWith({ APP_ENV: 'production', GRAPHQL_INTROSPECTION: 'on' });
    expect((await on.ask('{ __schema { queryType { name } } }')).body.data).toEqual({
      __schema: { queryType: { name: 'Query' } },
    });
  });

  test('elsewhere the schema is told, the same every time', async () => {
    const query = '{ __schema { queryType { name } } }';
    const answers = [await shared.ask(query), await shared.ask(query)];
    for (const { body } of answers) expect(body.data).toEqual({ __schema: { queryType: { name: 'Query' } } });
    expect((await shared.ask('{ tickr }')).body.errors?.[0]?.message).toMatch(/Did you mean/);
  });
});
