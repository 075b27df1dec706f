import { expect, test } from 'vitest';
import { AppError, ERROR_CODES } from '../../src/errors.js';

test('each code has the status that its contract names', () => {
  const byStatus = (status: number) =>
    Object.entries(ERROR_CODES)
      .filter(([, spec]) => spec.status === status)
      .map(([code]) => code);
  expect(byStatus(400)).toEqual([
    'invalid_request',
    'graphql_parse_failed',
    'graphql_validation_failed',
    'query_too_complex',
    'batch_not_allowed',
    'unknown_exchange',
    'exchange_not_enabled',
    'symbol_not_found',
    'interval_not_supported',
    'not_supported_by_exchange',
    'credential_in_url',
  ]);
  expect(byStatus(401)).toEqual([
    'unauthenticated',
    'invalid_credentials',
    'credentials_expired',
    'credentials_revoked',
    'ticket_invalid',
  ]);
  expect(byStatus(403)).toEqual([
    'insufficient_scope',
    'plan_forbids',
    'feature_disabled',
    'origin_not_allowed',
  ]);
  expect(byStatus(429)).toEqual([
    'upstream_rate_limited',
    'upstream_budget_exhausted',
    'client_rate_limited',
    'quota_exceeded',
    'stream_limit_reached',
    'too_many_auth_failures',
  ]);
  expect(byStatus(502)).toEqual([
    'upstream_error',
    'upstream_bad_response',
    'upstream_geo_blocked',
    'upstream_auth_required',
  ]);
  expect(byStatus(503)).toEqual([
    'auth_unavailable',
    'upstream_unavailable',
    'upstream_timeout',
    'upstream_maintenance',
    'overloaded',
    'shutting_down',
  ]);
});

test('an error survives the way through structured cloning, but for its cause', () => {
  const error = new AppError('upstream_timeout', 'late', {
    retryAfterMs: 5,
    upstream: { exchange: 'kraken', status: 504 },
    errors: [{ parameter: 'symbol', reason: 'why' }],
    cause: new Error('inside'),
  });
  const revived = AppError.fromPlain(structuredClone(error.toPlain()));
  expect(revived).toBeInstanceOf(AppError);
  expect(revived.toPlain()).toEqual(error.toPlain());
  expect(revived).toMatchObject({ status: 503, title: 'Upstream timeout', retryable: true });
  expect(revived.cause).toBeUndefined();
});

test('a message is bounded', () => {
  expect(new AppError('upstream_error', 'x'.repeat(1_000_000)).message).toHaveLength(500);
});

test('what nobody classified is a bug of ours, and keeps what it was', () => {
  const inside = new TypeError('x is undefined');
  expect(AppError.from(inside)).toMatchObject({ code: 'internal_error', cause: inside });
  const known = new AppError('not_found', 'no');
  expect(AppError.from(known)).toBe(known);
});
