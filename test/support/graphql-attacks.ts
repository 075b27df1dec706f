/** Documents that are made to keep a GraphQL server busy, and what each is refused as. */
import type { OperationRequest } from '../../src/graphql/engine.js';
import type { ErrorCode } from '../../src/errors.js';

export interface Attack {
  readonly name: string;
  readonly request: OperationRequest;
  readonly code: ErrorCode;
}

const repeated = (count: number, make: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => make(i)).join(' ');

const BOOK = 'orderBook(exchange: "binance", symbol: "BTC/USDT", limit: $n) { timestamp }';
const complex = (name: string, query: string): Attack => ({
  name,
  request: { query },
  code: 'query_too_complex',
});
const long = (name: string, query: string): Attack => ({
  name,
  request: { query },
  code: 'graphql_parse_failed',
});

export const ATTACKS: readonly Attack[] = [
  complex('1,000 equal fields', `{ ${repeated(990, () => '__typename')} }`),
  long('1,000 fields and more', `{ ${repeated(1400, () => '__typename')} }`),
  complex('200 inline fragments', `{ ${repeated(160, (i) => `...{a${i}}`)} }`),
  long(
    '200 × 100 inline fragments',
    `{ ${repeated(200, () => `...{${repeated(100, () => 'a')}}`)} }`.slice(0, 16_000),
  ),
  complex(
    'a fragment bomb of 2^19',
    `{ ...F0 } ${repeated(19, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F19 on Query { a }`,
  ),
  complex(
    'a fragment before the operation',
    `fragment F on Query { ${repeated(150, () => '__typename')} } { ...F ...F }`,
  ),
  complex(
    'depth within fragments',
    '{ ...A } fragment A on Query { a { b { c { d { ...B } } } } } fragment B on T { e { f { g { h { i } } } } }',
  ),
  long('`__typename` × 5,000', `{ ${repeated(1450, (i) => `a${i}:a`)} }`),
  complex('aliased `__typename`s', `{ ${repeated(240, (i) => `a${i}: __typename`)} }`),
  complex('a flood of directives', `{ __typename ${repeated(300, () => '@a')} }`),
  complex('introspection × 100', `{ ${repeated(100, (i) => `a${i}: __schema { types { name } }`)} }`),
  long('introspection × 1,000', `{ ${repeated(600, (i) => `a${i}:__schema{types{name}}`)} }`),
  complex(
    'the schema within the schema',
    '{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }',
  ),
  {
    ...complex(
      'a cost in the default of a variable',
      `query ($n: Int = 1000) { ${repeated(30, (i) => `a${i}: ${BOOK}`)} ${repeated(10, () => BOOK)} }`,
    ),
    request: {
      query: `query ($n: Int = 4000) { ${repeated(30, (i) => `a${i}: ${BOOK}`)} }`,
    },
  },
  {
    ...complex('a cost in a variable', ''),
    request: {
      query: `query ($n: Int) { ${repeated(30, (i) => `a${i}: ${BOOK}`)} }`,
      variables: { n: 1_000_000 },
    },
  },
  complex(
    'introspection × 12, each with all that it may have',
    `{ ${repeated(12, (i) => `a${i}: __schema { types { name fields { name args { name type { name } } } } }`)} }`,
  ),
  {
    ...complex('variables that nest deeply', ''),
    request: {
      query: 'query ($m: [MarketInput!]!) { tickers(markets: $m) { last } }',
      variables: { m: JSON.parse(`${'['.repeat(7000)}${']'.repeat(7000)}`) as unknown },
    },
  },
  {
    ...complex('a long list', ''),
    request: {
      query: 'query ($m: [MarketInput!]!) { tickers(markets: $m) { last } }',
      variables: { m: Array.from({ length: 500 }, () => ({ exchange: 'a', symbol: 'b' })) },
    },
  },
];
