/**
 * `/mcp`: the Model Context Protocol over Streamable HTTP. Stateless: every POST is one exchange with a server of its
 * own; the session calls of older revisions, GET and DELETE, are methods that this address does not have. The SDK comes
 * with the first call: importing it would be a sixth of the server's start.
 */
import type {
  FastifyInstance,
  FastifyPluginCallback,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
} from 'fastify';
import type {} from '@fastify/swagger';
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { Principal } from '../../access/principal.js';
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { untilLoaded } from '../../lib/once.js';
import type { McpServerDependencies } from '../../mcp/mcp-server.js';
import { bodyWithoutNullArguments } from '../../mcp/null-arguments.js';
import { CLIENT_HEADER, LIMITS_HEADER, type CallLimits } from '../../mcp/tool.js';
import { ohlcvQuery } from '../../schemas/query.js';
import { candleUnits } from '../../access/permit.js';
import { endFault } from '../access/credential-end.js';
import { endingWith } from '../answers/mcp-ending.js';
import { clientOf } from '../requests/client.js';
import { inMcpForm, mcpFormFor, SDK_ACCEPT } from '../answers/mcp-negotiation.js';

export interface McpRouteOptions extends McpServerDependencies {
  /**
   * Origins (`https://app.example.com`) whose pages may call, beside those on this machine. true, every origin, names
   * none: what any page may read is not what any page may drive through a user's own network (DNS rebinding).
   */
  readonly corsOrigins: true | readonly string[];
  /**
   * Counts `more` calls beside the request itself, which cost `units` together; throws where the client has made too many,
   * or has not so many units left.
   */
  readonly countMore: (
    request: FastifyRequest,
    batch: { readonly more: number; readonly units: number },
  ) => void;
  /** A call of the request got a good answer, which costs so many units. */
  readonly answered: (request: FastifyRequest, units: number) => void;
}

/** The longest request taken, in bytes; ours are a few hundred. */
const BODY_LIMIT = 256 * 1024;

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** A page of this machine, on any port. */
const isLocalPage = (origin: string): boolean => {
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname, origin: parsed } = new URL(origin);
  return parsed === origin && /^https?:$/.test(protocol) && LOOPBACK_NAMES.has(hostname);
};

/** Requests without an Origin header pass: clients that are no browsers do not send one. */
const originCheck = (corsOrigins: McpRouteOptions['corsOrigins']): onRequestHookHandler => {
  const named = new Set(corsOrigins === true ? [] : corsOrigins);
  const errors = [{ parameter: 'Origin', reason: 'is not one of the origins that may call (CORS_ORIGIN)' }];
  return (request, _reply, done) => {
    const { origin } = request.headers;
    const allowed = origin === undefined || named.has(origin) || isLocalPage(origin);
    const detail = 'Pages of this origin may not call this server.';
    done(allowed ? undefined : new AppError('origin_not_allowed', detail, { errors }));
  };
};

/** What the SDK and what is behind it do not see: credentials. */
const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'x-api-key', 'cookie']);

/** The caller as the SDK's AuthInfo; its token is no credential but the principal's id. */
const authInfoOf = ({ id, scopes, expiresAt }: Principal): AuthInfo => ({
  token: id,
  clientId: id,
  scopes: [...scopes],
  ...(expiresAt === null ? {} : { expiresAt: Math.floor(expiresAt / 1000) }),
});

/** Fastify's request as the SDK's handler takes it; the URL says nothing that the handler reads. */
const toWebRequest = (
  request: FastifyRequest,
  { signal, limits }: { readonly signal: AbortSignal; readonly limits: string },
): Request => {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    if (!CREDENTIALS.has(name)) for (const item of [value ?? []].flat()) headers.append(name, item);
  headers.set('accept', SDK_ACCEPT);
  headers.set('x-request-id', request.id);
  headers.set(CLIENT_HEADER, clientOf(request));
  headers.set(LIMITS_HEADER, limits);
  const body =
    request.body instanceof Buffer ? { body: new Uint8Array(bodyWithoutNullArguments(request.body)) } : {};
  return new Request('http://localhost/mcp', { method: request.method, headers, signal, ...body });
};

interface CallEnd {
  /** Aborts when the client has gone before it was answered, or its credential ends; either ends the upstream call. */
  readonly signal: AbortSignal;
  /** Resolves when the credential is revoked, expires, or loses its scope. */
  readonly ended: Promise<AppError>;
}

const watchEnd = ({ principal }: FastifyRequest, { raw }: FastifyReply): CallEnd => {
  const gone = new AbortController();
  const ended = new Promise<AppError>((resolve) => {
    const forget = principal?.onEnd('market:read', (reason) => {
      // First, so that whoever waits for both hears why.
      resolve(endFault(reason, 'market:read'));
      gone.abort();
    });
    const close = (): void => {
      forget?.();
      if (!raw.writableFinished) gone.abort();
    };
    raw.once('close', close);
    // The client may have left while what answers it was loaded.
    if (raw.destroyed) close();
  });
  return { signal: gone.signal, ended };
};

