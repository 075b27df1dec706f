// The guard judges documents before graphql-js does: counts as expanded, in work that is linear in the document.
import { buildASTSchema, getIntrospectionQuery, parse, Kind, type DocumentNode } from 'graphql';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guard, isIntrospectionOnly } from '../../../src/graphql/guard.js';

const LIMITS = { depth: 8, fields: 200, aliases: 30 };
const judge = (text: string) => guard(parse(text), LIMITS);
const repeated = (count: number, make: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => make(i)).join(' ');

/** Fragments that each spread the next one twice: 2^n fields. */
const bomb = (n: number): string =>
  `{ ...F0 } ${repeated(n, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F${n} on Query { a }`;

describe('the guard', () => {
  test.each([
    ['200 fields', `{ ${repeated(200, (i) => `f${i}`)} }`],
    ['8 levels', '{ a { b { c { d { e { f { g { h } } } } } } } }'],
    ['30 aliases', `{ ${repeated(30, (i) => `a${i}: f`)} }`],
    ['20 fragments', `{ ...F0 } ${repeated(20, (i) => `fragment F${i} on Query { a }`)}`],
    ['20 directives', `{ ${repeated(20, (i) => `f${i} @a`)} }`],
    ['the usual question about the schema', getIntrospectionQuery()],
    [
      'a fragment that spreads itself',
      '{ ...A } fragment A on Query { a ...B } fragment B on Query { ...A }',
    ],
    ['a spread of a fragment that is not there', '{ ...Nowhere }'],
  ])('lets pass %s', (_name, text) => {
    expect(judge(text)).toBeNull();
  });

  test.each([
    ['201 fields', `{ ${repeated(201, (i) => `f${i}`)} }`, { limit: 'fields', found: 201, allowed: 200 }],
    ['1,000 equal fields', `{ ${repeated(1000, () => 'hello')} }`, { limit: 'fields', found: 1000 }],
    ['9 levels', '{ a { b { c { d { e { f { g { h { i } } } } } } } } }', { limit: 'depth', found: 9 }],
    [
      'levels within fragments',
      '{ a { b { ...F } } } fragment F on T { c { d { e { ...G } } } } fragment G on T { f { g { h { i } } } }',
      { limit: 'depth', found: 9 },
    ],
    ['31 aliases', `{ ${repeated(31, (i) => `a${i}: f`)} }`, { limit: 'aliases', found: 31 }],
    [
      '`__typename` × 5,000',
      `{ ${repeated(5000, (i) => `a${i}: __typename`)} }`,
      { limit: 'fields', found: 5000 },
    ],
    [
      'aliased `__typename`s',
      `{ ${repeated(40, (i) => `a${i}: __typename`)} }`,
      { limit: 'aliases', found: 40 },
    ],
    ['a fragment bomb', bomb(12), { limit: 'fields', found: 4096 }],
    ['a bigger bomb, without counting to its end', bomb(19), { limit: 'fields', found: 524_288 }],
    [
      'a fragment before the operation',
      `fragment F on Query { ${repeated(150, (i) => `f${i}`)} } { ...F ...F }`,
      { limit: 'fields', found: 300 },
    ],
    [
      'a fragment that nobody spreads',
      `{ a } fragment F on Query { ${repeated(201, (i) => `f${i}`)} }`,
      { limit: 'fields', found: 202 },
    ],
    [
      '200 × 100 inline fragments',
      `{ ${repeated(200, (i) => `... on Query { f${i % 100} }`)} }`,
      { limit: 'fragment_uses', found: 200 },
    ],
    ['21 fragments', `{ a } ${repeated(21, (i) => `fragment F${i} on Query { a }`)}`, { limit: 'fragments' }],
    ['a flood of directives', `{ a ${repeated(500, () => '@a')} }`, { limit: 'directives', found: 500 }],
    ['directives of an operation', `query ${repeated(21, () => '@a')} { a }`, { limit: 'directives' }],
    [
      'directives of a fragment with each spread',
      `{ ...F ...F ...F } fragment F on Query @x { ${repeated(7, (i) => `f${i} @a`)} }`,
      { limit: 'directives', found: 24 },
    ],
    [
      'introspection × 1,000',
      `{ ${repeated(1000, (i) => `a${i}: __schema { types { name } }`)} }`,
      { limit: 'fields' },
    ],
    [
      'lists of the schema within one another',
      '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }',
      { limit: 'introspection_lists', found: 3 },
    ],
    [
      'the lists of the schema by many names',
      `{ __schema { types { ${repeated(17, (i) => `a${i}: fields { name }`)} } } }`,
      { limit: 'introspection_lists_in_all', found: 18, allowed: 16 },
    ],
  ])('refuses %s', (_name, text, fault) => {
    expect(judge(text)).toMatchObject(fault);
  });

  test('asks for the limits of introspection only where nothing else is asked', () => {
    expect(isIntrospectionOnly(parse('{ __schema { types { name } } __typename }'))).toBe(true);
    expect(isIntrospectionOnly(parse('{ __schema { types { name } } ticker }'))).toBe(false);
    expect(isIntrospectionOnly(parse('{ __typename }'))).toBe(false);
    expect(isIntrospectionOnly(parse('{ __type(name: "T") { name } } query B { ticker }'))).toBe(false);
    const deep = (from: string) => `{ ${from} { a { b { c { d { e { f { g { h } } } } } } } } }`;
    expect(judge(deep('__schema'))).toBeNull();
    expect(judge(deep('ticker'))).toMatchObject({ limit: 'depth' });
  });

  test('visits each node once, however much it expands to', () => {
    const document = parse(bomb(19));
    let looks = 0;
    const count = (node: unknown): unknown => {
      if (typeof node !== 'object' || node === null) return node;
      return new Proxy(node, {
        get(target, key, receiver) {
          const value: unknown = Reflect.get(target, key, receiver);
          if (key === 'selections') looks += 1;
          return typeof value === 'object' ? count(value) : value;
        },
      });
    };
    guard(count(document) as DocumentNode, LIMITS);
    // The operation's selection set, once more to tell what it asks about, and the 20 of fragments.
    expect(looks).toBe(22);
  });

  test('counts what stands there where there are no fragments', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 60 }), (fields, aliases) => {
        const text = `{ ${repeated(fields, (i) => (i < aliases ? `a${i}: f` : `f${i}`))} }`;
        const fault = judge(text);
        const aliased = Math.min(fields, aliases);
        if (fields > 200) expect(fault).toEqual({ limit: 'fields', found: fields, allowed: 200 });
        else if (aliased > 30) expect(fault).toEqual({ limit: 'aliases', found: aliased, allowed: 30 });
        else expect(fault).toBeNull();
      }),
    );
  });

  test('takes documents of the type language, which hold no operation, for nothing', () => {
    const document = parse('type Query { a: Int }');
    expect(buildASTSchema(document).getQueryType()?.name).toBe('Query');
    expect(document.definitions[0]?.kind).toBe(Kind.OBJECT_TYPE_DEFINITION);
    expect(guard(document, LIMITS)).toBeNull();
  });
});
