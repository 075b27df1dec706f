import { describe, expect, it } from 'vitest';
import { IssuerKeys, RELOAD_INTERVAL } from '../../../../src/access/oauth/issuer-keys.js';
import { recordingLog } from '../../../support/recording-log.js';
import { ISSUER, makeKey, TokenIssuer } from '../../../support/token-issuer.js';
import { FakeTime, settle } from '../../streams/fakes.js';

const HOUR = 3_600_000;

const rig = async () => {
  const time = new FakeTime();
  const issuer = new TokenIssuer();
  const first = await makeKey('first');
  issuer.keys = [first.jwk];
  const log = recordingLog();
  const gone: string[][] = [];
  const keys = new IssuerKeys({
    issuer: ISSUER,
    http: issuer,
    log,
    timers: time,
    monotonic: time.monotonic,
    onGone: (kids) => gone.push([...kids]),
  });
  return { time, issuer, first, log, gone, keys };
};

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (set) => (set === null ? 'none' : 'found'),
    (error: unknown) => (error as { code: string }).code,
  );

describe('the keys of an issuer', () => {
  it('are asked for by OpenID discovery where the issuer has no metadata of RFC 8414', async () => {
    const { issuer, keys } = await rig();
    expect(await codeOf(keys.holding('first'))).toBe('found');
    expect([...issuer.requests.keys()]).toEqual([
      'https://issuer.example/.well-known/oauth-authorization-server/tenant',
      'https://issuer.example/tenant/.well-known/openid-configuration',
      'https://issuer.example/tenant/jwks',
    ]);
  });

  it.each([
    ['of another issuer', { issuer: `${ISSUER}/`, jwks_uri: `${ISSUER}/jwks` }],
    ['with keys over http', { issuer: ISSUER, jwks_uri: 'http://issuer.example/tenant/jwks' }],
    ['without the address of keys', { issuer: ISSUER }],
  ])('are not taken from metadata %s', async (_what, metadata) => {
    const { issuer, keys } = await rig();
    issuer.metadata = metadata;
    expect(await codeOf(keys.holding('first'))).toBe('auth_unavailable');
    expect(issuer.jwksFetches).toBe(0);
  });

  it('are loaded once for all who wait for the first load', async () => {
    const { issuer, keys } = await rig();
    const all = await Promise.all(Array.from({ length: 50 }, () => codeOf(keys.holding('first'))));
    expect(new Set(all)).toEqual(new Set(['found']));
    expect(issuer.jwksFetches).toBe(1);
  });

  it('are fetched once more for 10,000 unknown ids, and once in each 30 seconds after', async () => {
    const { time, issuer, keys } = await rig();
    keys.start();
    await settle();
    await time.advance(RELOAD_INTERVAL);
    for (let i = 0; i < 10_000; i++) expect(await codeOf(keys.holding(`random-${i}`))).toBe('none');
    expect(issuer.jwksFetches).toBe(2);
    expect(issuer.allRequests).toBe(4);
    await time.advance(RELOAD_INTERVAL - 1);
    expect(issuer.jwksFetches).toBe(2);
    await time.advance(1);
    expect(issuer.jwksFetches).toBe(3);
    keys.close();
  });

  it('take a new key within 30 seconds of the first token that names it', async () => {
    const { time, issuer, keys } = await rig();
    keys.start();
    await settle();
    issuer.keys.push((await makeKey('second')).jwk);
    expect(await codeOf(keys.holding('second'))).toBe('none');
    await time.advance(RELOAD_INTERVAL);
    expect(await codeOf(keys.holding('second'))).toBe('found');
    expect(issuer.jwksFetches).toBe(2);
    keys.close();
  });

  it('are refreshed every hour, with the address that they are at', async () => {
    const { time, issuer, keys } = await rig();
    keys.start();
    await settle();
    await time.advance(HOUR);
    expect(issuer.jwksFetches).toBe(2);
    expect(issuer.requests.get(`${ISSUER}/.well-known/openid-configuration`)).toBe(2);
    keys.close();
  });

  it('serve on while the issuer is away, for a day; unknown ids are then no fault of the token', async () => {
    const { time, issuer, keys, log } = await rig();
    keys.start();
    await settle();
    issuer.down = true;
    await time.advance(HOUR);
    expect(keys.health().state).toBe('stale');
    expect(await codeOf(keys.holding('first'))).toBe('found');
    expect(await codeOf(keys.holding('other'))).toBe('auth_unavailable');
    expect(log.warnings()).toHaveLength(1);
    await time.advance(24 * HOUR);
    expect(await codeOf(keys.holding('first'))).toBe('auth_unavailable');
    expect(keys.health().state).toBe('unavailable');
    issuer.down = false;
    await time.advance(RELOAD_INTERVAL);
    expect(await codeOf(keys.holding('first'))).toBe('found');
    expect(keys.health().state).toBe('ok');
    keys.close();
  });

  it('that were never loaded are tried again every 30 seconds, with no token asking', async () => {
    const { time, issuer, keys } = await rig();
    issuer.down = true;
    keys.start();
    await settle();
    for (let i = 0; i < 100; i++) expect(await codeOf(keys.holding('first'))).toBe('auth_unavailable');
    expect(issuer.allRequests).toBe(2);
    issuer.down = false;
    await time.advance(RELOAD_INTERVAL);
    expect(await codeOf(keys.holding('first'))).toBe('found');
    keys.close();
  });

  it('are looked for at a new address once the old one fails', async () => {
    const { time, issuer, keys } = await rig();
    keys.start();
    await settle();
    issuer.keys = [];
    await time.advance(HOUR);
    expect(keys.health().state).toBe('stale');
    const before = issuer.requests.get(`${ISSUER}/.well-known/openid-configuration`) ?? 0;
    await time.advance(RELOAD_INTERVAL);
    expect(issuer.requests.get(`${ISSUER}/.well-known/openid-configuration`)).toBe(before + 1);
    keys.close();
  });

  it('that are gone, or others under the same id, are told', async () => {
    const { time, issuer, keys, gone } = await rig();
    const second = await makeKey('second');
    issuer.keys.push(second.jwk);
    keys.start();
    await settle();
    issuer.keys = [(await makeKey('first')).jwk, second.jwk];
    await time.advance(HOUR);
    issuer.keys = [second.jwk];
    await time.advance(HOUR);
    expect(gone).toEqual([['first'], ['first']]);
    expect(keys.losses).toBe(2);
    keys.close();
  });

  it('are asked for no more after the close', async () => {
    const { time, issuer, keys } = await rig();
    keys.start();
    await settle();
    keys.close();
    await time.advance(2 * HOUR);
    expect(issuer.jwksFetches).toBe(1);
    expect(time.pending).toBe(0);
  });
});
