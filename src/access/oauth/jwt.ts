/**
 * Access tokens that are JWTs (RFC 9068, and what issuers send in its place). What is cheap to see is judged first, so
 * that nobody has a signature checked for a token that could not be accepted; nothing in a token says where a key is.
 */
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import {
  audienceOf,
  bearerOf,
  tokenClaims,
  type ClaimSettings,
  type TokenBearer,
  type TokenClaims,
} from './claims.js';
import type { IssuerKeys } from './issuer-keys.js';

/** Longer ones are refused unread. */
export const MAX_TOKEN_LENGTH = 8192;
/** Keys that are tried where the token names none. */
const MAX_CANDIDATES = 3;

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Three parts: what is not, is opaque. */
export const isJwt = (token: string): boolean => token.length <= MAX_TOKEN_LENGTH && JWT.test(token);

const header = z.looseObject({
  alg: z.string(),
  kid: z.string().min(1).max(256).exactOptional(),
  typ: z.string().max(100).exactOptional(),
});
type Header = z.infer<typeof header>;

export interface JwtSettings extends ClaimSettings {
  readonly algorithms: readonly string[];
  readonly clockSkewMs: Millis;
}

export interface JwtVerifierOptions {
  readonly settings: JwtSettings;
  readonly issuers: ReadonlyMap<string, Pick<IssuerKeys, 'holding' | 'losses' | 'want'>>;
  /** The wall clock: what tokens are dated by. */
  readonly now: () => Millis;
}

export interface VerifiedJwt {
  readonly bearer: TokenBearer;
  /** Id of the key that signed it; null: the token names none. */
  readonly kid: string | null;
  /** False: keys of the issuer have gone while the signature was being checked, maybe the one that it was made with. */
  readonly isCurrent: () => boolean;
}

export const invalidToken = (detail = 'The credential is not valid.'): AppError =>
  new AppError('invalid_credentials', detail);

/** EdDSA is Ed25519 by its name of RFC 9864. */
const namesOf = (algorithms: readonly string[]): string[] =>
  algorithms.flatMap((name) => (name === 'EdDSA' ? [name, 'Ed25519'] : [name]));

const ID_TOKEN_CLAIMS = ['nonce', 'at_hash', 'c_hash'] as const;

/** Tokens that say something to a client, or to a session, and give no access. */
const isOtherToken = ({ typ }: Header, claims: TokenClaims): boolean => {
  const type = typ?.toLowerCase().replace(/^application\//, '');
  if (type === 'at+jwt') return false;
  if (type?.endsWith('+jwt') === true) return true;
  return claims['typ'] === 'ID' || ID_TOKEN_CLAIMS.some((name) => Object.hasOwn(claims, name));
};

interface ReadToken {
  readonly header: Header;
  readonly claims: TokenClaims;
}

const readToken = (token: string): ReadToken => {
  try {
    return {
      header: header.parse(decodeProtectedHeader(token)),
      claims: tokenClaims.parse(decodeJwt(token)),
    };
  } catch {
    throw invalidToken();
  }
};

/** jose's faults as ours; what comes from elsewhere is a bug. */
const asRefusal = (thrown: unknown): AppError => {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof errors.JWTExpired)
    return new AppError('credentials_expired', 'The token has expired.');
  if (thrown instanceof errors.JWTClaimValidationFailed && thrown.claim === 'nbf')
    return invalidToken("The token is not valid yet: its issuer's clock and this server's differ.");
  // TypeErrors are about keys that are too short, or do not fit.
  if (thrown instanceof errors.JOSEError || thrown instanceof TypeError) return invalidToken();
  return AppError.from(thrown);
};

/** `resolve`, for a token that names no key: the first few that fit, one after the other. */
const candidatesOf = async (
  resolve: JWTVerifyGetKey,
  ...given: Parameters<JWTVerifyGetKey>
): Promise<Awaited<ReturnType<JWTVerifyGetKey>>[]> => {
  try {
    return [await resolve(...given)];
  } catch (thrown) {
    if (!(thrown instanceof errors.JWKSMultipleMatchingKeys)) throw thrown;
    const keys = [];
    for await (const key of thrown) {
      keys.push(key);
      if (keys.length === MAX_CANDIDATES) break;
    }
    return keys;
  }
};

/** Verifies JWTs. The function rejects with an AppError: of the token's fault, or `auth_unavailable`. */
export const createJwtVerifier = ({ settings, issuers, now }: JwtVerifierOptions) => {
  const algorithms = namesOf(settings.algorithms);

  const verifyWith = async (token: string, key: Parameters<typeof jwtVerify>[1], issuer: string) => {
    await jwtVerify(token, key, {
      algorithms,
      issuer,
      clockTolerance: settings.clockSkewMs / 1000,
      requiredClaims: ['exp', 'sub'],
      currentDate: new Date(now()),
    });
  };

  return async (token: string): Promise<VerifiedJwt> => {
    const { header: head, claims } = readToken(token);
    const { iss, sub, exp } = claims;
    const keys = iss === undefined ? undefined : issuers.get(iss);
    if (iss === undefined || keys === undefined || sub === undefined || exp === undefined)
      throw invalidToken();
    if (!algorithms.includes(head.alg) || isOtherToken(head, claims)) throw invalidToken();
    const audience = audienceOf(claims.aud, settings);
    if (audience === null) throw invalidToken('The token is not meant for this server.');
    const set = await keys.holding(head.kid);
    if (set === null) throw invalidToken();
    const { losses } = keys;
    try {
      let failure: unknown = invalidToken();
      for (const key of await candidatesOf(set.resolve, head, { payload: '', signature: '' })) {
        try {
          await verifyWith(token, key, iss);
          failure = null;
          break;
        } catch (thrown) {
          failure = thrown;
          if (!(thrown instanceof errors.JWSSignatureVerificationFailed)) break;
        }
      }
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- whatever jose threw
      if (failure !== null) throw failure;
    } catch (thrown) {
      if (head.kid === undefined) keys.want();
      throw asRefusal(thrown);
    }
    return {
      bearer: bearerOf(claims, settings, { issuer: iss, expiresAt: exp * 1000, ...audience }),
      kid: head.kid ?? null,
      isCurrent: () => keys.losses === losses,
    };
  };
};
