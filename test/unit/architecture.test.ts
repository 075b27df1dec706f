// The import directions of the house, read from the files themselves; eslint.config.js says the same in its own way.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

interface Import {
  /** Path within src, with slashes. */
  readonly from: string;
  /** The same for a file of ours, the package's name for others. */
  readonly to: string;
  readonly own: boolean;
}

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** What a source imports: statically, dynamically, by re-export, by `require` or as a type. */
const specifiersIn = (path: string, text: string): string[] => {
  const found: string[] = [];
  const literal = (node: ts.Node | undefined): void => {
    if (node !== undefined && ts.isStringLiteralLike(node)) found.push(node.text);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) literal(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) literal(node.argument.literal);
    else if (ts.isCallExpression(node)) {
      const { expression } = node;
      const isImport = expression.kind === ts.SyntaxKind.ImportKeyword;
      const isRequire = ts.isIdentifier(expression) && expression.text === 'require';
      if (isImport || isRequire) literal(node.arguments[0]);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return found;
};

const importsOf = (path: string, text: string): Import[] =>
  specifiersIn(path, text).map((specifier) =>
    specifier.startsWith('.')
      ? { from: path, to: posix.join(dirname(path), specifier).replace(/\.js$/, '.ts'), own: true }
      : { from: path, to: packageOf(specifier), own: false },
  );

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.replaceAll('\\', '/'))
  .sort();
const source = (path: string): string => readFileSync(join(SRC, path), 'utf8');
const imports = files.flatMap((path) => importsOf(path, source(path)));

const COMPOSERS = ['app/app.ts', 'app/services.ts', 'app/drivers.ts'];
const roomOf = (path: string): string => path.split('/')[0] ?? '';
const show = ({ from, to }: Import): string => `${from} -> ${to}`;

const WORDS = ['schemas', 'lib', 'errors.ts', 'invalid-input.ts', 'log'];
const MODULES = [
  ...[
    'access',
    'cache',
    'coinmarketcap',
    'exchanges',
    'ledger',
    'log',
    'market-data',
    'mcp',
    'metrics',
    'streams',
  ],
];

/** Modules that each module may import from, besides itself. Anything not listed is forbidden. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'server.ts': ['app', 'config', 'exchanges', ...WORDS],
  app: ['config', 'http', 'sandbox', ...MODULES, ...WORDS],
  http: ['config', ...MODULES, ...WORDS],
  ledger: ['exchanges', ...WORDS],
  'market-data': ['cache', 'coinmarketcap', 'exchanges', 'ledger', ...WORDS],
  streams: ['exchanges', 'market-data', ...WORDS],
  mcp: ['market-data', ...WORDS],
  metrics: ['cache', 'coinmarketcap', 'exchanges', 'market-data', 'streams', ...WORDS],
  access: ['cache', ...WORDS],
  // Both name one type of market-data; the layout's next step moves it into exchanges/.
  exchanges: ['config', 'market-data', ...WORDS],
  cache: WORDS,
  coinmarketcap: WORDS,
  log: ['config', 'schemas'],
  config: ['lib'],
  'errors.ts': [],
  'invalid-input.ts': ['errors.ts'],
  schemas: [],
  lib: [],
  sandbox: [],
};

/** Rooms whose rule is broken by `all`. */
const brokenRooms = (all: readonly Import[]): string[] =>
  all
    .filter(({ own }) => own)
    .filter(({ from, to }) => {
      const [own, other] = [roomOf(from), roomOf(to)];
      return own !== other && ALLOWED[own]?.includes(other) !== true;
    })
    .map(show);

test('every file belongs to a module of the layout', () => {
  expect(files.map(roomOf).filter((room) => !Object.hasOwn(ALLOWED, room))).toEqual([]);
  expect(files.length).toBeGreaterThan(50);
});

test('imports run one way: server, app, http, the modules, then schemas, lib and errors', () => {
  expect(brokenRooms(imports)).toEqual([]);
});

test('modules take of the settings only their types', () => {
  const values = files
    .filter((path) => [...MODULES, 'http'].includes(roomOf(path)))
    .filter((path) => /^import (?!type)[^;]*from '[./]*\/config\.js'/m.test(source(path)));
  expect(values).toEqual([]);
});

