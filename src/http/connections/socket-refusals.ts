/**
 * Answers to what Node's own HTTP server refuses before Fastify sees a request: bytes that are no request, headers that are
 * too long, a request that does not arrive in time. Written to the socket directly, since there is no response object.
 */
import { STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { AppError, type ErrorCode } from '../../errors.js';
import { SECURITY_HEADERS } from '../answers/common-headers.js';
import { isMidAnswer } from './pipelines.js';
import { PROBLEM_CONTENT_TYPE, toProblem } from '../problems/problem.js';

export interface RequestBounds {
  /** Request line and headers together, in bytes. */
  readonly maxHeaderBytes: number;
  /** A request target, in characters. */
  readonly maxUrlLength: number;
}

/** What Node tells of a request it gave up; `rawPacket` holds the bytes that it stopped at, as far as they came at once. */
type NodeFault = NodeJS.ErrnoException & { readonly rawPacket?: unknown };

const FAULTS: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/** Is the URL what is too long? Seen only where the request line stands in the bytes that Node stopped at. */
const isEndlessRequestLine = (packet: unknown, { maxUrlLength }: RequestBounds): boolean => {
  if (!Buffer.isBuffer(packet)) return false;
  const [line = ''] = packet.toString('latin1').split('\r\n', 1);
  return /^[A-Z]{3,7} /.test(line) && line.length > maxUrlLength;
};

const detailOf = (code: ErrorCode, bounds: RequestBounds): string => {
  switch (code) {
    case 'headers_too_large':
      return `Request line and headers are longer than ${bounds.maxHeaderBytes} bytes.`;
    case 'uri_too_long':
      return `The URL is longer than ${bounds.maxUrlLength} characters.`;
    case 'payload_too_large':
      return 'The body is larger than this server reads.';
    case 'request_timeout':
      return 'The request did not arrive in time.';
    default:
      return 'The bytes received are not a well-formed HTTP request.';
  }
};

const appErrorOf = ({ code = '', rawPacket }: NodeFault, bounds: RequestBounds): AppError => {
  const fault = FAULTS[code] ?? 'invalid_request';
  const named =
    fault === 'headers_too_large' && isEndlessRequestLine(rawPacket, bounds) ? 'uri_too_long' : fault;
  return new AppError(named, detailOf(named, bounds));
};

/** The whole answer, and the end of the connection. */
const answerOn = (socket: Duplex, fault: AppError, requestId: string): void => {
  const body = JSON.stringify(toProblem(fault, { url: '/', requestId }));
  const head = [
    `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status] ?? fault.title}`,
    `Content-Type: ${PROBLEM_CONTENT_TYPE}; charset=utf-8`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
    `X-Request-Id: ${requestId}`,
    ...SECURITY_HEADERS.map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Nothing more is read: a client that neither reads nor closes must not keep the socket.
  if (socket instanceof Socket) socket.destroySoon();
};

export interface UnservedOptions {
  readonly bounds: RequestBounds;
  /** A new request id. */
  readonly requestId: () => string;
}

interface Refusal {
  readonly socket: Duplex;
  readonly fault: AppError;
  readonly requestId: string;
  readonly method: string;
}

/** Answers in the request's turn, behind those that came before it on its connection, and ends the connection. */
export const refuseInTurn = (app: FastifyInstance, { socket, fault, requestId, method }: Refusal): void => {
  // An answer that has begun and is still being made may never end.
  if (isMidAnswer(socket)) {
    socket.destroy();
    return;
  }
  app.pipelines.of(socket).endAfter(() => {
    if (socket.destroyed || !socket.writable || isMidAnswer(socket)) {
      socket.destroy();
      return;
    }
    answerOn(socket, fault, requestId);
    app.reportAnswer({
      requestId,
      method,
      route: 'unmatched',
      status: fault.status,
      durationMs: 0,
      cache: null,
      exchange: null,
      errorCode: fault.code,
      aborted: false,
      longLived: false,
    });
  });
};

/** For Fastify's `clientErrorHandler`, which calls it as a method of the app. */
export const createClientErrorHandler = ({ bounds, requestId }: UnservedOptions) =>
  function (this: FastifyInstance | undefined, error: NodeFault, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || this === undefined) {
      socket.destroy();
      return;
    }
    const fault = appErrorOf(error, bounds);
    refuseInTurn(this, { socket, fault, requestId: requestId(), method: 'unknown' });
  };

/** CONNECT has no request that Fastify could serve: Node gives the socket alone. */
export const refuseTunnels = (app: FastifyInstance, requestId: () => string): void => {
  app.server.on('connect', (_request, socket: Duplex) => {
    const fault = new AppError('invalid_request', 'This server is no proxy.');
    refuseInTurn(app, { socket, fault, requestId: requestId(), method: 'CONNECT' });
  });
};
