// Each attack is refused before graphql-js validates or executes anything, and costs what a request costs.
import { execute, getIntrospectionQuery, validate } from 'graphql';
import { beforeEach, describe, expect, test } from 'vitest';
import { GraphqlEngine, type OperationRequest } from '../../../src/graphql/engine.js';
import { PERMITS_ALL } from '../../../src/access/permit.js';
import { hashOf } from '../../../src/graphql/documents.js';
import { MAX_DOCUMENT_TEXT, MAX_DOCUMENTS, MAX_PERSISTED } from '../../../src/graphql/limits.js';
import { Refusal } from '../../../src/graphql/faults.js';
import { AppError } from '../../../src/errors.js';
import { FakeMarketData, NOW } from '../../unit/mcp/fake-market-data.js';
import { extent } from '../../support/extent.js';
import { ATTACKS } from '../../support/graphql-attacks.js';

const calls = { validate: 0, execute: 0 };
const refused: string[] = [];
/** What the engine remembers. */
let kept = (): { readonly documents: number; readonly persisted: number } => ({ documents: 0, persisted: 0 });

const makeEngine = (): GraphqlEngine =>
  new GraphqlEngine({
    marketData: new FakeMarketData(),
    ledger: null,
    status: () => {
      throw new Error('not asked for');
    },
    sandbox: false,
    now: () => NOW,
    limits: { depth: 8, fields: 200, aliases: 30, cost: 1000, batch: 1 },
    persisted: { mode: 'auto', documents: new Map() },
    requestTimeoutMs: 1000,
    meter: {
      operation: () => undefined,
      refusal: (limit) => refused.push(limit),
      watch: (stats) => (kept = stats),
    },
    onBug: (error) => {
      throw error;
    },
    spies: {
      validate: (...args) => {
        calls.validate += 1;
        return validate(...args);
      },
      execute: (args) => {
        calls.execute += 1;
        return execute(args);
      },
    },
  });

let engine: GraphqlEngine;
beforeEach(() => {
  calls.validate = calls.execute = 0;
  refused.length = 0;
  engine = makeEngine();
});

