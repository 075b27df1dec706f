/**
 * The limits of callers: counts every request but the health checks', tells in headers what is left, refuses with 429.
 * What a caller may ask for is its plan's; without a credential it is the client limit, by address.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type {} from '../access/access-hook.js';
import type { AppError } from '../../errors.js';
import type { Metering } from '../../access/metering.js';
import { UNLIMITED } from '../../access/plan.js';
import { PERMITS_ALL, type Permit } from '../../access/permit.js';
import type { Principal } from '../../access/principal.js';
import type { Counted, LimitEntry, Quotas } from '../../access/quotas.js';
import { clientOf } from '../requests/client.js';
import type { HeaderPair } from '../answers/common-headers.js';

/** Who is counted: a request's caller, also when the request is over and its connection goes on. */
export interface CountedCaller {
  readonly principal: Counted;
  readonly client: string;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Whose limits count for the request. */
    callerOf(request: FastifyRequest): CountedCaller;
    /** What the plan of the request's caller lets it ask for. */
    permitOf(request: FastifyRequest): Permit;
    /**
     * Counts `more` requests beside the one that `request` is, for a body that holds several; together they will cost
     * `units`, which are set aside until it is answered. Throws what refuses them; what was counted until then stays counted.
     */
    countMore(request: FastifyRequest, body: { readonly more: number; readonly units: number }): void;
    /** Sets aside what the request will cost, until it is answered. Throws `quota_exceeded` where there is not so much left. */
    holdUnits(request: FastifyRequest, units: number): void;
    /** Whether the request's caller has so many units left. */
    hasUnits(request: FastifyRequest, units: number): boolean;
    /** A part of the request got a good answer, which costs so many units. */
    charge(request: FastifyRequest, units: number): void;
    /** Counts `more` requests, of a unit each, of a connection whose request is over. Throws what refuses them. */
    countFor(caller: CountedCaller, more: number): void;
    /**
     * Counts one request that Fastify does not see, and that gets an answer of others: `about` it. null: it may not, or not
     * yet, and goes on to Fastify, which says why.
     */
    countAtOnce(
      caller: { readonly principal: Principal | null; readonly client: string },
      about: { readonly exchange: string; readonly candles: number | null; readonly units: number },
    ): { readonly limitHeaders: readonly HeaderPair[] | null } | null;
  }
  interface FastifyRequest {
    /** What a good answer to it costs; null while it is not counted. */
    units: number | null;
    /** Of the day and the month, set aside until it is answered. */
    heldUnits: number;
  }
  interface FastifyContextConfig {
    /** Health checks must neither be refused nor counted. */
    unlimited?: boolean;
    /** What a good answer costs of the day's and the month's units; default 1. */
    units?: number;
    /** Answered also where day or month are used up. */
    quotaFree?: boolean;
  }
}

export interface ClientLimitOptions {
  /** null: nothing is limited. */
  readonly quotas: Quotas | null;
  /** null: access is off. */
  readonly metering: Metering | null;
  readonly permits: (principal: Principal) => Permit;
  /** The name of the window in the RateLimit fields. */
  readonly windowName: 'default' | 'window';
}

/** Callers of open routes, and all where access is off: only the client limit applies to them. */
const ANONYMOUS: Counted = {
  kind: 'anonymous',
  plan: { name: 'none', limits: UNLIMITED },
  consumer: { id: 'anonymous' },
};

const UNLIMITED_REQUEST = { limitHeaders: null };

/** Of a scope or the plan, and of limits. */
const REFUSALS: ReadonlySet<number> = new Set([403, 429]);

const wholeSeconds = (ms: number): number => Math.max(0, Math.ceil(ms / 1000));

/** draft-ietf-httpapi-ratelimit-headers, and for the window the older names that people know (reset in seconds). */
const limitHeaders = (
  entries: readonly LimitEntry[],
  windowName: ClientLimitOptions['windowName'],
): readonly HeaderPair[] => {
  if (entries.length === 0) return [];
  const nameOf = ({ name }: LimitEntry): string => (name === 'window' ? windowName : name);
  const state = entries.map(
    (entry) => `"${nameOf(entry)}";r=${entry.remaining};t=${wholeSeconds(entry.resetMs)}`,
  );
  const policy = entries.map(
    (entry) => `"${nameOf(entry)}";q=${entry.quota};w=${wholeSeconds(entry.windowMs)}`,
  );
  const headers: HeaderPair[] = [
    ['ratelimit', state.join(', ')],
    ['ratelimit-policy', policy.join(', ')],
  ];
  const window = entries.find(({ name }) => name === 'window');
  if (window === undefined) return headers;
  return [
    ...headers,
    ['x-ratelimit-limit', String(window.quota)],
    ['x-ratelimit-remaining', String(window.remaining)],
    ['x-ratelimit-reset', String(wholeSeconds(window.resetMs))],
  ];
};

