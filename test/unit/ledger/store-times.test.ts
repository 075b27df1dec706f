import { expect, test } from 'vitest';
import { StoreError } from '../../../src/ledger/store-error.js';
import { createStoreTimes } from '../../../src/ledger/store-times.js';

test('calls are counted with their time, whatever comes of them, and failures by their fault', async () => {
  let at = 0;
  const times = createStoreTimes(() => at);
  const taking = (ms: number, fault?: Error) => () => {
    at += ms;
    return fault === undefined ? Promise.resolve('value') : Promise.reject(fault);
  };
  expect(await times.timed('read', taking(3))).toBe('value');
  const full = new StoreError('full', 'The disk is full.');
  await expect(times.timed('write', taking(5, full))).rejects.toBe(full);
  await expect(times.timed('write', taking(7, new TypeError('a bug')))).rejects.toThrow('a bug');
  expect(times.counts()).toMatchObject({
    read: { calls: 1, ms: 3, failures: { full: 0, other: 0 } },
    write: { calls: 2, ms: 12, failures: { full: 1, other: 1, busy: 0 } },
  });
});
