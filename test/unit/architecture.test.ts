// What the layout asks of each file by itself. Which module may import what is .dependency-cruiser.js's.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.replaceAll('\\', '/'))
  .sort();
const source = (path: string): string => readFileSync(join(SRC, path), 'utf8');

test('this test reads the sources of this project', () => {
  expect(relative(process.cwd(), SRC)).toBe('src');
  expect(files.length).toBeGreaterThan(50);
});

test('the normalizer reads no clock: it takes the time', () => {
  const normalizers = files.filter((path) => path.includes('normaliz'));
  expect(normalizers).not.toEqual([]);
  for (const path of normalizers) expect(source(path)).not.toMatch(/Date\.now|new Date\(\)|performance\.now/);
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

/** What runs when a module is loaded, by itself and by all that it imports statically. */
const loadedWith = (entry: string, found = new Set<string>()): ReadonlySet<string> => {
  if (found.has(entry)) return found;
  found.add(entry);
  for (const statement of ts.createSourceFile(entry, source(entry), ts.ScriptTarget.Latest).statements) {
    const isImport =
      ts.isImportDeclaration(statement) &&
      statement.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword;
    const isExport = ts.isExportDeclaration(statement) && !statement.isTypeOnly;
    if (!isImport && !isExport) continue;
    const { moduleSpecifier: name } = statement;
    if (name === undefined || !ts.isStringLiteral(name) || !name.text.startsWith('.')) continue;
    loadedWith(join(dirname(entry), name.text).replaceAll('\\', '/').replace(/\.js$/, '.ts'), found);
  }
  return found;
};

test('of access a server loads what words refusals and counts clients; all that knows a key comes with AUTH_MODE', () => {
  const loaded = [...loadedWith('app/serve-http.ts')];
  expect(loaded.length).toBeGreaterThan(100);
  expect(loaded.filter((path) => path.startsWith('access/')).sort()).toEqual([
    ...['access/admit.ts', 'access/client-limiter-sharing.ts', 'access/client-limiter.ts'],
    ...['access/key-format.ts', 'access/oauth/protected-resource.ts', 'access/permit.ts', 'access/plan.ts'],
    ...['access/quotas.ts', 'access/units.ts', 'access/window-rules.ts'],
  ]);
});
