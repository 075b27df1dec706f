/**
 * Writes a response whose head is text that was made before. Node's `writeHead` checks and joins every header again for
 * every request, and `end(body)` writes head and body in two pieces; for a response that is sent ten thousand times a second
 * that is a quarter of its cost. Here head and body are written as one string.
 *
 * It depends on a field that Node does not document: `_header`, the text of the head, null until it is made
 * (lib/_http_outgoing.js, in all of Node 20 to 24). Where a response has no such field, `canSendRaw` is false, and
 * callers use `writeHead`.
 */
import { ServerResponse, validateHeaderName, validateHeaderValue, type IncomingMessage } from 'node:http';
import type { HeaderPair } from '../answers/common-headers.js';

/** Node's types lack the field: hence the casts below. */
interface HeadField {
  _header: string | null;
}

const END_OF_LINE = '\r\n';

/** Header lines, each with its line end. Throws Node's own error for a name or value that is not valid in a head. */
export const headerLines = (pairs: readonly HeaderPair[]): string =>
  pairs
    .map(([name, value]) => {
      validateHeaderName(name);
      validateHeaderValue(name, value);
      return `${name}: ${value}${END_OF_LINE}`;
    })
    .join('');

/**
 * Whether `sendRaw` may answer this request: a GET over HTTP/1.1 whose connection stays open, and a response of
 * Node's own on which nothing is set yet.
 */
export const canSendRaw = (request: IncomingMessage, response: ServerResponse): boolean => {
  const { connection } = request.headers;
  return (
    Object.getPrototypeOf(response) === ServerResponse.prototype &&
    (response as unknown as Partial<HeadField>)._header === null &&
    request.method === 'GET' &&
    request.httpVersionMinor === 1 &&
    (connection === undefined || connection.toLowerCase() === 'keep-alive') &&
    response.getHeaderNames().length === 0
  );
};

/** The same without validation, for pairs made of constants and numbers of this server. */
export const linesOf = (pairs: readonly HeaderPair[]): string => {
  let lines = '';
  for (const [name, value] of pairs) lines += `${name}: ${value}${END_OF_LINE}`;
  return lines;
};

let dateSecond = -1;
let dateLine = '';

/** The Date header's line, made once a second (RFC 9110, 6.6.1). */
const currentDateLine = (): string => {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateLine = `date: ${new Date(second * 1000).toUTCString()}${END_OF_LINE}`;
  }
  return dateLine;
};

/** How long an idle connection is kept, as Node announces it. */
const keepAliveLines = (timeoutMs: number): string =>
  `connection: keep-alive${END_OF_LINE}` +
  (timeoutMs > 0 ? `keep-alive: timeout=${Math.floor(timeoutMs / 1000)}${END_OF_LINE}` : '');

export interface RawResponse {
  readonly status: 200 | 304;
  /** From `headerLines`; Date and Connection are added here. A 200's has the Content-Length. */
  readonly lines: string;
  /** Bytes as latin1, one character each; null with a 304. A Buffer is written as it is, by a write of its own. */
  readonly body: string | Buffer | null;
  /** http.Server's, in milliseconds. */
  readonly keepAliveTimeoutMs: number;
}

const STATUS_LINES = { 200: 'HTTP/1.1 200 OK\r\n', 304: 'HTTP/1.1 304 Not Modified\r\n' } as const;

/** To be called where `canSendRaw` is true. */
export const sendRaw = (response: ServerResponse, raw: RawResponse): void => {
  const { status, lines, body, keepAliveTimeoutMs } = raw;
  const head =
    STATUS_LINES[status] + lines + currentDateLine() + keepAliveLines(keepAliveTimeoutMs) + END_OF_LINE;
  response.statusCode = status;
  const field = response as unknown as HeadField;
  field._header = typeof body === 'string' ? head + body : head;
  if (body instanceof Buffer) response.end(body);
  else response.end();
};