const faultOf = (request: OperationRequest): AppError => {
  try {
    engine.prepare(request, { introspection: true });
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown.fault;
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error('was not refused');
};

describe('before validation', () => {
  test.each(ATTACKS.map((attack) => [attack.name, attack] as const))('%s', (_name, { request, code }) => {
    expect(faultOf(request).code).toBe(code);
    expect(calls).toEqual({ validate: 0, execute: 0 });
    expect(refused).toHaveLength(1);
  });

  test('a document that costs too much with some variables is validated once others come', () => {
    const query =
      'query ($n: Int) { orderBook(exchange: "binance", symbol: "BTC/USDT", limit: $n) { timestamp } }';
    const costly = { query, variables: { n: 1_000_000 } };
    const cheap = { query, variables: { n: 10 } };
    expect(faultOf(costly).code).toBe('query_too_complex');
    expect(calls.validate).toBe(0);
    expect(engine.prepare(cheap, { introspection: true }).units).toBe(2);
    expect(faultOf(costly).code).toBe('query_too_complex');
    expect(engine.prepare(cheap, { introspection: true }).units).toBe(2);
    expect(calls.validate).toBe(1);
    expect(refused).toEqual(['cost', 'cost']);
  });

  test.each([
    ['a field that is not there', 'query ($n: Int) { orderBook(limit: $n) { nonsense } }', { n: 1 }],
    ['a variable of a type that is not there', 'query ($n: Nonsense) { exchanges { id } }', { n: 1 }],
    ['an argument of another type', '{ orderBook(limit: {}) { timestamp } }', {}],
    ['a variable that is nowhere defined', '{ orderBook(limit: $n) { timestamp } }', {}],
  ])('leaves %s to it', (_name, query, variables) => {
    expect(faultOf({ query, variables }).code).toBe('graphql_validation_failed');
    expect(calls.validate).toBe(1);
  });

  test('a refused document is not looked at again', () => {
    const [attack] = ATTACKS;
    if (attack === undefined) throw new Error('there are attacks');
    const faults = Array.from({ length: 100 }, () => faultOf(attack.request));
    expect(new Set(faults).size).toBe(1);
    expect(refused).toHaveLength(100);
  });
});

/** More than are remembered. */
const FLOOD = extent({ short: 2 * MAX_DOCUMENTS, long: 10 * MAX_DOCUMENTS });

describe(`a flood of ${FLOOD} persisted queries`, () => {
  const persisted = (sha256Hash: string) => ({ persistedQuery: { version: 1, sha256Hash } });
  const codesOf = (request: (i: number) => OperationRequest): ReadonlySet<string> =>
    new Set(Array.from({ length: FLOOD }, (_, i) => faultOf(request(i)).code));

  test('of unknown hashes is neither parsed nor remembered', () => {
    const codes = codesOf((i) => ({ extensions: persisted(hashOf(String(i))) }));
    expect([...codes]).toEqual(['persisted_query_not_found']);
    expect([calls, kept()]).toEqual([
      { validate: 0, execute: 0 },
      { documents: 0, persisted: 0 },
    ]);
  });

  test('of documents that are not those of their hashes is neither parsed nor remembered', () => {
    const codes = codesOf((i) => ({ query: `{ a${i} }`, extensions: persisted(hashOf(String(i))) }));
    expect([...codes]).toEqual(['invalid_request']);
    expect([calls, kept()]).toEqual([
      { validate: 0, execute: 0 },
      { documents: 0, persisted: 0 },
    ]);
  });

  test('of documents that pass a limit is refused before validation; none is registered', () => {
    const codes = codesOf((i) => {
      const query = `{a{a{a{a{a{a{a{a{a${i}}}}}}}}}}`;
      return { query, extensions: persisted(hashOf(query)) };
    });
    expect([...codes]).toEqual(['query_too_complex']);
    expect(calls).toEqual({ validate: 0, execute: 0 });
    expect(kept().documents).toBeLessThanOrEqual(MAX_DOCUMENTS);
    expect(kept().persisted).toBe(0);
  });
});

test('of good persisted queries the latest are remembered, up to a bound in number and in length', () => {
  const send = (query: string) =>
    engine.prepare(
      { query, extensions: { persistedQuery: { version: 1, sha256Hash: hashOf(query) } } },
      { introspection: true },
    );
  const short = (i: number) => `{ __typename } #${i}`;
  const count = 2 * MAX_PERSISTED;
  for (let i = 0; i < count; i++) send(short(i));
  expect(kept()).toEqual({ documents: MAX_DOCUMENTS, persisted: MAX_PERSISTED });
  const ask = (i: number): OperationRequest => ({
    extensions: { persistedQuery: { version: 1, sha256Hash: hashOf(short(i)) } },
  });
  expect(faultOf(ask(0)).code).toBe('persisted_query_not_found');
  expect(engine.prepare(ask(count - 1), { introspection: true }).units).toBe(1);

  const long = (i: number) => `{ __typename } #${i}${'x'.repeat(10_000)}`;
  for (let i = 0; i < 100; i++) send(long(i));
  expect(kept().documents).toBeLessThanOrEqual(MAX_DOCUMENT_TEXT / 10_000);
  // Longer texts are executed, and not registered.
  expect(faultOf({ extensions: { persistedQuery: { version: 1, sha256Hash: hashOf(long(99)) } } }).code).toBe(
    'persisted_query_not_found',
  );
});

test('the usual question about the schema is validated, executed and then remembered', async () => {
  const caller = { client: 'a', signal: new AbortController().signal, requestId: 'r', permit: PERMITS_ALL };
  const ask = () =>
    engine.execute(engine.prepare({ query: getIntrospectionQuery() }, { introspection: true }), caller);
  const [first, again] = [await ask(), await ask()];
  expect(again.json).toBe(first.json);
  expect(calls).toEqual({ validate: 1, execute: 1 });
});

test('a query whose answers are still fresh is executed once for each set of variables', async () => {
  const caller = { client: 'a', signal: new AbortController().signal, requestId: 'r', permit: PERMITS_ALL };
  const query =
    'query ($s: String!, $age: Boolean = false) { ticker(exchange: "binance", symbol: $s) { symbol meta @include(if: $age) { ageMs } } }';
  const ask = async (variables: OperationRequest['variables'], permit = caller.permit) =>
    engine.execute(engine.prepare({ query, variables }, { introspection: true }), { ...caller, permit });
  const first = await ask({ s: 'BTC/USDT' });
  expect(first.hasErrors).toBe(false);
  expect((await ask({ s: 'BTC/USDT' })).json).toBe(first.json);
  expect(calls.execute).toBe(1);
  await ask({ s: 'ETH/USDT' });
  expect(calls.execute).toBe(2);
  // An age is that of one moment, and a plan may allow less than another caller's.
  for (let i = 0; i < 2; i++) await ask({ s: 'BTC/USDT', age: true });
  expect(calls.execute).toBe(4);
  await ask({ s: 'BTC/USDT' }, { ...PERMITS_ALL });
  expect(calls.execute).toBe(5);
});

test('a text is validated once', () => {
  for (let i = 0; i < 3; i++) engine.prepare({ query: '{ __typename }' }, { introspection: true });
  expect(calls.validate).toBe(1);
});

test('names such as __proto__ are names like others', () => {
  const variables = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as Record<
    string,
    unknown
  >;
  for (const query of ['{ __proto__ }', '{ constructor }', 'query __proto__ { toString }'])
    expect(faultOf({ query, variables }).code).toBe('graphql_validation_failed');
  expect(engine.prepare({ query: '{ __typename }', variables }, { introspection: true }).values).toEqual({});
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});
