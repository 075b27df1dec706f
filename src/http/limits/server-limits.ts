/**
 * What one connection and one request may cost: sizes and times of the HTTP server. What Node refuses for it is answered
 * in connections/socket-refusals.ts.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../../config/config.js';
import { AppError } from '../../errors.js';
import { keepErrorListeners } from '../connections/pipelines.js';
import { asAppError } from '../problems/problem.js';
import { sendProblem } from '../problems/error-handler.js';
import { WITHOUT_DEFAULT_COMPILERS } from '../problems/validation.js';
import type { HostFault } from './host-check.js';
import type { RequestIds } from '../requests/request-id.js';
import {
  createClientErrorHandler,
  refuseTunnels,
  type RequestBounds,
} from '../connections/socket-refusals.js';

/** Request line and headers together, in bytes; beyond it the answer is a 431 (or a 414 where the URL alone is it). */
const MAX_HEADER_BYTES = 16 * 1024;
/** A request target, in characters; the longest sane one of ours has about 300. */
const MAX_URL_LENGTH = 2048;
/** A request body; only MCP takes one. */
const MAX_BODY_BYTES = 256 * 1024;
/** From the first byte of a request to its last header; a slow-loris ends here. */
const HEADERS_TIMEOUT_MS = 10_000;
/** … to the last byte of its body. */
const REQUEST_RECEIVE_TIMEOUT_MS = 15_000;
/** How often Node looks for connections that are past those times. */
const TIMEOUT_CHECK_MS = 2_000;
/** An idle kept-alive connection; longer than the 60 s of common load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;
/** A socket on which nothing moved for this long, above the longest wait for an answer: a reader that stopped. */
const STALLED_SOCKET_MARGIN_MS = 60_000;
/** Connections beside those of the streams. */
export const SPARE_CONNECTIONS = 10_000;
/** Requests answered over one connection before it is closed: 0, no bound. */
const MAX_REQUESTS_PER_SOCKET = 0;

const BOUNDS: RequestBounds = { maxHeaderBytes: MAX_HEADER_BYTES, maxUrlLength: MAX_URL_LENGTH };

/** Fastify's constructor options. No logger: our own log gets one line an answer at most (access-log.ts). */
export const serverOptions = (config: Config, requestId: RequestIds): FastifyHttpOptions<Server> => ({
  logger: false,
  schemaController: WITHOUT_DEFAULT_COMPILERS,
  trustProxy: trustProxy(config.trustProxy),
  genReqId: requestId.of,
  bodyLimit: MAX_BODY_BYTES,
  keepAliveTimeout: KEEP_ALIVE_MS,
  requestTimeout: REQUEST_RECEIVE_TIMEOUT_MS,
  connectionTimeout: config.requestTimeoutMs + STALLED_SOCKET_MARGIN_MS,
  maxRequestsPerSocket: MAX_REQUESTS_PER_SOCKET,
  // Our own answer, with a problem and Retry-After, comes from the life cycle's hook.
  return503OnClosing: false,
  forceCloseConnections: 'idle',
  http: {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    // Refused by a hook below, with a problem.
    requireHostHeader: false,
  },
  clientErrorHandler: createClientErrorHandler({ bounds: BOUNDS, requestId: requestId.next }),
  frameworkErrors: (error, request, reply) => {
    answerFrameworkError(error, request, reply);
  },
});

/** A number of hops as the function that Fastify's types ask for. */
const trustProxy = (setting: Config['trustProxy']): NonNullable<FastifyHttpOptions<Server>['trustProxy']> => {
  if (typeof setting === 'number') return (_address, hop) => hop < setting;
  return typeof setting === 'boolean' ? setting : [...setting];
};

/** Faults found before any hook runs: the common headers are set here by hand. */
const answerFrameworkError = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
  request.server.trackAnswer(request, reply);
  for (const [name, value] of request.server.commonHeaders(request)) reply.header(name, value);
  sendProblem(request, reply, asAppError(error));
};

/** Node's `headers` keeps the first of them; a proxy in front may have used another (RFC 9112, 3.2). */
const hasTwoHosts = (rawHeaders: readonly string[]): boolean => {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1;
};

/** What no address of ours could answer; undefined for all that may be served. */
export const requestFault = ({
  url = '',
  headers,
  rawHeaders,
  httpVersion,
}: IncomingMessage): AppError | undefined => {
  if (url.length > MAX_URL_LENGTH)
    return new AppError('uri_too_long', `The URL is longer than ${MAX_URL_LENGTH} characters.`);
  if (headers.host === undefined && httpVersion === '1.1')
    return new AppError('invalid_request', 'The Host header is missing.');
  if (hasTwoHosts(rawHeaders)) return new AppError('invalid_request', 'There is more than one Host header.');
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue')
    return new AppError('expectation_failed', 'No expectation but 100-continue can be met.');
  return undefined;
};

export interface ServerLimitsOptions {
  readonly maxConnections: number;
  readonly requestId: RequestIds;
  readonly hostFault: HostFault;
}

/** Installed on the root instance: what only a live server, or only a parsed request, can be measured against. */
export const addServerLimits = (
  app: FastifyInstance,
  { maxConnections, requestId, hostFault }: ServerLimitsOptions,
): void => {
  keepErrorListeners(app.server);
  app.server.maxConnections = maxConnections;
  // Node would answer these itself, without a body: the hook does it.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response);
  });
  refuseTunnels(app, requestId.next);
  app.addHook('onRequest', (request, _reply, done) => {
    done(requestFault(request.raw) ?? hostFault(request.raw));
  });
};