const packages = (room: string): Import[] => imports.filter(({ from, own }) => !own && roomOf(from) === room);

test('only http and app know HTTP servers', () => {
  const astray = imports
    .filter(({ to, own }) => !own && /^(fastify|fastify-plugin|@fastify\/.*)$/.test(to))
    .filter(({ from }) => !['http', 'app'].includes(roomOf(from)));
  expect(astray.map(show)).toEqual([]);
});

test('routes do not import each other', () => {
  const isRoute = (path: string): boolean => path.startsWith('http/routes/');
  expect(imports.filter(({ from, to }) => isRoute(from) && isRoute(to)).map(show)).toEqual([]);
});

test('only the modules that own them import drivers', () => {
  const homes: Readonly<Record<string, RegExp>> = {
    ccxt: /^exchanges\/ccxt\//,
    ioredis: /^cache\//,
    pg: /^ledger\/postgres\//,
    '@photostructure/sqlite': /^ledger\/sqlite\//,
    'hyparquet-writer': /^ledger\/export\//,
    'prom-client': /^metrics\//,
  };
  const astray = imports.filter(({ from, to }) => Object.hasOwn(homes, to) && homes[to]?.test(from) !== true);
  expect(astray.map(show)).toEqual([]);
});

test('schemas import zod and each other; lib, config and errors no more than they must', () => {
  expect([...new Set(packages('schemas').map(({ to }) => to))]).toEqual(['zod']);
  expect(
    packages('lib')
      .filter(({ to }) => !to.startsWith('node:'))
      .map(show),
  ).toEqual([]);
  expect(packages('errors.ts')).toEqual([]);
});

test('the sandbox is imported by its own entry, and by the app behind its setting, when it is wanted', () => {
  const importers = imports.filter(({ from, to }) => roomOf(to) === 'sandbox' && roomOf(from) !== 'sandbox');
  expect(importers.map(({ from }) => from).filter((from) => !COMPOSERS.includes(from))).toEqual([]);
  expect(source('app/drivers.ts')).not.toMatch(/^import .*sandbox\/sandbox/m);
});

test('the environment is read in server.ts and config/ alone', () => {
  const readers = files.filter((path) => /process\.env\b/.test(source(path)));
  expect(
    readers.filter((path) => !['server.ts', 'config/config.ts', 'sandbox/main.ts'].includes(path)),
  ).toEqual([]);
});

test('nothing that computes reads a clock or does I/O: the normalizer takes what it needs', () => {
  const normalizers = files.filter((path) => path.includes('normaliz'));
  for (const path of normalizers) {
    expect(source(path)).not.toMatch(/Date\.now|new Date\(\)|performance\.now/);
    expect(
      importsOf(path, source(path))
        .filter(({ to }) => to.startsWith('node:'))
        .map(show),
    ).toEqual([]);
  }
});

test('there are no barrels and no files that are named after nothing', () => {
  const names = files.map((path) => path.split('/').at(-1) ?? '');
  expect(names.filter((name) => /^(index|utils|helpers|common-utils|misc)\.ts$/.test(name))).toEqual([]);
  const barrels = files.filter((path) => {
    const statements = ts.createSourceFile(path, source(path), ts.ScriptTarget.Latest).statements;
    return statements.length > 0 && statements.every((statement) => ts.isExportDeclaration(statement));
  });
  expect(barrels).toEqual([]);
});

describe('this test itself', () => {
  test.each([
    ["import { a } from '../http/json-answer.js';", 'static'],
    ["export { a } from '../http/json-answer.js';", 're-export'],
    ["const a = await import('../http/json-answer.js');", 'dynamic'],
    ['const a = await import(`../http/json-answer.js`);', 'dynamic, as a template'],
    ["type A = import('../http/json-answer.js').A;", 'type'],
    ["import type { A } from '../http/json-answer.js';", 'type-only'],
  ])('sees %s', (text) => {
    expect(brokenRooms(importsOf('cache/some.ts', text))).toEqual(['cache/some.ts -> http/json-answer.ts']);
  });

  test('looks at the sources of this project', () => {
    expect(relative(process.cwd(), SRC)).toBe('src');
    expect(imports.length).toBeGreaterThan(files.length);
  });
});
