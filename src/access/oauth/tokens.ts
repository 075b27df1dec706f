/**
 * Access tokens as callers: those that were verified are remembered by their hash until they expire, as objects that
 * whoever holds one sees change.
 */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { AppError } from '../../errors.js';
import { createSingleFlight } from '../../lib/single-flight.js';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { OtherCredentials } from '../access.js';
import { Principal, type StreamWatch } from '../principal.js';
import type { Plan } from '../plan.js';
import type { TokenBearer } from './claims.js';
import { INTROSPECTION_MEMORY } from './introspection.js';
import { isJwt, type VerifiedJwt } from './jwt.js';

const MAX_REMEMBERED = 10_000;
/** Keys may go while a signature is checked with them: then it is checked again. */
const MAX_VERIFICATIONS = 3;
const MAX_NAME_LENGTH = 100;

export interface TokensOptions {
  readonly verifyJwt: (token: string) => Promise<VerifiedJwt>;
  /** null: opaque tokens are refused. */
  readonly introspect: ((token: string) => Promise<TokenBearer>) | null;
  readonly plan: (name: string) => Plan | undefined;
  readonly defaultPlan: Plan;
  /** Of streams that end with their token. */
  readonly watch?: StreamWatch | undefined;
  readonly clockSkewMs: Millis;
  readonly log: Log;
  /** The wall clock. */
  readonly now: () => Millis;
}

interface Remembered {
  readonly principal: Principal;
  readonly issuer: string;
  /** null: signed by a key without an id; undefined: not signed. */
  readonly kid: string | null | undefined;
}

const FAULTS = {
  credentials_expired: 'The token has expired.',
  credentials_revoked: 'The key that signed the token is no longer one of its issuer.',
} as const;

const digestOf = (token: string): string => hash('sha256', token, 'base64');

/** The same for every token of one subject by one client. */
const idOf = ({ issuer, client, subject }: TokenBearer): string =>
  hash('sha256', JSON.stringify([issuer, client, subject]), 'base64url').slice(0, 22);

export interface Tokens extends Pick<OtherCredentials, 'find' | 'verify'> {
  /** Forgets what was signed by these keys of an issuer; open streams of such tokens end. */
  keysGone(issuer: string, kids: readonly string[]): void;
}

export const createTokens = (options: TokensOptions): Tokens => {
  const { verifyJwt, introspect, plan, defaultPlan, watch, clockSkewMs, log, now } = options;
  const remembered = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED });

  const planOf = (bearer: TokenBearer): Plan => {
    const named = bearer.plan === null ? defaultPlan : plan(bearer.plan);
    if (named === undefined)
      log.debug({ issuer: bearer.issuer }, 'A token names a plan that there is not; it has the default one.');
    return named ?? defaultPlan;
  };

  const principalOf = (bearer: TokenBearer, recheckAt: Millis | null): Principal => {
    const id = idOf(bearer);
    const { mcpOnly, subject, client, scopes } = bearer;
    const name = (subject === '' ? client : subject).slice(0, MAX_NAME_LENGTH);
    const expiresAt = Number.isFinite(bearer.expiresAt) ? bearer.expiresAt + clockSkewMs : null;
    return new Principal(
      { kind: 'token', id, consumer: { id }, mcpOnly, recheckAt, toleranceMs: clockSkewMs },
      { name, scopes, plan: planOf(bearer), expiresAt, revokedAt: null },
      watch,
    );
  };

  const remember = (token: string, entry: Remembered): Principal => {
    remembered.set(digestOf(token), entry);
    return entry.principal;
  };

  const lookOpaqueWith =
    (ask: (token: string) => Promise<TokenBearer>) =>
    async (token: string): Promise<Principal> => {
      const bearer = await ask(token);
      const principal = principalOf(bearer, now() + INTROSPECTION_MEMORY);
      return remember(token, { principal, issuer: bearer.issuer, kid: undefined });
    };

  const lookSigned = async (token: string): Promise<Principal> => {
    for (let attempt = 0; attempt < MAX_VERIFICATIONS; attempt++) {
      const { bearer, kid, isCurrent } = await verifyJwt(token);
      if (isCurrent())
        return remember(token, { principal: principalOf(bearer, null), issuer: bearer.issuer, kid });
    }
    throw new AppError('auth_unavailable', 'The keys of the issuer are changing.', { retryAfterMs: 1_000 });
  };

  const flights = createSingleFlight<Principal>();

  return {
    find(credential, at) {
      const signed = isJwt(credential);
      if (!signed && introspect === null) return null;
      const principal = remembered.get(digestOf(credential))?.principal;
      if (principal === undefined || principal.isDueAt(at)) return 'ask';
      const fault = principal.faultAt(at);
      return fault === null ? principal : new AppError(fault, FAULTS[fault]);
    },
    async verify(credential) {
      try {
        const look = isJwt(credential) || introspect === null ? lookSigned : lookOpaqueWith(introspect);
        return await flights.run(digestOf(credential), () => look(credential));
      } catch (thrown) {
        return AppError.from(thrown);
      }
    },
    keysGone(issuer, kids) {
      const gone = new Set<string | null | undefined>([...kids, null]);
      for (const [digest, { principal, issuer: of, kid }] of remembered.entries()) {
        if (of !== issuer || !gone.has(kid)) continue;
        remembered.delete(digest);
        principal.revoke(now());
      }
    },
  };
};
