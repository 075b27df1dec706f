/** The one place where errors become answers: problem+json for every refusal and fault. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../../log/log.js';
import { createThrottle } from '../../log/throttle.js';
import { AppError, type ErrorCode } from '../../errors.js';
import type {} from '../access/access-hook.js';
import type { Refusal } from '../requests/answer-record.js';
import { asAppError, PROBLEM_CONTENT_TYPE, retryAfterSeconds, toProblem } from './problem.js';

export interface ErrorAnswersOptions {
  readonly log: Log;
  readonly now: () => number;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Logs a bug of ours, with its stack; a bug that a client can bring about at will does not fill the log. */
    logBug(error: unknown, details?: object): void;
  }
}

/** Refusals of a client rather than of what it asked for. */
const CLIENT_REFUSALS: ReadonlySet<ErrorCode> = new Set(['client_rate_limited', 'too_many_auth_failures']);
/** Longer ones are no symbols. */
const MAX_SYMBOL_IN_LOG = 64;

const symbolOf = ({ query }: FastifyRequest): string | undefined => {
  const symbol = typeof query === 'object' && query !== null && 'symbol' in query ? query.symbol : undefined;
  return typeof symbol === 'string' ? symbol.slice(0, MAX_SYMBOL_IN_LOG) : undefined;
};

const refusalOf = (request: FastifyRequest, { code, diagnosis, upstream, errors }: AppError): Refusal => ({
  cause: diagnosis,
  upstream_status: upstream?.status,
  symbol: symbolOf(request),
  errors,
  client: CLIENT_REFUSALS.has(code) ? request.ip : undefined,
});

/** A URL that was refused for a credential in it is not repeated. */
const urlOf = ({ raw }: FastifyRequest, { code }: AppError): string =>
  code === 'credential_in_url' ? '/' : (raw.url ?? '/');

interface RefusalAnswer {
  readonly error: AppError;
  /** Content-Type of the body. */
  readonly type: string;
  readonly body: object;
}

/** Sends `error` as the answer to `request`, in the words of some protocol. */
export const sendRefusal = (
  request: FastifyRequest,
  reply: FastifyReply,
  { error, type, body }: RefusalAnswer,
): FastifyReply => {
  request.errorCode = error.code;
  request.refusal = refusalOf(request, error);
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== null) reply.header('retry-after', retryAfter);
  const challenge = request.server.challengeOf(request, error);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  return reply
    .code(error.status)
    .header('content-type', type)
    .header('cache-control', 'no-store')
    .removeHeader('etag')
    .send(JSON.stringify(body));
};

/** Sends `error` as the answer to `request`. */
export const sendProblem = (request: FastifyRequest, reply: FastifyReply, error: AppError): FastifyReply => {
  const body = toProblem(error, { url: urlOf(request, error), requestId: request.id });
  return sendRefusal(request, reply, { error, type: PROBLEM_CONTENT_TYPE, body });
};

/** Paths (none of ours has parameters) and the methods they take: what a 405 and an OPTIONS answer tell. */
const createMethodTable = () => {
  const table = new Map<string, Set<string>>();
  return {
    add(url: string, methods: readonly string[]): void {
      const known = table.get(url) ?? new Set(['OPTIONS']);
      for (const method of methods) known.add(method);
      table.set(url, known);
    },
    /** Methods of the path, sorted, with OPTIONS; null where there is no such path. */
    of(path: string): string | null {
      const found = table.get(path);
      return found === undefined ? null : [...found].sort().join(', ');
    },
  };
};

/** Of what tells one bug from another: its name and the beginning of its message. */
const MAX_SORT_LENGTH = 120;

/**
 * Headers that pages send beside those that CORS always allows: MCP's of all revisions, those of EventSource polyfills, and
 * what tracing adds.
 */
const PREFLIGHT_HEADERS = [
  ...['Accept', 'Authorization', 'Cache-Control', 'Content-Type', 'If-None-Match', 'Last-Event-ID'],
  ...['Mcp-Method', 'Mcp-Name', 'Mcp-Protocol-Version', 'Mcp-Session-Id', 'Pragma', 'Traceparent'],
  ...['Tracestate', 'X-API-Key', 'X-Request-Id', 'X-Requested-With'],
].join(', ');
/** Seconds for which a browser may remember a preflight's answer. */
const PREFLIGHT_MAX_AGE = '86400';

/** Installed on the root instance, before any route. */
export const addErrorAnswers = (app: FastifyInstance, { log, now }: ErrorAnswersOptions): void => {
  const throttle = createThrottle({ log, now, summary: 'more internal errors alike' });
  app.decorate('logBug', (error: unknown, details: object = {}) => {
    const sort = (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(
      0,
      MAX_SORT_LENGTH,
    );
    if (throttle.admits(sort)) log.error({ ...details, err: error }, 'internal error');
  });
  app.addHook('onClose', (_instance, done) => {
    throttle.tellSuppressed();
    done();
  });
  const methods = createMethodTable();
  app.addHook('onRoute', (route) => {
    methods.add(route.url, [route.method].flat());
  });

  const answerUnmatched = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = (request.raw.url ?? '/').split('?', 1)[0] ?? '/';
    const allow = methods.of(path);
    if (allow === null)
      return sendProblem(request, reply, new AppError('not_found', 'There is nothing here.'));
    reply.header('allow', allow);
    if (request.method !== 'OPTIONS') {
      const detail = `${request.method} is not possible here; possible: ${allow}.`;
      return sendProblem(request, reply, new AppError('method_not_allowed', detail));
    }
    if (request.headers['access-control-request-method'] !== undefined)
      reply
        .header('access-control-allow-methods', allow)
        .header('access-control-allow-headers', PREFLIGHT_HEADERS)
        .header('access-control-max-age', PREFLIGHT_MAX_AGE);
    return reply.code(204).send();
  };

  app.setErrorHandler<FastifyError>((thrown, request, reply) => {
    const error = asAppError(thrown);
    // Fastify reads a body even where nothing takes one; its faults do not matter there.
    const unread = request.is404 && !(thrown instanceof AppError) && error.status < 500;
    if (unread) return answerUnmatched(request, reply);
    if (error.code === 'internal_error') app.logBug(error.cause ?? error, { request_id: request.id });
    return sendProblem(request, reply, error);
  });
  app.setNotFoundHandler(answerUnmatched);
};
