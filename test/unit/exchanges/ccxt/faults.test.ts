import ccxt from 'ccxt';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import {
  codeOfAnswer,
  codeOfRefused,
  faultOfAnswer,
  faultOfCcxt,
  faultOfConnection,
} from '../../../../src/exchanges/ccxt/faults.js';
import { NOT_JSON, UnreadableBodyError } from '../../../../src/exchanges/ccxt/http/response-body.js';
import type { VenueResponse } from '../../../../src/exchanges/ccxt/http/response-body.js';

const response = (status: number, json: unknown = { a: 1 }, body = ''): VenueResponse => ({
  status,
  statusText: '',
  headers: {},
  body,
  json,
});

const WORDS = { unknownSymbol: null, forbiddenIsTooFrequent: false };

describe('CCXT’s classes', () => {
  it.each([
    ['BadSymbol', 'symbol_not_found'],
    ['OrderNotFound', 'symbol_not_found'],
    ['RestrictedLocation', 'upstream_geo_blocked'],
    ['AuthenticationError', 'upstream_auth_required'],
    ['PermissionDenied', 'upstream_auth_required'],
    ['NotSupported', 'not_supported_by_exchange'],
    ['ArgumentsRequired', 'not_supported_by_exchange'],
    ['DDoSProtection', 'upstream_rate_limited'],
    ['RateLimitExceeded', 'upstream_rate_limited'],
    ['OnMaintenance', 'upstream_maintenance'],
    ['ExchangeNotAvailable', 'upstream_unavailable'],
    ['NetworkError', 'upstream_unavailable'],
    ['RequestTimeout', 'upstream_timeout'],
    ['InvalidNonce', 'upstream_bad_response'],
    ['ChecksumError', 'upstream_bad_response'],
    ['BadResponse', 'upstream_bad_response'],
    ['NullResponse', 'upstream_bad_response'],
    ['ExchangeClosedByUser', 'upstream_unavailable'],
    ['BadRequest', 'upstream_error'],
    ['ExchangeError', 'upstream_error'],
    ['UnsubscribeError', 'upstream_error'],
  ] as const)('%s is %s', (name, code) => {
    const thrown = new ccxt[name]('kraken GET https://api.kraken.com/secret {"body":1}');
    expect(faultOfCcxt('kraken', thrown)).toMatchObject({ code, upstream: { exchange: 'kraken' } });
    expect(faultOfCcxt('kraken', thrown).message).not.toMatch(/secret|https/);
  });
});

describe('what is no error of CCXT', () => {
  it.each([
    [new TypeError('Cannot read properties of undefined'), 'upstream_bad_response'],
    ['just a text', 'upstream_bad_response'],
    [undefined, 'upstream_bad_response'],
    [null, 'upstream_bad_response'],
    [Object.assign(new Error('x'), { code: 'EHOSTUNREACH' }), 'upstream_unavailable'],
    [Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }), 'upstream_unavailable'],
    [Object.assign(new Error('x'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' }), 'upstream_unavailable'],
    [Object.assign(new Error('x'), { code: 'HPE_INVALID_CONSTANT' }), 'upstream_unavailable'],
    [Object.assign(new Error('x'), { code: 'ETIMEDOUT' }), 'upstream_timeout'],
  ])('%s', (thrown, code) => {
    expect(faultOfCcxt('binance', thrown).code).toBe(code);
  });

  it('passes when it is an AppError already', () => {
    const error = new AppError('overloaded', 'x');
    expect(faultOfCcxt('binance', error)).toBe(error);
    expect(faultOfConnection('binance', error)).toBe(error);
  });
});

describe('a connection that fails', () => {
  it.each([
    ['UND_ERR_SOCKET', 'upstream_unavailable'],
    ['ECONNRESET', 'upstream_unavailable'],
    ['ENOTFOUND', 'upstream_unavailable'],
    ['UND_ERR_CONNECT_TIMEOUT', 'upstream_timeout'],
    ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'upstream_bad_response'],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'upstream_bad_response'],
  ])('with %s is %s', (code, expected) => {
    expect(faultOfConnection('kraken', Object.assign(new Error('x'), { code })).code).toBe(expected);
  });

  it('by an abort without a reason of ours is a timeout, by its body a bad response', () => {
    expect(faultOfConnection('kraken', new DOMException('x', 'AbortError')).code).toBe('upstream_timeout');
    expect(faultOfConnection('kraken', new UnreadableBodyError('x')).code).toBe('upstream_bad_response');
  });
});

