/**
 * Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html) on the raw socket: the head is
 * Node's, the body is not chunked but ends with the connection, so that one finished event serves every client.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../errors.js';
import { accepts } from '../answers/accept.js';
import { SSE_RETRY } from '../../streams/clients/limits.js';
import type { Peer } from '../../streams/clients/connection.js';
import { MAX_LAST_EVENT_ID_LENGTH } from '../../schemas/query.js';
import type { HeaderPair } from '../answers/common-headers.js';

const EVENT_STREAM = 'text/event-stream';
const RETRY_HINT = Buffer.from(`retry: ${SSE_RETRY}\n\n`);
/** no-transform and X-Accel-Buffering keep proxies from compressing or collecting events. */
const STREAM_HEADERS: readonly HeaderPair[] = [
  ['content-type', EVENT_STREAM],
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
];

/** Throws `not_acceptable` where the client's Accept leaves no room for an event stream. */
export const requireEventStream = ({ headers }: FastifyRequest): void => {
  if (!accepts(headers.accept, EVENT_STREAM))
    throw new AppError('not_acceptable', `This address answers with ${EVENT_STREAM} only.`);
};

/** The id of the last event that a returning client has seen; '', which no event has, in place of one that is too long. */
export const lastEventIdOf = ({ headers }: FastifyRequest): string | undefined => {
  const id = headers['last-event-id'];
  if (typeof id !== 'string' || id === '') return undefined;
  return id.length <= MAX_LAST_EVENT_ID_LENGTH ? id : '';
};

export interface EventStreamHead {
  /** Of its data. */
  readonly source: string;
  /** The id after which it goes on, for a client that named one; '': its id is not known. */
  readonly resumedAfter?: string | undefined;
}

/** The headers of an event stream that begins, or that a HEAD asks about. */
export const eventStreamHeaders = (
  request: FastifyRequest,
  { source, resumedAfter }: EventStreamHead,
): HeaderPair[] => [
  ...request.server.commonHeaders(request),
  ...STREAM_HEADERS,
  ['data-source', source],
  ...(resumedAfter === undefined ? [] : ([['last-event-id', resumedAfter]] as const)),
];

/** Takes the socket over from Fastify and writes the head. Throws `invalid_request` for a pipelined request. */
export const openEventStream = (
  request: FastifyRequest,
  reply: FastifyReply,
  head: EventStreamHead,
): Peer => {
  const { raw } = reply;
  const { socket } = raw;
  // Node gives a pipelined request its socket once the answers before it are written: too late for a stream.
  const pipeline = request.server.pipelines.of(request.raw.socket);
  if (socket === null || pipeline.ending)
    throw new AppError('invalid_request', 'A stream cannot follow another request in a pipeline.');
  reply.hijack();
  socket.setTimeout(0);
  raw.shouldKeepAlive = false;
  pipeline.discardInput();
  // Without either length or chunks, the body ends with the connection.
  raw.removeHeader('transfer-encoding');
  for (const [name, value] of eventStreamHeaders(request, head)) raw.setHeader(name, value);
  socket.cork();
  raw.writeHead(200);
  raw.flushHeaders();
  socket.write(RETRY_HINT);
  process.nextTick(() => {
    socket.uncork();
  });
  return {
    wire: 'sse',
    pings: false,
    ping: () => undefined,
    end: () => socket.end(),
  };
};
