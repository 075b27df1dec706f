/**
 * What one connection and one request may cost: sizes and times of the HTTP server, and the answers of those that
 * Node refuses before Fastify sees them.
 */
import type { Socket } from 'node:net';
import type { Server } from 'node:http';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config.js';
import { AppError, type ErrorCode } from '../errors.js';
import { SECURITY_HEADERS } from './common-headers.js';
import { asAppError, PROBLEM_CONTENT_TYPE, toProblem } from './problem-answer.js';
import { sendProblem } from './errors.js';
import type { RequestIds } from './request-id.js';

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
const SPARE_CONNECTIONS = 10_000;
/** Requests answered over one connection before it is closed: 0, no bound. */
const MAX_REQUESTS_PER_SOCKET = 0;

const PARSER_FAULTS: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
};

const DETAILS: Partial<Record<ErrorCode, string>> = {
  headers_too_large: `Request line and headers are longer than ${MAX_HEADER_BYTES} bytes.`,
  uri_too_long: `The URL is longer than ${MAX_URL_LENGTH} characters.`,
  payload_too_large: 'The body is larger than this server reads.',
};

/** A request line that has not ended within the bound: the URL is what is too long. */
const isEndlessRequestLine = (packet: unknown): boolean =>
  Buffer.isBuffer(packet) && /^[A-Z]{3,7} /.test(packet.toString('latin1', 0, 8)) && !packet.includes('\r\n');

const parserFault = (error: NodeJS.ErrnoException & { rawPacket?: unknown }): AppError => {
  const code = PARSER_FAULTS[error.code ?? ''] ?? 'invalid_request';
  const named = code === 'headers_too_large' && isEndlessRequestLine(error.rawPacket) ? 'uri_too_long' : code;
  return new AppError(named, DETAILS[named] ?? 'The bytes received are not a well-formed HTTP request.');
};

/** Answers on a socket whose request Node could not parse, then closes it. */
const createClientErrorHandler =
  (requestId: () => string) =>
  (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
      socket.destroy();
      return;
    }
    // Node's own 408: the request did not arrive in time. Nothing sensible can be said to half a request.
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      socket.destroySoon();
      return;
    }
    const fault = parserFault(error);
    const id = requestId();
    const body = JSON.stringify(toProblem(fault, { url: '/', requestId: id }));
    const head = [
      `HTTP/1.1 ${fault.status} ${fault.title}`,
      `Content-Type: ${PROBLEM_CONTENT_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Cache-Control: no-store',
      'Connection: close',
      `X-Request-Id: ${id}`,
      ...SECURITY_HEADERS.map(([name, value]) => `${name}: ${value}`),
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
    socket.destroySoon();
  };

/** Fastify's constructor options. No logger: our own log gets one line an answer at most (access-log.ts). */
export const serverOptions = (config: Config, requestId: RequestIds): FastifyHttpOptions<Server> => ({
  logger: false,
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
  },
  clientErrorHandler: createClientErrorHandler(() => requestId.next()),
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
  for (const [name, value] of request.server.commonHeaders(request)) reply.header(name, value);
  sendProblem(request, reply, asAppError(error));
};

/** Installed on the root instance: what only a live server, or only a parsed request, can be measured against. */
export const addServerLimits = (
  app: FastifyInstance,
  { maxStreams }: { readonly maxStreams: number },
): void => {
  app.server.maxConnections = maxStreams + SPARE_CONNECTIONS;
  app.addHook('onRequest', (request, _reply, done) => {
    const tooLong = (request.raw.url ?? '').length > MAX_URL_LENGTH;
    done(
      tooLong
        ? new AppError('uri_too_long', `The URL is longer than ${MAX_URL_LENGTH} characters.`)
        : undefined,
    );
  });
};
