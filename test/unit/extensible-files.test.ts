import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXTENSIBLE } from '../support/extensible-files.js';

const TESTS = new URL('../', import.meta.url);
const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
  .map((path) => `test/${path.replaceAll('\\', '/')}`)
  .filter((path) => path.endsWith('.test.ts'));
const textOf = (path: string): string => readFileSync(new URL(`../${path}`, TESTS), 'utf8');

test('every test that does more in `npm run test:slow` is run there', () => {
  const growing = files.filter((path) => /\bextent\(/.test(textOf(path)));
  expect(growing.length).toBeGreaterThan(10);
  expect(growing.filter((path) => !EXTENSIBLE.includes(path))).toEqual([]);
});

test('every file of the list is there', () => {
  expect(EXTENSIBLE.filter((path) => !files.includes(path))).toEqual([]);
});
