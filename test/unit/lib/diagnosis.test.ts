import { expect, test } from 'vitest';
import { diagnosisOfAnswer, diagnosisOfCause, plainLine } from '../../../src/lib/diagnosis.js';

const coded = (message: string, code: string, details: object = {}) =>
  Object.assign(new Error(message), { code, ...details });

test.each([
  [
    'a name that does not exist',
    coded('getaddrinfo ENOTFOUND api.example', 'ENOTFOUND'),
    'getaddrinfo ENOTFOUND api.example',
  ],
  [
    'a port that is closed',
    coded('connect ECONNREFUSED 192.0.2.1:443', 'ECONNREFUSED'),
    'api.example: connect ECONNREFUSED 192.0.2.1:443',
  ],
  [
    'a certificate that nobody vouches for',
    coded('self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT'),
    'api.example: self-signed certificate (DEPTH_ZERO_SELF_SIGNED_CERT)',
  ],
  [
    'all addresses of a name in vain',
    Object.assign(new AggregateError([], ''), {
      code: 'ECONNREFUSED',
      errors: [
        coded('connect ENETUNREACH 2001:db8::1:443', 'ENETUNREACH'),
        coded('connect ETIMEDOUT 192.0.2.1:443', 'ETIMEDOUT'),
      ],
    }),
    'api.example: connect ENETUNREACH 2001:db8::1:443; connect ETIMEDOUT 192.0.2.1:443',
  ],
  [
    'a cause within another',
    new TypeError('fetch failed', { cause: coded('read ECONNRESET', 'ECONNRESET') }),
    'api.example: read ECONNRESET',
  ],
  ['nothing at all', undefined, 'api.example: no reason was given'],
])('the reason of a failed connection, %s, is in the system’s words', (_what, cause, words) => {
  expect(diagnosisOfCause(cause, 'api.example')).toBe(words);
});

test('an answer’s reason is its status and the first 200 characters of its text', () => {
  expect(diagnosisOfAnswer({ status: 400, body: '{"code":-1121,"msg":"Invalid symbol."}' })).toBe(
    'HTTP 400: {"code":-1121,"msg":"Invalid symbol."}',
  );
  expect(diagnosisOfAnswer({ status: 500, body: 'x'.repeat(10_000) })).toBe(`HTTP 500: ${'x'.repeat(200)}…`);
  expect(diagnosisOfAnswer({ status: 503, body: ' ' })).toBe('HTTP 503 without a text');
});

test('of a page the words are told, not its markup', () => {
  const page =
    '<!DOCTYPE html><html><head><style>p{}</style><title>403 Forbidden</title></head>\n<!-- x --><body><p>Request&nbsp;blocked.<script>var a=1;';
  expect(plainLine(page)).toBe('403 Forbidden Request&nbsp;blocked.');
});

test('what could forge a line of a log, or holds credentials, is left out', () => {
  expect(plainLine('a\r\nlevel=error\u001b[31m\u202e b\u0000c')).toBe('a level=error [31m b c');
  expect(plainLine('tunnel to http://user:pass@proxy:1/x failed')).toBe('tunnel to http://proxy:1/x failed');
});
