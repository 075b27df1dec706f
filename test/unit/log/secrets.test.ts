import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/config.js';
import { createScrubber, secretsOf } from '../../../src/log/secrets.js';

const PASSWORD = `p"w\\o%r/d'é@1`;
const ENCODED = encodeURIComponent(PASSWORD);
const settings = {
  REDIS_URL: `redis://user:${ENCODED}@redis:6379/0`,
  CMC_API_KEY: 'ab"cdefgh',
  HTTPS_PROXY: `http://jane:${encodeURIComponent('pröxy"pass')}@proxy:3128`,
  HTTP_PROXY: "http://john:o'hara-pw@proxy:3128",
};
const scrub = createScrubber(secretsOf(loadConfig(settings)));

test.each([
  ['as it is', PASSWORD],
  ['percent-encoded', ENCODED],
  ['percent-encoded in lower case', ENCODED.replaceAll(/%../g, (hex) => hex.toLowerCase())],
  ['as a URL has it', new URL(settings.REDIS_URL).password],
  ['escaped for JSON', JSON.stringify(PASSWORD)],
  ['escaped twice', JSON.stringify({ inner: JSON.stringify({ password: PASSWORD }) })],
  ['the key, escaped for JSON', JSON.stringify({ msg: `refused ${settings.CMC_API_KEY}` })],
  ['a proxy’s password', 'pröxy"pass'],
  ['a proxy’s password, percent-encoded', encodeURIComponent('pröxy"pass')],
  ['a proxy’s password, escaped for JSON', JSON.stringify('pröxy"pass')],
  ['a proxy’s password as its setting has it', "o'hara-pw"],
  ['a proxy’s password as the URL parser has it', new URL(settings.HTTP_PROXY).password],
  ['Basic credentials', `Basic ${Buffer.from('jane:pröxy"pass').toString('base64')}`],
])('a secret is cut from a line %s', (_form, text) => {
  const line = `before ${text} after`;
  const cut = scrub(line);
  expect(cut).toContain('[redacted]');
  expect(cut).toMatch(/^before .*after$/);
  for (const part of ['w\\\\o', '%r/d', 'r%2fd', 'cdefgh', 'pröxy', 'pr%c3', 'hara', 'amFuZT'])
    expect(cut.toLowerCase()).not.toContain(part.toLowerCase());
});

test('credentials in any URL are cut, however short and whosever they are', () => {
  expect(scrub('connect to redis://:abc@redis:6379/0 and http://a:b@proxy.example/x failed')).toBe(
    'connect to redis://[redacted]@redis:6379/0 and http://[redacted]@proxy.example/x failed',
  );
});

test.each([
  ['a key', 'cdk_abcdefghijkl_0123456789ABCDEFGHIJKLMNOPQRSTUVabcdef'],
  ['a ticket', 'cdt_0123456789ABCDEFGHIJKLMNOPQRSTUV'],
  ['a token', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl-_x'],
])('%s is cut wherever it stands', (_name, secret) => {
  for (const line of [
    `before ${secret} after`,
    `before?x=${secret}&y=1 after`,
    JSON.stringify({ a: `before"${secret}" after` }),
  ]) {
    const cut = scrub(line);
    expect(cut).toContain('[redacted]');
    expect(cut).toMatch(/before.*after/);
    for (const part of secret.split(/[._]/).filter((text) => text.length > 8))
      expect(cut).not.toContain(part);
  }
});

test('the credentials of the store of keys and of introspection are cut', () => {
  const config = loadConfig({
    AUTH_STORE: 'postgres://keys:hidden-word@db/keys',
    OAUTH_INTROSPECTION_URL: 'https://issuer.example/introspect',
    OAUTH_INTROSPECTION_CLIENT_SECRET: 'client-secret-1',
  });
  const cut = createScrubber(secretsOf(config))('hidden-word and client-secret-1');
  expect(cut).toBe('[redacted] and [redacted]');
});

test('what is no secret stays', () => {
  const line = '{"msg":"GET https://api.example/v1?mail=a@b.example","user":"jane"}';
  expect(scrub(line)).toBe(line);
});
