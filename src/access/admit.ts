/**
 * Who a request is from, told at once. A socket remembers the last credential that came over it together with the live
 * principal, never a verdict: what is tested is the principal's state of this moment.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { AppError } from '../errors.js';
import { StoreError } from '../ledger/store-error.js';
import type { Millis } from '../schemas/common.js';
import type { Access, AccessRequest, Admission, OtherCredentials } from './access.js';
import { idOf, isKey, looksLikeKey } from './key-format.js';
import type { KeyRing } from './key-ring.js';
import type { Principal } from './principal.js';

/** Longer than any key, token or ticket. */
const MAX_CREDENTIAL_LENGTH = 8192;
/** Compared with where there is no such key, so that an unknown id costs what a wrong secret does. */
const NOBODYS_HASH = Buffer.alloc(32);

export const unavailable = (): AppError =>
  new AppError('auth_unavailable', 'Credentials cannot be checked at the moment.', { retryAfterMs: 1_000 });

/** What the store of keys answers. Rejects with `auth_unavailable` where the store fails, whatever it says. */
export const storeAnswer = async <T>(ask: () => Promise<T>): Promise<T> => {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof StoreError) throw unavailable();
    throw thrown;
  }
};

export const invalid = (): AppError => new AppError('invalid_credentials', 'The credential is not valid.');
export const unauthenticated = (): AppError =>
  new AppError(
    'unauthenticated',
    'This address asks for a credential: Authorization: Bearer <key>, or X-API-Key.',
  );
const twoCredentials = (): AppError =>
  new AppError('invalid_request', 'Authorization and X-API-Key hold different credentials.', {
    errors: [{ parameter: 'X-API-Key', reason: 'differs from Authorization' }],
  });

/** The refusal of a principal whose credential was right; null: none. */
export const faultOf = (principal: Principal, now: Millis): AppError | null => {
  const code = principal.faultAt(now);
  if (code === null) return null;
  return new AppError(
    code,
    code === 'credentials_expired' ? 'The credential has expired.' : 'The credential was revoked.',
  );
};

const BEARER = /^Bearer +([!-~]+)$/i;

/** The credential of the headers; null where they bring none. */
export const credentialOf = ({ headers }: Pick<AccessRequest, 'headers'>): string | AppError | null => {
  const { authorization, 'x-api-key': apiKey } = headers;
  if (authorization === undefined && apiKey === undefined) return null;
  const bearer = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
  if (authorization !== undefined && bearer === undefined) return invalid();
  if (apiKey !== undefined && (typeof apiKey !== 'string' || apiKey === '')) return invalid();
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) return twoCredentials();
  const credential = bearer ?? apiKey ?? '';
  return credential.length > MAX_CREDENTIAL_LENGTH ? invalid() : credential;
};

/** On a socket: the last credential that was found to be somebody's. */
const REMEMBERED = Symbol('credential');
interface Remembered {
  readonly authorization: string | undefined;
  readonly apiKey: string | string[] | undefined;
  readonly principal: Principal;
}
type RememberingSocket = Socket & { [REMEMBERED]?: Remembered };

export interface AdmitDeps {
  readonly mode: Access['mode'];
  readonly anonymous: Principal;
  readonly ring: KeyRing;
  /** Whether the ring may be believed at this moment. */
  readonly isServing: () => boolean;
  readonly others: () => OtherCredentials | null;
  readonly now: () => Millis;
}

export const createAdmit = (deps: AdmitDeps): ((request: AccessRequest) => Admission) => {
  const { mode, anonymous, ring, isServing, others, now } = deps;

  const principalOfKey = (credential: string): Principal | AppError => {
    if (!isKey(credential)) return invalid();
    const digest = hash('sha256', credential, 'buffer');
    const known = ring.find(idOf(credential));
    const isRight = timingSafeEqual(digest, known?.hash ?? NOBODYS_HASH);
    return known === undefined || !isRight ? invalid() : known.principal;
  };

  const find = (request: AccessRequest): Admission => {
    const credential = credentialOf(request);
    if (credential === null) return mode === 'optional' ? anonymous : unauthenticated();
    if (typeof credential !== 'string') return credential;
    const found = looksLikeKey(credential)
      ? isServing()
        ? principalOfKey(credential)
        : unavailable()
      : (others()?.find(credential, now()) ?? invalid());
    if (found === 'ask' || found instanceof AppError) return found;
    const { authorization, 'x-api-key': apiKey } = request.headers;
    (request.socket as RememberingSocket)[REMEMBERED] = { authorization, apiKey, principal: found };
    return found;
  };

  return (request) => {
    const { authorization, 'x-api-key': apiKey } = request.headers;
    const last = (request.socket as RememberingSocket)[REMEMBERED];
    const isSame =
      last !== undefined &&
      last.authorization === authorization &&
      last.apiKey === apiKey &&
      !last.principal.isDueAt(now());
    const found = isSame ? last.principal : find(request);
    if (found === 'ask' || found instanceof AppError || found === anonymous) return found;
    if (found.kind === 'key' && !isServing()) return unavailable();
    return faultOf(found, now()) ?? found;
  };
};