/** Installed on the root instance, after the common headers and after access. */
export const addClientLimit = (app: FastifyInstance, options: ClientLimitOptions): void => {
  const { quotas, metering, permits, windowName } = options;
  app.decorateRequest('units', null);
  app.decorateRequest('heldUnits', 0);
  app.decorate('permitOf', ({ principal }: FastifyRequest) =>
    principal === null ? PERMITS_ALL : permits(principal),
  );
  app.decorate('callerOf', (request: FastifyRequest) => ({
    principal: request.principal ?? ANONYMOUS,
    client: clientOf(request),
  }));
  app.decorate('charge', (request: FastifyRequest, units: number) => {
    const { principal } = request;
    if (principal !== null)
      metering?.answered({ principal, client: clientOf(request) }, { units, bytes: 0, isRefused: false });
  });
  if (quotas === null) {
    app.decorate('countMore', () => undefined);
    app.decorate('holdUnits', () => undefined);
    app.decorate('hasUnits', () => true);
    app.decorate('countFor', () => undefined);
    app.decorate('countAtOnce', () => UNLIMITED_REQUEST);
    return;
  }

  /** Counts one; `done` with what refuses it, if it is one too many. */
  const count = (request: FastifyRequest, done: (refusal?: AppError) => void): void => {
    const caller = app.callerOf(request);
    const { units = 1, quotaFree = false } = request.routeOptions.config;
    request.units = units;
    if (request.principal !== null) metering?.asked(request.principal);
    const counted = (refusal: AppError | undefined): void => {
      request.limitHeaders = limitHeaders(quotas.limits(caller), windowName);
      done(refusal);
    };
    if (quotas.isDecided(caller)) counted(quotas.take(caller, { free: quotaFree }));
    else void quotas.takeAsked(caller, { free: quotaFree }).then(counted);
  };

  app.decorate('countAtOnce', ({ principal, client }, { exchange, candles, units }) => {
    if (principal !== null && !(quotas.isKnown(principal) && permits(principal).allows(exchange, candles)))
      return null;
    const caller = { principal: principal ?? ANONYMOUS, client };
    // Asked before it is counted: Fastify counts what is refused here.
    if (!quotas.isDecided(caller) || quotas.refusalOf(caller, units) !== undefined) return null;
    if (quotas.take(caller, { free: true }) !== undefined) return null;
    if (principal !== null) metering?.asked(principal);
    return { limitHeaders: limitHeaders(quotas.limits(caller), windowName) };
  });
  const hold = (caller: CountedCaller, units: number): void => {
    const refusal = quotas.hold(caller, units);
    if (refusal !== undefined) throw refusal;
  };
  app.decorate('holdUnits', (request: FastifyRequest, units: number) => {
    if (request.principal === null) return;
    hold(app.callerOf(request), units);
    request.heldUnits += units;
  });
  app.decorate(
    'hasUnits',
    (request: FastifyRequest, units: number) =>
      request.principal === null || quotas.refusalOf(app.callerOf(request), units) === undefined,
  );
  const takeEach = (caller: CountedCaller, count: number): void => {
    for (let i = 0; i < count; i++) {
      // Units are looked after by `hold`: those that it set aside are not there a second time.
      const refusal = quotas.take(caller, { free: true });
      if (refusal !== undefined) throw refusal;
    }
  };
  app.decorate('countFor', (caller: CountedCaller, more: number) => {
    hold(caller, more);
    quotas.release(caller, more);
    takeEach(caller, more);
  });
  app.decorate(
    'countMore',
    (request: FastifyRequest, { more, units }: { readonly more: number; readonly units: number }) => {
      if (more <= 0 && units <= 1) return;
      const caller = app.callerOf(request);
      try {
        app.holdUnits(request, units);
        takeEach(caller, more);
      } finally {
        request.limitHeaders = limitHeaders(quotas.limits(caller), windowName);
      }
    },
  );

  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.unlimited === true) {
      done();
      return;
    }
    const { principal } = request;
    if (principal === null || metering === null || quotas.isKnown(principal)) count(request, done);
    else void metering.learn(principal).then(() => count(request, done));
  });

  if (metering === null) return;
  app.onAnswer(({ principal, client = '', units, heldUnits = 0, status, bytes = 0 }) => {
    if (principal === null || principal === undefined) return;
    const caller = { principal, client };
    // What a missing scope refused was not counted before.
    if (units === null || units === undefined) {
      metering.asked(principal);
      quotas.take(caller, { free: true });
    }
    const isGood = status < 400;
    metering.answered(caller, { units: isGood ? (units ?? 0) : 0, bytes, isRefused: REFUSALS.has(status) });
    if (heldUnits > 0) quotas.release(caller, heldUnits);
  });
};