/** Rejects with the refusal where the credential ends before there is an answer. */
const unlessEnded = <T>(work: Promise<T>, ended: Promise<AppError>): Promise<T> =>
  Promise.race([
    work,
    ended.then((fault) => {
      throw fault;
    }),
  ]);

const utf8 = new TextDecoder();

/** The messages of the batch in a body, which clients of older revisions may send; null for any other body. */
const batchIn = (body: unknown): readonly unknown[] | null => {
  if (!(body instanceof Buffer)) return null;
  // The SDK parses it all; here only what may be a batch is worth the time.
  const text = utf8.decode(body).trimStart();
  if (!text.startsWith('[')) return null;
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : null;
  } catch {
    return null;
  }
};

/** Messages that cost units; others are free. A limit that the tool will refuse costs nothing more. */
const costly = z.looseObject({
  method: z.enum(['tools/call', 'resources/read']),
  params: z.looseObject({
    name: z.string().exactOptional(),
    arguments: z
      .looseObject({ limit: z.coerce.string().pipe(ohlcvQuery.shape.limit.unwrap()).catch(1) })
      .nullish(),
  }),
});

/** What a message of a batch costs if it gets a good answer. */
const unitsOf = (message: unknown): number => {
  const { success, data } = costly.safeParse(message);
  if (!success) return 0;
  const { name, arguments: given } = data.params;
  return name === 'get_ohlcv' ? candleUnits(given?.limit ?? 1) : 1;
};

/** The limits of the calls that are being answered, by names that no client can choose. */
const createCallLimits = (options: Pick<McpRouteOptions, 'answered'>) => {
  const held = new Map<string, CallLimits>();
  let last = 0;
  return {
    of: (name: string): CallLimits | undefined => held.get(name),
    /** Until the answer has gone, or its client. `isBatch`: units are set aside for all calls already. */
    hold(request: FastifyRequest, reply: FastifyReply, isBatch: boolean): string {
      const { principal, server } = request;
      if (principal === null) return '';
      const name = String((last += 1));
      const permit = server.permitOf(request);
      held.set(name, {
        requireExchange: (exchange) => permit.requireExchange(exchange),
        candles(limit, fallback) {
          const candles = permit.candles(limit, fallback);
          const units = candleUnits(candles);
          if (!isBatch && units > 1) server.holdUnits(request, units);
          return candles;
        },
        mayBackfill: permit.mayBackfill,
        answered: (candles) => options.answered(request, candles === null ? 1 : candleUnits(candles)),
      });
      reply.raw.once('close', () => held.delete(name));
      if (reply.raw.destroyed) held.delete(name);
      return name;
    },
  };
};

const openEndpoint = async (deps: McpRouteOptions) => {
  const [{ createMcpHandler }, server] = await Promise.all([
    import('@modelcontextprotocol/server'),
    import('../../mcp/mcp-server.js'),
  ]);
  return createMcpHandler(server.createMcpServerFactory(deps), {
    maxSubscriptions: server.MAX_SUBSCRIPTIONS,
    maxRequestBodySize: BODY_LIMIT,
    onerror: (error) => deps.log.debug({ err: error }, 'MCP: a request was refused or failed'),
  });
};

export const mcpRoutes: FastifyPluginCallback<McpRouteOptions> = (app: FastifyInstance, options, done) => {
  let handler: Awaited<ReturnType<typeof openEndpoint>> | undefined;
  const limits = createCallLimits(options);
  const deps = { ...options, limitsOf: (name: string) => limits.of(name) };
  const endpoint = untilLoaded(async () => (handler = await openEndpoint(deps)));
  app.addHook('onRequest', originCheck(options.corsOrigins));
  app.addHook('onClose', async () => {
    await handler?.close();
  });
  // The SDK reads bodies and answers faulty ones in JSON-RPC's words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, body, parsed) => {
    parsed(null, body);
  });
  app.post('/mcp', { schema: { hide: true }, config: { units: 0 } }, async (request, reply) => {
    const form = mcpFormFor(request.headers.accept);
    const batch = batchIn(request.body);
    if (batch !== null) {
      const units = batch.reduce((sum: number, message) => sum + unitsOf(message), 0);
      options.countMore(request, { more: batch.length - 1, units });
    }
    const { fetch } = await endpoint();
    const { principal } = request;
    const authInfo = principal === null ? {} : { authInfo: authInfoOf(principal) };
    const { signal, ended } = watchEnd(request, reply);
    const asked = { signal, limits: limits.hold(request, reply, batch !== null) };
    const answer = async (): Promise<Response> => {
      const response = await fetch(toWebRequest(request, asked), authInfo);
      return inMcpForm(response, { form, isBatch: batch !== null });
    };
    return reply.send(endingWith(await unlessEnded(answer(), ended), ended, request.body));
  });
  done();
};
