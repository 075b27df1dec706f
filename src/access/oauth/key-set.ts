/** The public keys of an issuer, as its JWKS (RFC 7517) gives them: what is of no use for signatures is left out. */
import { createLocalJWKSet } from 'jose';
import { z } from 'zod';
import { IssuerFault } from './issuer-http.js';

/** Issuers have two or three; Entra has ten. */
const MAX_KEYS = 100;
const MAX_KID_LENGTH = 256;
const MAX_MEMBER_LENGTH = 4096;

const member = z.string().max(MAX_MEMBER_LENGTH).exactOptional();
/** Public members only: nothing else of a key is kept, were it published by mistake. */
const publicKey = z.object({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().max(MAX_KID_LENGTH).exactOptional(),
  use: z.string().max(20).exactOptional(),
  alg: z.string().max(20).exactOptional(),
  crv: z.string().max(20).exactOptional(),
  n: member,
  e: member,
  x: member,
  y: member,
});
const jwks = z.looseObject({ keys: z.array(z.unknown()).max(MAX_KEYS) });

type PublicKey = z.infer<typeof publicKey>;

export interface KeySet {
  /** Each key by its id, '' for those without one, with its text: another text is another key. */
  readonly keys: ReadonlyMap<string, string>;
  /** jose's key look-up for jwtVerify. */
  readonly resolve: ReturnType<typeof createLocalJWKSet>;
}

const isOfUse = (key: PublicKey): boolean => key.use === undefined || key.use === 'sig';

/** Throws an IssuerFault where there is no key in it that could verify a signature. */
export const readKeySet = (json: unknown): KeySet => {
  const parsed = jwks.safeParse(json);
  if (!parsed.success) throw new IssuerFault('the answer is no JWKS');
  const keys = parsed.data.keys
    .map((key) => publicKey.safeParse(key).data)
    .filter((key): key is PublicKey => key !== undefined && isOfUse(key));
  if (keys.length === 0) throw new IssuerFault('the JWKS has no key for signatures');
  const texts = new Map<string, string>();
  for (const key of keys) {
    const kid = key.kid ?? '';
    texts.set(kid, `${texts.get(kid) ?? ''}${JSON.stringify(key)}`);
  }
  return { keys: texts, resolve: createLocalJWKSet({ keys }) };
};
