import { expect, test } from 'vitest';
import { progressLine } from '../../../src/cli/output.js';
import { FakeProgram } from '../../support/fake-program.js';

test('a terminal of unknown width is taken for 80 columns, and gets its last word whole', async () => {
  const { stdout } = new FakeProgram([]);
  Object.assign(stdout, { isTTY: true });
  const line = progressLine(stdout, { title: 'a series', monotonic: () => 0 });
  await line.show(50, 'x'.repeat(100));
  await line.end('y'.repeat(100));
  const [, shown = '', last = ''] = stdout.text.split('\r\u001B[2K');
  expect(shown).toBe(`a series [############............] ${'x'.repeat(43)}`);
  expect(last).toBe(`a series: ${'y'.repeat(100)}\n`);
});

test('elsewhere what has changed is printed as a line, every two seconds at most', async () => {
  const { stdout } = new FakeProgram([]);
  let now = 0;
  const line = progressLine(stdout, { title: 'a series', monotonic: () => now });
  await line.show(0, 'nothing');
  now = 1_999;
  await line.show(10, 'too early');
  now = 2_000;
  await line.show(20, 'a fifth');
  now = 4_000;
  await line.show(20, 'a fifth');
  await line.end('done');
  expect(stdout.text).toBe('a series: nothing\na series: a fifth\na series: done\n');
});
