/**
 * What every answer carries: request id, security headers, CORS and the client limit's state. Made as plain name/value
 * pairs, so that a hijacked answer (response cache, SSE) carries the very same as one that Fastify sends.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

export type HeaderPair = readonly [name: string, value: string];

declare module 'fastify' {
  interface FastifyInstance {
    /** The headers of every answer to this request, for those who write to the socket themselves. */
    commonHeaders(request: FastifyRequest): HeaderPair[];
    /** Those of them that are the same for every request from the same origin: neither id nor client limit. */
    steadyHeaders(request: FastifyRequest): HeaderPair[];
    /** Answers depend on the caller: shared caches must not store them. */
    readonly answersArePrivate: boolean;
  }
  interface FastifyRequest {
    /** RateLimit fields of this answer; null while the client limit is off. */
    limitHeaders: readonly HeaderPair[] | null;
  }
}

/**
 * What an answer that is no page needs: it is not sniffed into one, runs nothing if it is opened as one, and may be read
 * across origins. Pages bring more (../openapi/page-headers.ts). No HSTS: whether the host speaks TLS is its proxy's to say.
 */
export const SECURITY_HEADERS: readonly HeaderPair[] = [
  ['x-content-type-options', 'nosniff'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['cross-origin-resource-policy', 'cross-origin'],
];

/** Headers of ours that a page on another origin may read. */
const EXPOSED = [
  ...['Age', 'ETag', 'X-Cache', 'Data-Source', 'X-Request-Id', 'Retry-After'],
  ...['Data-Gaps', 'Data-Next-Since'],
];
/** Those of the client limit; sent where there is one. */
const EXPOSED_OF_LIMIT = [
  'RateLimit',
  'RateLimit-Policy',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
];

/** Sent where access is on. */
const EXPOSED_OF_ACCESS = ['WWW-Authenticate'];

export interface CommonHeadersOptions {
  /** true: every origin. */
  readonly corsOrigins: true | readonly string[];
  /** Answers carry the state of a client limit. */
  readonly clientLimit?: boolean;
  /** Answers may ask for a credential. */
  readonly access?: boolean;
}

const exposedOf = ({ clientLimit = false, access = false }: CommonHeadersOptions): HeaderPair => [
  'access-control-expose-headers',
  [...EXPOSED, ...(clientLimit ? EXPOSED_OF_LIMIT : []), ...(access ? EXPOSED_OF_ACCESS : [])].join(', '),
];
const VARY_ORIGIN: HeaderPair = ['vary', 'Origin'];
/** A cache that several callers share must tell them apart, X-API-Key included, which HTTP knows nothing of. */
const VARY_CREDENTIAL = 'Authorization, X-API-Key';

/** Adds `name` to what an answer varies by, beside what it varies by already. */
const varyBy = (vary: string | undefined, name: string): string =>
  vary === undefined || vary === '' ? name : `${vary}, ${name}`;

const variesBy = (vary: string, name: string): boolean =>
  vary.split(',').some((item) => item.trim().toLowerCase() === name.toLowerCase());

export const addVary = (reply: FastifyReply, name: string): void => {
  const vary = reply.getHeader('vary');
  const present = typeof vary === 'string' ? vary : undefined;
  if (present === undefined || !variesBy(present, name)) reply.header('vary', varyBy(present, name));
};

/** `pairs` with one Vary, which names `name` too. */
export const withVary = (pairs: readonly HeaderPair[], name: string): HeaderPair[] => {
  const vary = pairs.find(([header]) => header === 'vary')?.[1];
  return [
    ...pairs.filter(([header]) => header !== 'vary'),
    ['vary', vary === undefined ? name : varyBy(name, vary)],
  ];
};

const anyOrigin = (expose: HeaderPair): readonly HeaderPair[] => [
  ['access-control-allow-origin', '*'],
  expose,
];

/** CORS headers by the request's Origin. */
const createOriginHeaders = (
  options: CommonHeadersOptions,
): ((origin: string | undefined) => readonly HeaderPair[]) => {
  const { corsOrigins } = options;
  const expose = exposedOf(options);
  if (corsOrigins === true) {
    const all = anyOrigin(expose);
    return () => all;
  }
  const none: readonly HeaderPair[] = [];
  if (corsOrigins.length === 0) return () => none;
  const elsewhere: readonly HeaderPair[] = [VARY_ORIGIN];
  const allowed = new Map(
    corsOrigins.map((origin) => [
      origin,
      [['access-control-allow-origin', origin], expose, VARY_ORIGIN] as const,
    ]),
  );
  return (origin) => (origin === undefined ? undefined : allowed.get(origin)) ?? elsewhere;
};

/** CORS headers, and by what else than the request's Origin every answer varies. */
const createCors = (
  options: CommonHeadersOptions,
): ((origin: string | undefined) => readonly HeaderPair[]) => {
  const byOrigin = createOriginHeaders(options);
  if (options.access !== true) return byOrigin;
  const made = new WeakMap<readonly HeaderPair[], readonly HeaderPair[]>();
  return (origin) => {
    const pairs = byOrigin(origin);
    const varying = made.get(pairs) ?? withVary(pairs, VARY_CREDENTIAL);
    made.set(pairs, varying);
    return varying;
  };
};

/** Headers that every answer carries whoever the caller is; null where it depends on the request's Origin. */
export const steadyHeadersOf = (options: CommonHeadersOptions): readonly HeaderPair[] | null => {
  const { corsOrigins } = options;
  if (corsOrigins !== true && corsOrigins.length > 0) return null;
  return [...SECURITY_HEADERS, ...createCors(options)(undefined)];
};

/** Installed on the root instance, before any route. */
export const addCommonHeaders = (app: FastifyInstance, options: CommonHeadersOptions): void => {
  const cors = createCors(options);
  app.decorateRequest('limitHeaders', null);
  app.decorate('answersArePrivate', options.access === true);
  app.decorate('steadyHeaders', (request: FastifyRequest): HeaderPair[] => [
    ...SECURITY_HEADERS,
    ...cors(request.headers.origin),
  ]);
  app.decorate('commonHeaders', (request: FastifyRequest): HeaderPair[] => [
    ['x-request-id', request.id],
    ...app.steadyHeaders(request),
    ...(request.limitHeaders ?? []),
  ]);
  app.addHook('onSend', async (request, reply, payload) => {
    // A route's own word (the docs' CSP) wins over the default.
    for (const [name, value] of app.commonHeaders(request))
      if (name === 'vary') addVary(reply, value);
      else if (!reply.hasHeader(name)) reply.header(name, value);
    return payload;
  });
};
