import crypto, { hash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createAdmit } from '../../../src/access/admit.js';
import type { Admission, OtherCredentials } from '../../../src/access/access.js';
import { hashOf, idOf, last4Of, makeKey } from '../../../src/access/key-format.js';
import { createKeyRing } from '../../../src/access/key-ring.js';
import { Principal } from '../../../src/access/principal.js';
import type { KeyRow } from '../../../src/access/store/store.js';
import { AppError } from '../../../src/errors.js';

const NOW = 1_700_000_000_000;

const rowOf = (key: string, members: Partial<KeyRow> = {}): KeyRow => ({
  ...{
    id: idOf(key),
    consumer: idOf(key),
    name: 'x',
    hash: hashOf(key),
    last4: last4Of(key),
    plan: 'default',
  },
  ...{
    scopes: ['market:read'],
    createdAt: NOW,
    expiresAt: null,
    revokedAt: null,
    rotatedTo: null,
    leakedAt: null,
  },
  ...members,
});

const anonymous = new Principal(
  { kind: 'anonymous', id: 'anonymous', consumer: { id: 'anonymous' } },
  {
    name: '',
    scopes: new Set(),
    plan: {
      name: 'p',
      limits: createKeyRing({ watch: { changed: () => undefined }, now: () => NOW }).plan('p').limits,
    },
    expiresAt: null,
    revokedAt: null,
  },
);

const rig = (mode: 'optional' | 'required' = 'required') => {
  const state = { now: NOW, serving: true, others: null as OtherCredentials | null };
  const ring = createKeyRing({ watch: { changed: () => undefined }, now: () => state.now });
  const admit = createAdmit({
    ...{ mode, anonymous, ring, now: () => state.now },
    isServing: () => state.serving,
    others: () => state.others,
  });
  const set = (row: KeyRow, whole = false) => ring.apply({ version: 1, keys: [row], plans: [] }, whole);
  const ask = (headers: Record<string, string>, socket = new Socket()): Admission =>
    admit({ headers, socket });
  return { state, ring, set, ask };
};
const wordOf = (admission: Admission): string =>
  admission instanceof AppError ? admission.code : admission === 'ask' ? 'ask' : admission.id;

test('a connection with a key follows the changes of that key without another look-up', () => {
  const { state, set, ask, ring } = rig();
  const key = makeKey();
  set(rowOf(key));
  const socket = new Socket();
  const headers = { authorization: `Bearer ${key}` };
  expect(wordOf(ask(headers, socket))).toBe(idOf(key));
  // The ring's hash is not asked any more: another one changes nothing.
  ring.find(idOf(key))?.hash.fill(0);
  expect(wordOf(ask(headers, socket))).toBe(idOf(key));
  set(rowOf(key, { expiresAt: NOW + 10 }));
  expect(wordOf(ask(headers, socket))).toBe(idOf(key));
  state.now += 10;
  expect(wordOf(ask(headers, socket))).toBe('credentials_expired');
  set(rowOf(key, { revokedAt: NOW }));
  expect(wordOf(ask(headers, socket))).toBe('credentials_revoked');
});

test('a connection that brings another credential is looked at anew', () => {
  const { set, ask } = rig();
  const [one, other] = [makeKey(), makeKey()];
  set(rowOf(one));
  set(rowOf(other));
  const socket = new Socket();
  for (const [headers, wanted] of [
    [{ 'x-api-key': one }, idOf(one)],
    [{ 'x-api-key': other }, idOf(other)],
    [{ authorization: `Bearer ${one}` }, idOf(one)],
    [{ authorization: `Bearer ${one}`, 'x-api-key': other }, 'invalid_request'],
    [{}, 'unauthenticated'],
    [{ 'x-api-key': makeKey() }, 'invalid_credentials'],
    [{ authorization: `Bearer ${one}` }, idOf(one)],
  ] as const)
    expect(wordOf(ask(headers, socket))).toBe(wanted);
});

test('keys that the store has no more are gone, on connections that know them too', () => {
  const { set, ask } = rig();
  const [one, other] = [makeKey(), makeKey()];
  set(rowOf(one));
  const socket = new Socket();
  ask({ 'x-api-key': one }, socket);
  set(rowOf(other), true);
  expect(wordOf(ask({ 'x-api-key': one }, socket))).toBe('credentials_revoked');
  expect(wordOf(ask({ 'x-api-key': one }))).toBe('invalid_credentials');
});

describe('with AUTH_MODE=optional', () => {
  test('nothing is anonymous, and a wrong credential is not', () => {
    const { ask } = rig('optional');
    expect(wordOf(ask({}))).toBe('anonymous');
    expect(wordOf(ask({ 'x-api-key': 'x' }))).toBe('invalid_credentials');
  });
});

test('while keys cannot be checked no key is good, and what is no key is asked elsewhere', () => {
  const { state, set, ask } = rig();
  const key = makeKey();
  set(rowOf(key));
  const socket = new Socket();
  ask({ 'x-api-key': key }, socket);
  state.serving = false;
  expect(wordOf(ask({ 'x-api-key': key }, socket))).toBe('auth_unavailable');
  expect(wordOf(ask({ 'x-api-key': makeKey() }))).toBe('auth_unavailable');
  const seen: string[] = [];
  state.others = {
    find: (credential) => {
      seen.push(credential);
      return 'ask';
    },
    verify: () => Promise.reject(new Error('not asked')),
    health: () => ({ state: 'ok', since: NOW, detail: '' }),
  };
  expect(wordOf(ask({ authorization: 'Bearer a.b.c' }))).toBe('ask');
  expect(wordOf(ask({ 'x-api-key': key }))).toBe('auth_unavailable');
  expect(seen).toEqual(['a.b.c']);
});

test('the stored form of a key is its SHA-256', () => {
  const key = makeKey();
  expect(hashOf(key)).toBe(hash('sha256', key, 'hex'));
});

test('an unknown id makes the same calls as a wrong secret, with as many bytes', () => {
  const { set, ask, ring } = rig();
  const [known, unknown] = [makeKey(), makeKey()];
  // The row of one key with the hash of another: its id is known, its secret is wrong.
  set(rowOf(known, { hash: hashOf(makeKey()) }));
  const spies = [
    vi.spyOn(ring, 'find'),
    vi.spyOn(crypto, 'hash'),
    vi.spyOn(crypto, 'timingSafeEqual'),
    vi.spyOn(Principal.prototype, 'faultAt'),
    vi.spyOn(Principal.prototype, 'isDueAt'),
  ];
  syncBuiltinESMExports();
  onTestFinished(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
  const lengthOf = (argument: unknown): number => (argument as string | Buffer).length;
  const callsOf = (key: string) => {
    const answer = ask({ 'x-api-key': key });
    const calls = spies.map(({ mock }) => mock.calls.map((args: readonly unknown[]) => args.map(lengthOf)));
    for (const spy of spies) spy.mockClear();
    return { answer: wordOf(answer), calls };
  };
  const wrong = callsOf(known);
  expect(wrong).toEqual({
    answer: 'invalid_credentials',
    // One look-up of twelve characters, one hash of the key, one comparison of two hashes, nothing of a principal.
    calls: [[[12]], [['sha256'.length, known.length, 'buffer'.length]], [[32, 32]], [], []],
  });
  expect(callsOf(unknown)).toEqual(wrong);
});
