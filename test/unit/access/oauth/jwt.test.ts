import { createSecretKey } from 'node:crypto';
import {
  exportSPKI,
  generateKeyPair,
  SignJWT,
  UnsecuredJWT,
  CompactEncrypt,
  exportJWK,
  importJWK,
  type CryptoKey,
} from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { isJwt, type JwtSettings } from '../../../../src/access/oauth/jwt.js';
import { verifierOver } from '../../../support/jwt-rig.js';
import {
  ISSUER,
  makeKey,
  PUBLIC_URL,
  signToken,
  TokenIssuer,
  type IssuerKey,
  type TokenForm,
} from '../../../support/token-issuer.js';
import { FakeTime } from '../../streams/fakes.js';

let key: IssuerKey;
let rsa: IssuerKey;

beforeAll(async () => {
  key = await makeKey('first');
  rsa = await makeKey('rsa', 'RS256');
});

const rig = (settings: Partial<JwtSettings> = {}, issuers: readonly TokenIssuer[] = [new TokenIssuer()]) => {
  const time = new FakeTime();
  const at = Math.floor(time.now() / 1000);
  for (const issuer of issuers) if (issuer.keys.length === 0) issuer.keys = [key.jwk, rsa.jwk];
  const verify = verifierOver(
    issuers.map((http) => ({ issuer: http.issuer, http })),
    { settings, time },
  );
  const sign = (form: Partial<TokenForm> = {}) => signToken({ key, at, ...form });
  const outcome = (token: string): Promise<string> =>
    verify(token).then(
      () => 'good',
      (error: unknown) => (error as { code: string }).code,
    );
  return { time, at, verify, sign, outcome, issuer: issuers[0]! };
};

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a signed token', () => {
  it('tells who its bearer is, and what it may', async () => {
    const { verify, sign, at } = rig();
    const { bearer, kid, isCurrent } = await verify(await sign());
    expect(bearer).toEqual({
      issuer: ISSUER,
      subject: 'user-1',
      client: 'client-1',
      scopes: new Set(['market:read', 'stream:read']),
      plan: null,
      mcpOnly: false,
      expiresAt: (at + 300) * 1000,
    });
    expect(kid).toBe('first');
    expect(isCurrent()).toBe(true);
  });

  it.each([
    ['scp as a list', { scope: undefined, scp: ['market:read'] }],
    ['scp as text', { scope: undefined, scp: 'market:read openid' }],
    ['permissions', { scope: undefined, permissions: ['market:read', 'orders:write'] }],
    ['a prefix', { scope: 'api://data/market:read offline_access' }],
  ])('has its scopes in %s', async (_where, claims) => {
    const { verify, sign } = rig({ scopePrefix: 'api://data/' });
    const { bearer } = await verify(await sign({ claims }));
    expect([...bearer.scopes]).toEqual(['market:read']);
  });

  it('names its plan in the claim of the settings, and only there', async () => {
    const { verify, sign } = rig({ planClaim: 'https://data.example.com/plan' });
    const claims = { 'https://data.example.com/plan': 'pro' };
    expect((await verify(await sign({ claims }))).bearer.plan).toBe('pro');
    expect((await verify(await sign({ claims: { plan: 'pro' } }))).bearer.plan).toBeNull();
  });

  it.each([
    ['RS256', 'RS256'],
    ['PS256', 'PS256'],
    ['ES256', 'ES256'],
    ['EdDSA', 'EdDSA'],
    ['Ed25519', 'Ed25519'],
  ])('may be signed with %s', async (_name, alg) => {
    const signer = await makeKey('k', alg);
    const issuer = new TokenIssuer();
    issuer.keys = [signer.jwk];
    const { outcome, sign } = rig({}, [issuer]);
    expect(await outcome(await sign({ key: signer }))).toBe('good');
  });

  it('may not be signed with an algorithm that is not listed', async () => {
    const signer = await makeKey('k', 'ES384');
    const issuer = new TokenIssuer();
    issuer.keys = [signer.jwk];
    const { outcome, sign } = rig({}, [issuer]);
    expect(await outcome(await sign({ key: signer }))).toBe('invalid_credentials');
  });

  it('that is signed by nobody, or with the public key as a secret, is refused', async () => {
    const { outcome, at } = rig({ algorithms: ['RS256', 'ES256', 'HS256', 'none'] });
    const payload = { iss: ISSUER, sub: 'user-1', aud: PUBLIC_URL, iat: at, exp: at + 300 };
    const unsigned = new UnsecuredJWT(payload).encode();
    const named = `${encode({ alg: 'none', kid: 'rsa' })}.${encode(payload)}.AA`;
    const publicPem = await exportSPKI((await importJWK(rsa.jwk, 'RS256')) as CryptoKey);
    const byPem = createSecretKey(Buffer.from(publicPem));
    const byJwk = createSecretKey(Buffer.from(JSON.stringify(rsa.jwk)));
    const forged = await Promise.all(
      [byPem, byJwk].map((secret) =>
        new SignJWT(payload).setProtectedHeader({ alg: 'HS256', kid: 'rsa' }).sign(secret),
      ),
    );
    expect(isJwt(unsigned)).toBe(false);
    for (const token of [unsigned, named, ...forged])
      expect(await outcome(token)).toBe('invalid_credentials');
  });

  it('says nothing of where its key is: jku, x5u and jwk are not followed', async () => {
    const attacker = await makeKey('attacker');
    const { outcome, sign, issuer } = rig();
    const header = {
      jku: 'https://attacker.example/jwks',
      x5u: 'https://attacker.example/cert',
      jwk: attacker.jwk,
      kid: 'first',
    };
    expect(await outcome(await sign({ key: attacker, header }))).toBe('invalid_credentials');
    expect([...issuer.requests.keys()].filter((url) => url.includes('attacker'))).toEqual([]);
  });

  it.each([
    ['a path', '../../keys'],
    ['a prototype member', '__proto__'],
    ['another one', 'constructor'],
    ['too long', 'k'.repeat(300)],
    ['nothing', ''],
    ['a quote of SQL', "' OR 1=1 --"],
  ])('is refused where its key id is %s', async (_what, kid) => {
    const { outcome, sign } = rig();
    expect(await outcome(await sign({ header: { kid } }))).toBe('invalid_credentials');
  });

  it('is refused where its signature is of another key or its claims were changed', async () => {
    const { outcome, sign } = rig();
    const other = await makeKey('first');
    expect(await outcome(await sign({ key: other }))).toBe('invalid_credentials');
    const [head = '', , signature = ''] = (await sign()).split('.');
    const { at } = rig();
    const admin = encode({ iss: ISSUER, sub: 'user-1', aud: PUBLIC_URL, scope: 'admin', exp: at + 300 });
    expect(await outcome(`${head}.${admin}.${signature}`)).toBe('invalid_credentials');
  });

  it.each([
    ['an unknown critical member', { crit: ['b64x'], b64x: true }],
    ['an ID token by type', { typ: 'id_token+jwt' }],
    ['a logout token', { typ: 'logout+jwt' }],
    ['a DPoP proof', { typ: 'application/dpop+jwt' }],
  ])('is refused with the header of %s', async (_what, header) => {
    const { outcome, at } = rig();
    const payload = { iss: ISSUER, sub: 'user-1', aud: PUBLIC_URL, iat: at, exp: at + 300 };
    const { crit, ...rest } = header as Record<string, unknown> & { crit?: string[] };
    const signer = new SignJWT(payload).setProtectedHeader({
      alg: 'ES256',
      kid: 'first',
      ...rest,
      ...(crit === undefined ? {} : { crit }),
    });
    const token = await signer.sign(key.privateKey, crit === undefined ? {} : { crit: { b64x: true } });
    expect(await outcome(token)).toBe('invalid_credentials');
  });

  it.each([
    ['of no type', { typ: undefined }, {}],
    ['of the plain type', { typ: 'JWT' }, {}],
    ['of the type with its prefix', { typ: 'application/at+jwt' }, {}],
    ['with Keycloak’s type', { typ: 'JWT' }, { typ: 'Bearer' }],
  ])('is taken %s', async (_what, header, claims) => {
    const { outcome, sign } = rig();
    expect(await outcome(await sign({ header, claims }))).toBe('good');
  });

  it.each([
    ['nonce', { nonce: 'n' }],
    ['at_hash', { at_hash: 'h' }],
    ['typ ID', { typ: 'ID' }],
  ])('with the %s of an ID token is refused', async (_what, claims) => {
    const { outcome, sign } = rig();
    expect(await outcome(await sign({ header: { typ: 'JWT' }, claims }))).toBe('invalid_credentials');
  });

  it.each([
    ['the public address with a slash', `${PUBLIC_URL}/`, 'good'],
    ['one of several', ['https://other.example', PUBLIC_URL], 'good'],
    ['MCP’s address', `${PUBLIC_URL}/mcp`, 'good'],
    ['nobody', undefined, 'invalid_credentials'],
    ['an empty list', [], 'invalid_credentials'],
    ['a longer host', `${PUBLIC_URL}.evil.example`, 'invalid_credentials'],
    ['a longer path', `${PUBLIC_URL}/mcp/other`, 'invalid_credentials'],
    ['two slashes', `${PUBLIC_URL}//`, 'invalid_credentials'],
    ['another case', 'https://Data.example.com', 'invalid_credentials'],
    ['another scheme', 'http://data.example.com', 'invalid_credentials'],
    ['the client', 'client-1', 'invalid_credentials'],
    ['a number', 7, 'invalid_credentials'],
  ])('for %s', async (_who, aud, expected) => {
    const { outcome, sign } = rig();
    expect(await outcome(await sign({ claims: { aud } }))).toBe(expected);
  });

  it('for MCP alone says so, and one for both does not', async () => {
    const { verify, sign } = rig();
    const mcpOnly = async (aud: string | string[]) =>
      (await verify(await sign({ claims: { aud } }))).bearer.mcpOnly;
    expect(await mcpOnly(`${PUBLIC_URL}/mcp`)).toBe(true);
    expect(await mcpOnly([`${PUBLIC_URL}/mcp`, PUBLIC_URL])).toBe(false);
  });

  it.each([
    ['with a slash more', `${ISSUER}/`],
    ['of another tenant', 'https://issuer.example/tenant2'],
    ['without one', undefined],
    ['that is a number', 5],
    ['that is a prototype member', '__proto__'],
  ])('of an issuer %s is refused', async (_what, iss) => {
    const { outcome, sign, issuer } = rig();
    expect(await outcome(await sign({ claims: { iss } }))).toBe('invalid_credentials');
    expect(issuer.allRequests).toBe(0);
  });

  it.each([
    ['expired 29 s ago', { exp: -29 }, 'good'],
    ['expired 31 s ago', { exp: -31 }, 'credentials_expired'],
    ['valid in 29 s', { nbf: 29 }, 'good'],
    ['valid in 31 s', { nbf: 31 }, 'invalid_credentials'],
  ])('that is %s', async (_when, offsets, expected) => {
    const { outcome, sign, at } = rig();
    const claims = Object.fromEntries(Object.entries(offsets).map(([claim, by]) => [claim, at + by]));
    expect(await outcome(await sign({ claims }))).toBe(expected);
  });

  it('from the future tells of clocks', async () => {
    const { verify, sign, at } = rig();
    await expect(verify(await sign({ claims: { nbf: at + 60 } }))).rejects.toThrow(/clock/);
  });

  it('that is expired and forged is not told that it is expired', async () => {
    const { outcome, sign, at } = rig();
    const forger = await makeKey('first');
    expect(await outcome(await sign({ key: forger, claims: { exp: at - 3600 } }))).toBe(
      'invalid_credentials',
    );
  });

  it.each([
    ['sub', { sub: undefined }],
    ['exp', { exp: undefined }],
    ['a numeric exp', { exp: '4102444800' }],
  ])('without %s is refused', async (_what, claims) => {
    const { outcome, sign } = rig();
    expect(await outcome(await sign({ claims: claims }))).toBe('invalid_credentials');
  });

  it('of 10 kB is not looked at, and neither is what is encrypted', async () => {
    const { outcome, sign } = rig();
    const long = await sign({ claims: { filler: 'x'.repeat(10_000) } });
    expect(isJwt(long)).toBe(false);
    const encrypted = await new CompactEncrypt(Buffer.from('{}'))
      .setProtectedHeader({ alg: 'RSA-OAEP', enc: 'A256GCM', kid: 'rsa' })
      .encrypt((await generateKeyPair('RSA-OAEP')).publicKey);
    expect(isJwt(encrypted)).toBe(false);
    expect(await outcome('a.b.c')).toBe('invalid_credentials');
  });

  it('is not verified with a key that is too short, secret, private or for encryption', async () => {
    const weak = await crypto.subtle.generateKey(
      {
        name: 'RSASSA-PKCS1-v1_5',
        modulusLength: 1024,
        publicExponent: new Uint8Array([1, 0, 1]),
        hash: 'SHA-256',
      },
      true,
      ['sign', 'verify'],
    );
    const issuer = new TokenIssuer();
    issuer.keys = [
      { ...(await exportJWK(weak.publicKey)), kid: 'weak', alg: 'RS256' },
      { kty: 'oct', k: Buffer.from('secret').toString('base64url'), kid: 'oct', alg: 'HS256' },
      { ...key.jwk, kid: 'encrypts', use: 'enc' },
      key.jwk,
    ];
    const { outcome, sign, at } = rig({ algorithms: ['RS256', 'ES256', 'HS256'] }, [issuer]);
    const payload = encode({ iss: ISSUER, sub: 'u', aud: PUBLIC_URL, exp: at + 300 });
    const signed = `${encode({ alg: 'RS256', kid: 'weak' })}.${payload}`;
    const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', weak.privateKey, Buffer.from(signed));
    expect(await outcome(`${signed}.${Buffer.from(signature).toString('base64url')}`)).toBe(
      'invalid_credentials',
    );
    const byOct = await new SignJWT({ iss: ISSUER, sub: 'u', aud: PUBLIC_URL, exp: at + 300 })
      .setProtectedHeader({ alg: 'HS256', kid: 'oct' })
      .sign(createSecretKey(Buffer.from('secret')));
    expect(await outcome(byOct)).toBe('invalid_credentials');
    expect(await outcome(await sign({ header: { kid: 'encrypts' } }))).toBe('invalid_credentials');
    expect(await outcome(await sign())).toBe('good');
  });

  it('without a key id is tried with the few keys that fit', async () => {
    const others = await Promise.all(['a', 'b'].map((kid) => makeKey(kid)));
    const issuer = new TokenIssuer();
    issuer.keys = [...others.map(({ jwk }) => jwk), key.jwk];
    const { outcome, sign } = rig({}, [issuer]);
    expect(await outcome(await sign({ header: { kid: undefined } }))).toBe('good');
    const stranger = await makeKey('x');
    expect(await outcome(await sign({ key: stranger, header: { kid: undefined } }))).toBe(
      'invalid_credentials',
    );
  });

  it('is verified with the keys of its own issuer, though another has one of the same id', async () => {
    const second = new TokenIssuer('https://second.example');
    const theirs = await makeKey('first');
    second.keys = [theirs.jwk];
    const { outcome, sign } = rig({}, [new TokenIssuer(), second]);
    expect(await outcome(await sign({ claims: { iss: second.issuer } }))).toBe('invalid_credentials');
    expect(await outcome(await sign({ key: theirs, claims: { iss: second.issuer } }))).toBe('good');
    expect(await outcome(await sign())).toBe('good');
  });

  it('is nobody’s fault while the issuer cannot be reached', async () => {
    const issuer = new TokenIssuer();
    issuer.down = true;
    const { outcome, sign } = rig({}, [issuer]);
    expect(await outcome(await sign())).toBe('auth_unavailable');
  });
});
