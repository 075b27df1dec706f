/** The one place where faults become answers: problem+json for everything, whoever refused the request. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../log/log.js';
import { AppError } from '../errors.js';
import { asAppError, PROBLEM_CONTENT_TYPE, retryAfterSeconds, toProblem } from './problem-answer.js';

export interface ErrorAnswersOptions {
  readonly log: Log;
}

/** Sends `error` as the answer to `request`. */
export const sendProblem = (request: FastifyRequest, reply: FastifyReply, error: AppError): FastifyReply => {
  request.errorCode = error.code;
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== null) reply.header('retry-after', retryAfter);
  return reply
    .code(error.status)
    .header('content-type', PROBLEM_CONTENT_TYPE)
    .header('cache-control', 'no-store')
    .removeHeader('etag')
    .send(JSON.stringify(toProblem(error, { url: request.raw.url ?? '/', requestId: request.id })));
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

const PREFLIGHT_HEADERS =
  'Accept, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id, Authorization, Mcp-Session-Id, Mcp-Protocol-Version';
/** Seconds for which a browser may remember a preflight's answer. */
const PREFLIGHT_MAX_AGE = '86400';

/** Installed on the root instance, before any route. */
export const addErrorAnswers = (app: FastifyInstance, { log }: ErrorAnswersOptions): void => {
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
    // Fastify reads a body even where nothing takes one; what is wrong with it matters to nobody there.
    const unread = request.is404 && !(thrown instanceof AppError) && error.status < 500;
    if (unread) return answerUnmatched(request, reply);
    if (error.code === 'internal_error')
      log.error({ request_id: request.id, err: error.cause ?? error }, 'internal error');
    return sendProblem(request, reply, error);
  });
  app.setNotFoundHandler(answerUnmatched);
};
