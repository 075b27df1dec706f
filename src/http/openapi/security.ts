/**
 * What the OpenAPI document tells of access: how a credential is sent, which operations ask for one, and how they refuse.
 * There is a document for each AUTH_MODE, since a server that asks nobody must not describe what it would refuse.
 */
import type { Scope } from '../../access/principal.js';
import type { ErrorCode } from '../../errors.js';
import type { AuthMode } from '../../schemas/access.js';
import { routeAccess } from '../access/route-access.js';

/** Codes that no server answers with whose AUTH_MODE is off. */
export const ACCESS_ERRORS = [
  ...(['credential_in_url', 'unauthenticated', 'invalid_credentials', 'credentials_expired'] as const),
  ...(['credentials_revoked', 'ticket_invalid', 'insufficient_scope', 'plan_forbids'] as const),
  ...(['quota_exceeded', 'too_many_auth_failures', 'auth_unavailable'] as const),
] as const satisfies readonly ErrorCode[];

/** Of every operation that is not open. */
const OF_CREDENTIALS = [
  ...(['invalid_request', 'invalid_credentials', 'credentials_expired', 'credentials_revoked'] as const),
  ...(['too_many_auth_failures', 'auth_unavailable'] as const),
] as const satisfies readonly ErrorCode[];

const SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description: 'A key of this server (cdk_…), or a token of an issuer that it trusts (OAUTH_ISSUER).',
  },
  apiKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-Key',
    description: 'The same, where Authorization is taken. Beside it the two must be equal.',
  },
  ticket: {
    type: 'apiKey',
    in: 'query',
    name: 'ticket',
    description: 'For streams in browsers: made by POST /v1/tickets, for one connection within seconds.',
  },
} as const;

/** undefined: nobody is asked. */
export const securitySchemes = (mode: AuthMode): typeof SCHEMES | undefined =>
  mode === 'off' ? undefined : SCHEMES;

export interface SecuredOperation {
  /** Upper case. */
  readonly method: string;
  /** As Fastify has it: `/v1/admin/keys/:id`. */
  readonly url: string;
  /** A ticket stands for a credential. */
  readonly takesTicket: boolean;
  /** It is answered when the day's units are used up. */
  readonly quotaFree: boolean;
}

export interface OperationAccess {
  /** undefined: the document's own, which asks for nothing. */
  readonly security: readonly Readonly<Record<string, readonly Scope[]>>[] | undefined;
  /** All codes that the operation answers with, of those of its route. */
  readonly errorsOf: (ofRoute: readonly ErrorCode[]) => readonly ErrorCode[];
  /** The scope that it asks for; null: none. */
  readonly scope: Scope | null;
}

/** Routes that a server does not have whose AUTH_MODE is off. */
const isOfAccess = (url: string): boolean => /^\/v1\/(?:me|tickets|admin)(?:\/|$)/.test(url);

const isOfAccessAlone = (code: ErrorCode): boolean => (ACCESS_ERRORS as readonly ErrorCode[]).includes(code);

/** The operation on a server of this AUTH_MODE. Requirements name a scope as the role that OpenAPI 3.1 lets them name. */
export const accessOf = (
  { method, url, takesTicket, quotaFree }: SecuredOperation,
  mode: AuthMode,
): OperationAccess => {
  if (mode === 'off')
    return {
      security: undefined,
      errorsOf: (ofRoute) =>
        isOfAccess(url) ? ['not_found'] : ofRoute.filter((code) => !isOfAccessAlone(code)),
      scope: null,
    };
  const asked = routeAccess({ method, pattern: url }, { metricsAuth: false });
  if (asked === 'open')
    return { security: undefined, errorsOf: (ofRoute) => [...ofRoute, 'credential_in_url'], scope: null };
  const roles = asked === null ? [] : [asked];
  const ways = [{ bearer: roles }, { apiKey: roles }, ...(takesTicket ? [{ ticket: roles }] : [])];
  const refusals: ErrorCode[] = [
    'credential_in_url',
    // Without ADMIN_API=true nobody is told whether it is there who has not said who they are.
    ...(mode === 'required' || asked === 'admin' ? (['unauthenticated'] as const) : []),
    ...OF_CREDENTIALS,
    ...(takesTicket ? (['ticket_invalid'] as const) : []),
    ...(asked === null ? [] : (['insufficient_scope'] as const)),
    ...(quotaFree ? [] : (['quota_exceeded'] as const)),
  ];
  return {
    // With `optional` nobody is refused for bringing no credential, only for a scope that such callers lack.
    security: mode === 'optional' ? [{}, ...ways] : ways,
    errorsOf: (ofRoute) => [...ofRoute, ...refusals],
    scope: asked,
  };
};
