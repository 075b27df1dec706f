import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { endedBySignal } from '../../../src/app/ending-signals.js';
import { recordingLog } from '../../support/recording-log.js';

const END_AFTER_MS = 9_000;

const started = (end: () => Promise<void>) => {
  const process = new EventEmitter();
  const log = recordingLog();
  const codes: number[] = [];
  void endedBySignal({ process, log, end, endAfterMs: END_AFTER_MS }).then((code) => codes.push(code));
  return { log, codes, signal: (name: string) => process.emit(name, name) };
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a server that has ended in order exits with 0', async () => {
  const { codes, signal } = started(() => Promise.resolve());
  signal('SIGTERM');
  await vi.advanceTimersByTimeAsync(0);
  expect(codes).toEqual([0]);
});

test('a drain that runs out of time exits with 1, so that a supervisor notices', async () => {
  const { codes, signal } = started(() => new Promise(() => undefined));
  signal('SIGTERM');
  await vi.advanceTimersByTimeAsync(END_AFTER_MS - 1);
  expect(codes).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(codes).toEqual([1]);
});

test('an end that fails exits with 1', async () => {
  const { codes, log, signal } = started(() => Promise.reject(new Error('stuck')));
  signal('SIGINT');
  await vi.advanceTimersByTimeAsync(0);
  expect(codes).toEqual([1]);
  expect(log.lines.at(-1)).toMatchObject({ level: 'error', message: 'shutting down failed' });
});

test('a second signal ends it at once, with the code of that signal', async () => {
  const { codes, signal } = started(() => new Promise(() => undefined));
  signal('SIGTERM');
  signal('SIGINT');
  await vi.advanceTimersByTimeAsync(0);
  expect(codes).toEqual([130]);
});
