// What the layout asks of each file by itself. Which module may import what is .dependency-cruiser.js's.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.replaceAll('\\', '/'))
  .sort();
const source = (path: string): string => readFileSync(join(SRC, path), 'utf8');

test('this test looks at the sources of this project', () => {
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
