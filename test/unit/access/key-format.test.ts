import { crc32 } from 'node:zlib';
import { assert, constantFrom, integer, property, stringMatching } from 'fast-check';
import { expect, test } from 'vitest';
import { hashOf, idOf, isKey, keyInUrl, last4Of, makeKey } from '../../../src/access/key-format.js';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const body = stringMatching(/^[0-9A-Za-z]{12}_[0-9A-Za-z]{32}$/).map((text) => `cdk_${text}`);

/** The CRC as the contract words it, by another way than the code's. */
const keyOf = (text: string): string => {
  let rest = BigInt(crc32(text));
  let code = '';
  while (rest > 0n) {
    code = (BASE62[Number(rest % 62n)] ?? '') + code;
    rest /= 62n;
  }
  return text + code.padStart(6, '0');
};

test('a key has the form that scanners look for, and no two are alike', () => {
  const keys = Array.from({ length: 1000 }, makeKey);
  for (const key of keys) {
    expect(key).toMatch(/^cdk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$/);
    expect(isKey(key)).toBe(true);
    expect(keyOf(key.slice(0, -6))).toBe(key);
  }
  expect(new Set(keys.map(idOf)).size).toBe(1000);
  const characters = new Set(keys.join('').replaceAll('cdk_', ''));
  expect([...characters].sort().join('')).toBe(Array.from(`${BASE62}_`).sort().join(''));
});

test('every text of the form with the right CRC is a key, in six characters also where it is small', () => {
  assert(property(body, (text) => isKey(keyOf(text))));
  // Its CRC begins with a zero in base62.
  let small = 0;
  while (
    !keyOf(`cdk_000000000000_${String(small).padStart(32, '0')}`)
      .slice(-6)
      .startsWith('0')
  )
    small += 1;
  expect(isKey(keyOf(`cdk_000000000000_${String(small).padStart(32, '0')}`))).toBe(true);
});

test('one changed, missing or added character makes it no key', () => {
  assert(
    property(
      body,
      integer({ min: 0, max: 54 }),
      constantFrom(...Array.from(BASE62)),
      (text, at, character) => {
        const key = keyOf(text);
        const changed = key.slice(0, at) + character + key.slice(at + 1);
        return changed === key || !isKey(changed);
      },
    ),
  );
  const key = makeKey();
  for (const other of ['', 'cdk_', key.slice(0, -1), `${key}0`, ` ${key}`, key.toUpperCase(), `${key}\n`])
    expect(isKey(other)).toBe(false);
});

test('its id, its last characters and its hash are read from it', () => {
  const key = keyOf(`cdk_abcdefghijkl_${'0'.repeat(32)}`);
  expect(idOf(key)).toBe('abcdefghijkl');
  expect(key.endsWith(last4Of(key))).toBe(true);
  expect(hashOf(key)).toMatch(/^[0-9a-f]{64}$/);
});

test('a key is found in a URL wherever it stands and however it is encoded', () => {
  const key = makeKey();
  const encodedAll = Array.from(key, (c) => `%${c.charCodeAt(0).toString(16)}`).join('');
  const twice = encodedAll.replaceAll('%', '%25');
  for (const url of [
    `/v1/markets?api_key=${key}`,
    `/v1/${key}/x`,
    `/?a=1&b=${key}&c=2`,
    `/?x=prefix${key}suffix`,
    `/?x=${key.replace('_', '%5F')}`,
    `/?x=${encodedAll.toUpperCase()}`,
    `/?x=${twice}`,
    `/?y=%zz&x=${key.replace('c', '%63')}`,
  ])
    expect(keyInUrl(url), url).toBe(key);
});

test('text that resembles a key is not taken for one, and a URL without one is checked cheaply', () => {
  const key = makeKey();
  const wrong = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
  for (const url of [
    '/',
    '/v1/markets/ticker?symbol=BTC%2FUSDT',
    `/?key=${wrong}`,
    '/?a=cdk_',
    `/?a=${'%25'.repeat(600)}`,
  ])
    expect(keyInUrl(url)).toBeNull();
});
