/** An issuer of tokens that a test holds in its hands: its keys, what it publishes, and how often it was asked. */
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { IssuerFault } from '../../src/access/oauth/issuer-http.js';

export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export const makeKey = async (kid: string, alg = 'ES256'): Promise<IssuerKey> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
};

export const ISSUER = 'https://issuer.example/tenant';
export const PUBLIC_URL = 'https://data.example.com';

/** Answers discovery and JWKS in the place of HTTP; `down` makes every request fail. */
export class TokenIssuer {
  readonly issuer: string;
  down = false;
  /** What it publishes. */
  keys: JWK[] = [];
  /** Requests for each address. */
  readonly requests = new Map<string, number>();
  metadata: Record<string, unknown>;

  constructor(issuer = ISSUER) {
    this.issuer = issuer;
    this.metadata = { issuer, jwks_uri: `${issuer}/jwks` };
  }

  get jwksFetches(): number {
    return this.requests.get(`${this.issuer}/jwks`) ?? 0;
  }

  get allRequests(): number {
    return [...this.requests.values()].reduce((sum, count) => sum + count, 0);
  }

  readonly getJson = async (url: string): Promise<unknown> => {
    this.requests.set(url, (this.requests.get(url) ?? 0) + 1);
    await Promise.resolve();
    if (this.down) throw new IssuerFault('not reachable');
    if (url === `${this.issuer}/jwks`) return { keys: this.keys };
    if (url === `${this.issuer}/.well-known/openid-configuration`) return this.metadata;
    throw new IssuerFault('status 404');
  };
}

export interface TokenForm {
  readonly key: IssuerKey;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Record<string, unknown>;
  /** Seconds since the epoch. */
  readonly at: number;
}

/** An access token for PUBLIC_URL that is good for five minutes, but for what `claims` and `header` say. */
export const signToken = async ({ key, claims = {}, header = {}, at }: TokenForm): Promise<string> => {
  const payload: Record<string, unknown> = {
    iss: ISSUER,
    sub: 'user-1',
    client_id: 'client-1',
    aud: PUBLIC_URL,
    scope: 'market:read stream:read',
    iat: at,
    exp: at + 300,
    ...claims,
  };
  // undefined takes a member out.
  const left = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
  return new SignJWT(left)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
    .sign(key.privateKey);
};
