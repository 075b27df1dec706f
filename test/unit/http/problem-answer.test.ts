import { expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { retryAfterSeconds, toProblem } from '../../../src/http/problems/problem.js';

const context = { url: '/v1/x', requestId: '1' };

test.each(['upstream_unavailable', 'overloaded', 'client_rate_limited'] as const)(
  '%s tells in its body to wait as long as in Retry-After, where the time is not known either',
  (code) => {
    const error = new AppError(code, 'away');
    expect(toProblem(error, context).retry_after_ms).toBe(Number(retryAfterSeconds(error)) * 1000);
  },
);

test('a problem that no waiting solves names no time', () => {
  expect(toProblem(new AppError('symbol_not_found', 'no'), context)).not.toHaveProperty('retry_after_ms');
  expect(toProblem(new AppError('upstream_bad_response', 'odd'), context)).not.toHaveProperty(
    'retry_after_ms',
  );
});

test('a diagnosis stays with the operator', () => {
  const error = new AppError('upstream_unavailable', 'away', {
    diagnosis: 'getaddrinfo ENOTFOUND api.example',
  });
  expect(JSON.stringify(toProblem(error, context))).not.toContain('ENOTFOUND');
});
