// Tokens as Keycloak, Auth0, Microsoft Entra ID and Okta issue them, by their documentation: every claim that it names, with
// made-up values, signed with a key that is published as they publish theirs.
import type { JWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JwtSettings } from '../../../../src/access/oauth/jwt.js';
import { verifierOver } from '../../../support/jwt-rig.js';
import {
  makeKey,
  PUBLIC_URL,
  signToken,
  TokenIssuer,
  type IssuerKey,
} from '../../../support/token-issuer.js';
import { FakeTime } from '../../streams/fakes.js';

const TENANT = '11111111-2222-3333-4444-555555555555';
const API = '99999999-8888-7777-6666-555555555555';
const CLIENT = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';

type Claims = Readonly<Record<string, unknown>>;

let key: IssuerKey;
beforeAll(async () => {
  key = await makeKey('k1', 'RS256');
});

const verify = async (
  claims: Claims,
  settings: Partial<JwtSettings> = {},
  header: Claims = { typ: 'JWT' },
) => {
  const time = new FakeTime();
  const at = Math.floor(time.now() / 1000);
  const iss = String(claims['iss']);
  const issuer = new TokenIssuer(iss);
  // Entra's keys name no algorithm; Keycloak publishes one for encryption beside them.
  const { alg, ...bare } = key.jwk;
  const published: JWK[] = [bare, { ...bare, kid: 'enc', use: 'enc', alg: 'RSA-OAEP' }];
  issuer.keys = iss.includes('/realms/') ? [key.jwk, ...published.slice(1)] : published;
  expect(alg).toBe('RS256');
  const look = verifierOver([{ issuer: iss, http: { getJson: issuerJson(issuer) } }], { settings, time });
  const none = { client_id: undefined, scope: undefined, aud: undefined };
  const token = await signToken({ key, at, header, claims: { ...none, nbf: at, ...claims } });
  return look(token).then(
    ({ bearer: { subject, client, scopes, mcpOnly } }) => ({ subject, client, scopes: [...scopes], mcpOnly }),
    (error: unknown) => (error as { code: string }).code,
  );
};

/** Discovery of an issuer whose name ends with a slash: the path of its metadata has one slash, not two. */
const issuerJson = (issuer: TokenIssuer) => {
  const bare = issuer.issuer.replace(/\/$/, '');
  return (url: string): Promise<unknown> => {
    if (url === `${bare}/.well-known/openid-configuration`)
      return Promise.resolve({ issuer: issuer.issuer, jwks_uri: `${issuer.issuer}/jwks` });
    return issuer.getJson(url);
  };
};

/** Server administration guide, and the upgrading guide to 25 for `sub` and `nonce`. */
describe('Keycloak', () => {
  const token: Claims = {
    iss: 'https://login.example.com/realms/data',
    aud: [PUBLIC_URL, 'account'],
    sub: 'f3e2d1c0-0000-4000-8000-000000000001',
    typ: 'Bearer',
    azp: 'trading-desk',
    sid: 's',
    acr: '1',
    'allowed-origins': ['https://app.example.com'],
    realm_access: { roles: ['offline_access', 'uma_authorization'] },
    resource_access: { account: { roles: ['view-profile'] } },
    scope: 'openid market:read profile stream:read',
    email_verified: true,
    preferred_username: 'ann',
  };

  it('names its scopes in one text, its client in azp, and itself Bearer', async () => {
    expect(await verify(token)).toEqual({
      subject: token['sub'],
      client: 'trading-desk',
      scopes: ['market:read', 'stream:read'],
      mcpOnly: false,
    });
  });

  it.each([
    ['without a mapper for the audience', { aud: 'account' }],
    ['without the client scope basic, which brings sub', { sub: undefined }],
    ['that is an ID token', { typ: 'ID', aud: PUBLIC_URL, at_hash: 'h' }],
    ['of before 25, with the nonce of the login', { nonce: 'n' }],
    ['for its refresh', { typ: 'Refresh', aud: token['iss'] }],
    ['of the realm with a slash more', { iss: 'https://login.example.com/realms/data/', aud: 'account' }],
  ])('%s is refused', async (_what, claims) => {
    expect(await verify({ ...token, ...claims })).toBe('invalid_credentials');
  });
});

