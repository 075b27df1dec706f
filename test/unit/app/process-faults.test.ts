import { expect, test } from 'vitest';
import { watchFaults } from '../../../src/app/process-faults.js';
import { FakeProgram } from '../../support/fake-program.js';
import { recordingLog } from '../../support/recording-log.js';

test('rejections that nobody handled are logged and counted, and end nothing', () => {
  const program = new FakeProgram([]);
  const log = recordingLog();
  const count = watchFaults(program, log);
  const reason = new Error('left alone');
  program.emit('unhandledRejection', reason);
  program.emit('unhandledRejection', reason);
  expect(count()).toBe(2);
  expect(log.lines.map(({ details }) => details)).toEqual([
    { err: reason, count: 1 },
    { err: reason, count: 2 },
  ]);
  expect(program.exits).toEqual([]);
});

test('an exception that nobody caught is logged and ends the process with 1', () => {
  const program = new FakeProgram([]);
  const log = recordingLog();
  watchFaults(program, log);
  const error = new Error('broken');
  program.emit('uncaughtException', error);
  expect(log.lines).toEqual([{ level: 'error', details: { err: error }, message: 'uncaught exception' }]);
  expect(program.exits).toEqual([1]);
});
