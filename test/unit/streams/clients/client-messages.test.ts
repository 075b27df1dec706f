import { expect, test } from 'vitest';
import { Allowance } from '../../../../src/streams/clients/client-messages.js';

test('twenty faults at once are forgiven, the next is one too many', () => {
  const allowance = new Allowance(0);
  for (let i = 0; i < 20; i++) expect(allowance.countViolation(0)).toBe(false);
  expect(allowance.countViolation(0)).toBe(true);
});

test('faults are forgotten with time: one every five seconds never adds up to a close', () => {
  const allowance = new Allowance(0);
  for (let i = 0; i < 20; i++) allowance.countViolation(0);
  for (let at = 5_000; at < 500_000; at += 5_000)
    expect(allowance.countViolation(at), `at ${at}`).toBe(false);
});
