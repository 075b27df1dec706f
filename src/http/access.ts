/**
 * Asks every request who it is from, where access is on. Runs before limits, since those of a caller with a credential are
 * its own, and before routing's refusals: what is not open says nothing of itself to callers without a credential.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Access, Admission } from '../access/access.js';
import type { Principal, Scope } from '../access/principal.js';
import { AppError } from '../errors.js';
import { challengeOf } from './challenge.js';
import { clientOf } from './client.js';
import { routeAccess, type RouteAccess } from './route-access.js';

declare module 'fastify' {
  interface FastifyInstance {
    /** null: AUTH_MODE=off. */
    readonly access: Access | null;
  }
  interface FastifyRequest {
    /** Who asks; null on routes that are open, and where access is off. */
    principal: Principal | null;
  }
  interface FastifyContextConfig {
    access?: RouteAccess;
    /** A caller without a credential is let in, and brings it later (/ws). */
    credentialLater?: boolean;
  }
}

export interface AccessHookOptions {
  /** null: AUTH_MODE=off. */
  readonly access: Access | null;
  readonly metricsAuth: boolean;
}

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
export const addAccess = (app: FastifyInstance, { access, metricsAuth }: AccessHookOptions): void => {
  app.decorateRequest('principal', null);
  app.decorate('access', access);
  if (access === null) return;
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
    request.principal = admission;
    return request.is404 ? undefined : scopeFault(admission, config.access);
  };

  app.addHook('onRequest', (request, reply, done) => {
    const refuse = (fault: AppError | undefined): void => {
      const challenge = fault === undefined ? undefined : challengeOf(fault);
      if (challenge !== undefined) reply.header('www-authenticate', challenge);
      done(fault);
    };
    const urlFault = access.urlFault(request.raw.url ?? '/');
    const isOpen = request.routeOptions.config.access === 'open' && !request.is404;
    // A preflight brings no credential, by the browsers' rule.
    if (urlFault !== undefined || isOpen || request.method === 'OPTIONS') {
      refuse(urlFault);
      return;
    }
    const admission = access.admit(request.raw);
    if (admission !== 'ask') {
      refuse(settle(request, admission));
      return;
    }
    const barred = access.barred(clientOf(request));
    if (barred !== null) refuse(barred);
    else void access.ask(request.raw).then((found) => refuse(settle(request, found)));
  });
};
