/** The headers of a finished answer, and the conditions under which it is sent: Accept and If-None-Match. */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { ServedAnswer } from '../market-data/market-data-api.js';
import { AppError } from '../errors.js';
import type { HeaderPair } from './common-headers.js';

export const JSON_CONTENT_TYPE = 'application/json; charset=utf-8';

/** Whole seconds of `ms`, never negative: what is left is rounded down, and so is an age. */
const wholeSeconds = (ms: number): number => Math.max(0, Math.floor(ms / 1000));

/** True for the instant `at` (ms since the epoch), to the second. */
export const freshnessHeaders = (
  { receivedAt, freshUntil }: Pick<ServedAnswer, 'receivedAt' | 'freshUntil'>,
  at: number,
): readonly [HeaderPair, HeaderPair] => [
  ['cache-control', `public, max-age=${wholeSeconds(freshUntil - at)}`],
  ['age', String(wholeSeconds(at - receivedAt))],
];

/** If-None-Match (RFC 9110, 13.1.2): `*`, or a list in which validators compare weakly. */
export const isNotModified = (ifNoneMatch: string | undefined, etag: string): boolean => {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((item) => item.trim().replace(/^W\//, '') === etag);
};

const RANGES = ['application/json', 'application/*', '*/*'];

/** Does an Accept header leave room for JSON (RFC 9110, 12.5.1)? The most specific range that fits decides. */
export const acceptsJson = (accept: string | undefined): boolean => {
  if (accept === undefined || accept === '' || accept === '*/*' || accept === 'application/json') return true;
  const quality = new Map<string, number>();
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const q = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split('=')[1];
    quality.set(type, q === undefined ? 1 : Number(q));
  }
  const decisive = RANGES.find((range) => quality.has(range));
  return decisive !== undefined && quality.get(decisive) !== 0;
};

/** Refuses with 406 who would not take JSON. */
export const requireJson: onRequestHookHandler = (request, _reply, done) => {
  const refused = !acceptsJson(request.headers.accept);
  done(
    refused ? new AppError('not_acceptable', 'This address answers with application/json only.') : undefined,
  );
};

/** Sends finished bytes with the truth about them, or 304 where the client has them already. */
export const sendAnswer = (
  request: FastifyRequest,
  reply: FastifyReply,
  { answer, at }: { readonly answer: ServedAnswer; readonly at: number },
): FastifyReply => {
  request.cacheState = answer.cache;
  for (const [name, value] of freshnessHeaders(answer, at)) reply.header(name, value);
  reply.header('etag', answer.etag).header('x-cache', answer.cache).header('data-source', answer.source);
  if (isNotModified(request.headers['if-none-match'], answer.etag)) return reply.code(304).send();
  return reply.header('content-type', JSON_CONTENT_TYPE).send(answer.body);
};
