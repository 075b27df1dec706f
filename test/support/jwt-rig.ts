/** A verifier of signed tokens over issuers that a test holds, on its clock. */
import { IssuerKeys } from '../../src/access/oauth/issuer-keys.js';
import { createJwtVerifier, type JwtSettings } from '../../src/access/oauth/jwt.js';
import { silentLog } from '../../src/log/log.js';
import type { FakeTime } from '../unit/streams/fakes.js';
import { PUBLIC_URL, type TokenIssuer } from './token-issuer.js';

const SETTINGS: JwtSettings = {
  audiences: [PUBLIC_URL, `${PUBLIC_URL}/mcp`],
  publicUrl: PUBLIC_URL,
  algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  clockSkewMs: 30_000,
  scopePrefix: '',
  planClaim: null,
};

export interface HeldIssuer {
  readonly issuer: string;
  readonly http: Pick<TokenIssuer, 'getJson'>;
}

export const verifierOver = (
  issuers: readonly HeldIssuer[],
  { settings = {}, time }: { readonly settings?: Partial<JwtSettings>; readonly time: FakeTime },
): ReturnType<typeof createJwtVerifier> => {
  const rest = { log: silentLog, timers: time, monotonic: time.monotonic, onGone: () => undefined };
  const table = new Map(
    issuers.map(({ issuer, http }) => [issuer, new IssuerKeys({ issuer, http, ...rest })] as const),
  );
  return createJwtVerifier({ settings: { ...SETTINGS, ...settings }, issuers: table, now: time.now });
};