describe('an answer’s status', () => {
  it.each([
    [200, { a: 1 }, null],
    [200, [], null],
    [200, {}, 'upstream_bad_response'],
    [200, NOT_JSON, 'upstream_bad_response'],
    [301, NOT_JSON, 'upstream_bad_response'],
    [302, { a: 1 }, 'upstream_bad_response'],
    [400, {}, null],
    [400, NOT_JSON, 'upstream_error'],
    [418, { a: 1 }, 'upstream_rate_limited'],
    [429, NOT_JSON, 'upstream_rate_limited'],
    [451, { a: 1 }, 'upstream_geo_blocked'],
    [403, NOT_JSON, 'upstream_error'],
    [403, { a: 1 }, null],
    [799, NOT_JSON, 'upstream_error'],
  ])('%i with %j', (status, json, code) => {
    expect(codeOfAnswer(response(status, json), WORDS)).toBe(code);
  });
});

describe('a refusal in the venue’s own JSON', () => {
  it('keeps CCXT’s word where that is certain, and the status where CCXT blurs it', () => {
    const refused = (status: number, thrown: unknown, body = '') =>
      codeOfRefused(thrown, response(status, { a: 1 }, body), { ...WORDS, unknownSymbol: /no such pair/ });
    expect(refused(400, new ccxt.BadSymbol(''))).toBe('symbol_not_found');
    expect(refused(200, new ccxt.ExchangeError(''), 'no such pair')).toBe('symbol_not_found');
    expect(refused(500, new ccxt.ExchangeError(''))).toBe('upstream_unavailable');
    expect(refused(503, new ccxt.ExchangeError(''), 'in maintenance')).toBe('upstream_maintenance');
    expect(refused(503, new ccxt.RateLimitExceeded(''))).toBe('upstream_rate_limited');
    expect(refused(403, new ccxt.ExchangeNotAvailable(''))).toBe('upstream_error');
    expect(refused(403, new ccxt.PermissionDenied(''))).toBe('upstream_auth_required');
    expect(refused(400, new ccxt.ExchangeNotAvailable(''))).toBe('upstream_error');
    expect(refused(400, new ccxt.RequestTimeout(''))).toBe('upstream_timeout');
    expect(refused(200, new ccxt.ExchangeNotAvailable(''))).toBe('upstream_unavailable');
    expect(refused(400, new TypeError('x'))).toBe('upstream_error');
    expect(refused(799, undefined)).toBe('upstream_error');
    expect(refused(403, undefined, 'not in your country')).toBe('upstream_geo_blocked');
    expect(refused(500, undefined)).toBe('upstream_unavailable');
  });

  it('says when to ask again as the gate or the venue knows it, and never shows the cause whole', () => {
    const context = {
      response: { ...response(503), headers: { 'retry-after': '3' } },
      coolDownMs: 9000,
      now: 0,
    };
    expect(faultOfAnswer('kraken', 'upstream_rate_limited', context).retryAfterMs).toBe(9000);
    expect(faultOfAnswer('kraken', 'upstream_maintenance', context).retryAfterMs).toBe(3000);
    expect(faultOfAnswer('kraken', 'upstream_error', context).retryAfterMs).toBeUndefined();
    const huge = faultOfAnswer('kraken', 'upstream_error', { ...context, cause: new Error('x'.repeat(1e6)) });
    expect((huge.cause as Error).message.length).toBeLessThan(400);
  });
});
