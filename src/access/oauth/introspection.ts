/** Opaque tokens: the authorization server is asked what they are (RFC 7662). */
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { createSingleFlight } from '../../lib/single-flight.js';
import type { Log } from '../../log/log.js';
import { createOutage } from '../../log/outage.js';
import type { Millis } from '../../schemas/common.js';
import { audienceOf, bearerOf, tokenClaims, type ClaimSettings, type TokenBearer } from './claims.js';
import { IssuerFault, type IssuerHttp } from './issuer-http.js';
import { invalidToken, MAX_TOKEN_LENGTH } from './jwt.js';

/** How long an answer is remembered; a token that is revoked at its issuer is good here for as long at most. */
export const INTROSPECTION_MEMORY: Millis = 30_000;
/** Questions at once; one more is refused. */
const MAX_QUESTIONS = 16;
/** RFC 6750, section 2.1. */
const TOKEN = /^[\w.~+/-]+=*$/;
/** Credentials of this server, which are nobody else's business. */
const OWN = /^cd[kt]_/;

export interface IntrospectionOptions {
  readonly endpoint: { readonly url: string; readonly clientId: string; readonly clientSecret: string };
  readonly settings: ClaimSettings & { readonly clockSkewMs: Millis };
  /** Issuers that an answer may name; empty: any. */
  readonly issuers: readonly string[];
  readonly http: Pick<IssuerHttp, 'postForm'>;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

const activity = z.looseObject({ active: z.boolean() });

/** Client id and secret as RFC 6749, section 2.3.1 writes them: form-encoded first. */
export const basicCredentials = (id: string, secret: string): string => {
  const encoded = [id, secret].map((text) => new URLSearchParams([['', text]]).toString().slice(1));
  return Buffer.from(encoded.join(':')).toString('base64');
};

const unavailable = (): AppError =>
  new AppError('auth_unavailable', 'The token cannot be checked at the moment.', { retryAfterMs: 1_000 });

/**
 * Asks about one token; callers with the same one share the question. The function rejects with an AppError: of the
 * token's fault, or `auth_unavailable`.
 */
export const createIntrospection = (options: IntrospectionOptions) => {
  const { endpoint, settings, issuers, http, log, now, monotonic } = options;
  const basic = basicCredentials(endpoint.clientId, endpoint.clientSecret);
  const flights = createSingleFlight<TokenBearer>();
  const outage = createOutage({
    log,
    now: monotonic,
    warning: 'Opaque tokens cannot be checked: the introspection endpoint does not answer as it should.',
    recovery: 'Opaque tokens can be checked again.',
  });

  const bearerIn = (json: unknown): TokenBearer => {
    const said = activity.safeParse(json);
    if (!said.success) throw new IssuerFault('the answer does not say whether the token is active');
    const read = tokenClaims.safeParse(json);
    if (!said.data.active || !read.success) throw invalidToken();
    const claims = read.data;
    const { iss, nbf, exp } = claims;
    const at = now();
    const issuer = iss ?? endpoint.url;
    if (iss !== undefined && issuers.length > 0 && !issuers.includes(iss)) throw invalidToken();
    const audience = audienceOf(claims.aud, settings);
    if (audience === null) throw invalidToken('The token is not meant for this server.');
    if (nbf !== undefined && nbf * 1000 > at + settings.clockSkewMs)
      throw invalidToken("The token is not valid yet: its issuer's clock and this server's differ.");
    if (exp !== undefined && exp * 1000 <= at - settings.clockSkewMs)
      throw new AppError('credentials_expired', 'The token has expired.');
    const bearer = bearerOf(claims, settings, { issuer, expiresAt: (exp ?? Infinity) * 1000, ...audience });
    if (bearer.subject === '' && bearer.client === '') throw invalidToken();
    return bearer;
  };

  const ask = async (token: string): Promise<TokenBearer> => {
    const form = new URLSearchParams({ token, token_type_hint: 'access_token' });
    try {
      const bearer = bearerIn(await http.postForm(endpoint.url, form, basic));
      outage.end();
      return bearer;
    } catch (thrown) {
      if (thrown instanceof AppError) {
        outage.end();
        throw thrown;
      }
      if (!(thrown instanceof IssuerFault)) throw AppError.from(thrown);
      outage.begin({ reason: thrown.message });
      throw unavailable();
    }
  };

  return async (token: string): Promise<TokenBearer> => {
    if (token.length > MAX_TOKEN_LENGTH || !TOKEN.test(token) || OWN.test(token)) throw invalidToken();
    if (flights.size >= MAX_QUESTIONS) throw unavailable();
    return flights.run(token, () => ask(token));
  };
};
