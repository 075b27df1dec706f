import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { onEndingSignals } from '../../../src/app/ending-signals.js';
import { recordingLog } from '../../support/recording-log.js';

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

const END_AFTER_MS = 9_000;

const started = (end: () => Promise<void>) => {
  const process = new FakeProcess();
  const log = recordingLog();
  onEndingSignals({ process, log, end, endAfterMs: END_AFTER_MS });
  return { process, log, signal: (name: string) => process.emit(name, name) };
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a server that has ended in order exits with 0', async () => {
  const { process, signal } = started(() => Promise.resolve());
  signal('SIGTERM');
  await vi.advanceTimersByTimeAsync(0);
  expect(process.exits).toEqual([0]);
});

test('a drain that runs out of time exits with 1, so that a supervisor notices', async () => {
  const { process, signal } = started(() => new Promise(() => undefined));
  signal('SIGTERM');
  await vi.advanceTimersByTimeAsync(END_AFTER_MS - 1);
  expect(process.exits).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(process.exits).toEqual([1]);
});

test('an end that fails exits with 1', async () => {
  const { process, signal } = started(() => Promise.reject(new Error('stuck')));
  signal('SIGINT');
  await vi.advanceTimersByTimeAsync(0);
  expect(process.exits).toEqual([1]);
});

test('a second signal ends it at once, with the code of that signal', () => {
  const { process, signal } = started(() => new Promise(() => undefined));
  signal('SIGTERM');
  signal('SIGINT');
  expect(process.exits).toEqual([130]);
});
