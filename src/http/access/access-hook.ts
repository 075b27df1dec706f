/**
 * Authenticates and authorizes every request, where access is on. Runs before limits, which depend on the caller, and before
 * 404 and 405: without a credential a caller learns nothing of addresses that are not open.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Access, Admission } from '../../access/access.js';
import { unauthenticated } from '../../access/admit.js';
import type { Principal, Scope } from '../../access/principal.js';
import { AppError } from '../../errors.js';
import type { ResourceSettings } from '../../access/oauth/protected-resource.js';
import type { TicketPurpose } from '../../access/tickets.js';
import { challengeFor } from './challenge.js';
import { clientOf } from '../requests/client.js';
import { routeAccess, type RouteAccess } from './route-access.js';

declare module 'fastify' {
  interface FastifyInstance {
    /** null: AUTH_MODE=off. */
    readonly access: Access | null;
    /** WWW-Authenticate of an answer that refuses the request; undefined: it has none. */
    challengeOf(request: FastifyRequest, fault: AppError): string | undefined;
  }
  interface FastifyRequest {
    /** The caller; null on open routes, and where access is off. */
    principal: Principal | null;
  }
  interface FastifyContextConfig {
    access?: RouteAccess;
    /** A ticket for this purpose stands for a credential. */
    ticket?: TicketPurpose;
    /** A caller without a credential is let in, and brings it later (/ws). */
    credentialLater?: boolean;
  }
}

export interface AccessHookOptions {
  /** null: AUTH_MODE=off. */
  readonly access: Access | null;
  readonly metricsAuth: boolean;
  /** Where clients reach this server, without a slash at its end; default null: not told. */
  readonly publicUrl?: string | null | undefined;
  /** Issuers of tokens; default: none. */
  readonly issuers?: readonly string[] | undefined;
}

const pathOf = ({ raw }: FastifyRequest): string => (raw.url ?? '/').split('?', 1)[0] ?? '/';

/** The ticket in the query of a route that takes one, whatever it looks like; undefined: none. */
const ticketIn = ({ query, is404, routeOptions }: FastifyRequest): string | undefined => {
  if (is404 || routeOptions.config.ticket === undefined) return undefined;
  if (typeof query !== 'object' || query === null || !('ticket' in query)) return undefined;
  return typeof query.ticket === 'string' ? query.ticket : '';
};

const twoCredentials = (): AppError =>
  new AppError('invalid_request', 'The request brings a ticket and another credential.', {
    errors: [{ parameter: 'ticket', reason: 'must not stand beside a credential in a header' }],
  });

/** A token that was issued for MCP alone. */
const elsewhere = (): AppError =>
  new AppError('invalid_credentials', 'The token is meant for /mcp of this server.');

export const lacksScope = (scope: Scope): AppError =>
  new AppError('insufficient_scope', `This address asks for the scope ${scope}.`, {
    requiredScopes: [scope],
  });

/** What refuses `principal` on a route that asks for `wanted`; undefined: it may. */
export const scopeFault = (principal: Principal, wanted: RouteAccess | undefined): AppError | undefined =>
  wanted === 'open' || wanted === null || wanted === undefined || principal.has(wanted)
    ? undefined
    : lacksScope(wanted);

/** Installed on the root instance, before any route. */
export const addAccess = (app: FastifyInstance, options: AccessHookOptions): void => {
  const { access, metricsAuth, publicUrl = null, issuers = [] } = options;
  app.decorateRequest('principal', null);
  app.decorate('access', access);
  const resource: ResourceSettings | null =
    publicUrl === null || issuers.length === 0 ? null : { publicUrl, issuers };
  app.decorate('challengeOf', (request: FastifyRequest, fault: AppError) =>
    challengeFor(fault, pathOf(request), resource),
  );
  if (access === null) return;
  const publicOrigin = publicUrl === null ? [] : [new URL(publicUrl).origin];
  app.addHook('onRoute', (route) => {
    const [method = 'GET'] = [route.method].flat();
    route.config = { access: routeAccess({ method, pattern: route.url }, { metricsAuth }), ...route.config };
  });

  /** Takes the admission over; what refuses the request, if anything does. */
  const settle = (request: FastifyRequest, admission: Exclude<Admission, 'ask'>): AppError | undefined => {
    const { config } = request.routeOptions;
    if (admission instanceof AppError) {
      if (admission.code === 'unauthenticated' && config.credentialLater === true) return undefined;
      return access.failed(admission, clientOf(request));
    }
    if (admission.mcpOnly && pathOf(request) !== '/mcp') return access.failed(elsewhere(), clientOf(request));
    request.principal = admission;
    if (!request.is404) return scopeFault(admission, config.access);
    // Nobody learns without a credential whether the admin API is there.
    const asksForAdmin = pathOf(request).startsWith('/v1/admin/') && admission.kind === 'anonymous';
    return asksForAdmin ? access.failed(unauthenticated(), clientOf(request)) : undefined;
  };

  /** Never rejects. */
  const holderOf = async (request: FastifyRequest, ticket: string): Promise<Principal | AppError> => {
    const { authorization, 'x-api-key': apiKey, origin } = request.headers;
    const purpose = request.routeOptions.config.ticket ?? 'sse';
    const ownOrigins = [...publicOrigin, `${request.protocol}://${request.host}`];
    if (authorization !== undefined || apiKey !== undefined) return twoCredentials();
    try {
      return await access.tickets.take(ticket, { purpose, origin, ownOrigins });
    } catch (thrown) {
      return AppError.from(thrown);
    }
  };

  app.addHook('onRequest', (request, _reply, done) => {
    const urlFault = access.urlFault(request.raw.url ?? '/');
    // MCP clients begin an OAuth flow where metadata that is not there is anything but a 404.
    const isOpen = request.is404
      ? pathOf(request).startsWith('/.well-known/')
      : request.routeOptions.config.access === 'open';
    // A preflight brings no credential, by the browsers' rule.
    if (urlFault !== undefined || isOpen || request.method === 'OPTIONS') {
      done(urlFault);
      return;
    }
    const ticket = ticketIn(request);
    const admission = ticket === undefined ? access.admit(request.raw) : 'ask';
    if (admission !== 'ask') {
      done(settle(request, admission));
      return;
    }
    const barred = access.barred(clientOf(request));
    if (barred !== null) {
      done(barred);
      return;
    }
    const asked = ticket === undefined ? access.ask(request.raw) : holderOf(request, ticket);
    void asked.then((found) => done(settle(request, found)));
  });
};