/** "Access token profiles". */
describe('Auth0', () => {
  const token: Claims = {
    iss: 'https://tenant.eu.auth0.com/',
    sub: 'auth0|6553da60a54af58e29493993',
    aud: [PUBLIC_URL, 'https://tenant.eu.auth0.com/userinfo'],
    azp: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
    scope: 'openid profile market:read',
    gty: 'password',
  };
  const client = 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja';

  it('has an issuer with a slash, and the address of its own userinfo among the audiences', async () => {
    const expected = { subject: token['sub'], client, scopes: ['market:read'], mcpOnly: false };
    expect(await verify(token)).toEqual(expected);
  });

  it('in the profile of RFC 9068 names its client in client_id and its type at+jwt', async () => {
    const claims = { ...token, azp: undefined, gty: undefined, client_id: client, jti: 'j' };
    expect(await verify(claims, {}, { typ: 'at+jwt' })).toMatchObject({ client, scopes: ['market:read'] });
  });

  it('with role based access has its scopes in permissions, and of a machine it says so in sub', async () => {
    const claims = {
      ...token,
      sub: `${client}@clients`,
      aud: PUBLIC_URL,
      scope: undefined,
      gty: 'client-credentials',
      permissions: ['market:read', 'history:read', 'orders:write'],
    };
    const { subject, scopes } = (await verify(claims)) as { subject: string; scopes: string[] };
    expect([subject, scopes]).toEqual([`${client}@clients`, ['market:read', 'history:read']]);
  });
});

/** "Access token claims reference". */
describe('Microsoft Entra ID', () => {
  const second: Claims = {
    iss: `https://login.microsoftonline.com/${TENANT}/v2.0`,
    aud: API,
    sub: 'pairwise-subject',
    oid: 'o',
    tid: TENANT,
    azp: CLIENT,
    azpacr: '0',
    scp: 'market:read stream:read',
    ver: '2.0',
    aio: 'a',
    rh: 'r',
    uti: 'u',
  };
  const first: Claims = {
    iss: `https://sts.windows.net/${TENANT}/`,
    aud: 'api://data',
    sub: 'pairwise-subject',
    appid: CLIENT,
    appidacr: '1',
    idp: `https://sts.windows.net/${TENANT}/`,
    tid: TENANT,
    scp: 'market:read',
    ver: '1.0',
  };

  it('of version 2 is for the id of the API, and names its scopes in scp', async () => {
    expect(await verify(second, { audiences: [API] })).toEqual({
      subject: 'pairwise-subject',
      client: CLIENT,
      scopes: ['market:read', 'stream:read'],
      mcpOnly: false,
    });
    expect(await verify(second)).toBe('invalid_credentials');
  });

  it('of version 1 has another issuer, with a slash, and names its client in appid', async () => {
    expect(await verify(first, { audiences: ['api://data'] })).toMatchObject({
      client: CLIENT,
      scopes: ['market:read'],
    });
    const scopes = { scp: 'api://data/market:read' };
    const prefixed = await verify(
      { ...first, ...scopes },
      { audiences: ['api://data'], scopePrefix: 'api://data/' },
    );
    expect(prefixed).toMatchObject({ scopes: ['market:read'] });
  });

  it('of an application has roles, which give no scope', async () => {
    const claims = { ...second, scp: undefined, roles: ['market:read'], idtyp: 'app' };
    expect(await verify(claims, { audiences: [API] })).toMatchObject({ client: CLIENT, scopes: [] });
  });

  it('for sign-in, or for Microsoft Graph, is refused', async () => {
    const signIn = { ...second, aud: CLIENT, azp: undefined, scp: undefined, nonce: 'n', name: 'Ann' };
    expect(await verify(signIn, { audiences: [API] })).toBe('invalid_credentials');
    expect(await verify(signIn, { audiences: [CLIENT] })).toBe('invalid_credentials');
    const graph = { ...first, aud: '00000003-0000-0000-c000-000000000000', scp: 'User.Read' };
    expect(await verify(graph, { audiences: ['api://data'] })).toBe('invalid_credentials');
  });
});

describe('Okta', () => {
  it('has a list in scp, and its client in cid', async () => {
    const claims: Claims = {
      ver: 1,
      jti: 'AT.1',
      iss: 'https://example.okta.com/oauth2/default',
      aud: PUBLIC_URL,
      sub: 'ann@example.com',
      cid: '0oabucvyc38HLL1ef0h7',
      uid: '00uixa271s6x7qt8I0h7',
      scp: ['openid', 'market:read'],
    };
    expect(await verify(claims)).toEqual({
      subject: 'ann@example.com',
      client: '0oabucvyc38HLL1ef0h7',
      scopes: ['market:read'],
      mcpOnly: false,
    });
  });
});
