/** The headers of a finished answer, and the conditions under which it is sent: Accept and If-None-Match. */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { ServedAnswer } from '../../market-data/market-data-api.js';
import { AppError } from '../../errors.js';
import { addVary, type HeaderPair } from './common-headers.js';
import { acceptsJson, JSON_ONLY, type MediaForm, type Presentation } from './presentation.js';
import {
  representationFor,
  VARY_ACCEPT,
  VARY_ENCODING,
  type FinishedJson,
  type Representation,
} from './representations.js';

/** Whole seconds of `ms`, never negative: what is left is rounded down, and so is an age. */
const wholeSeconds = (ms: number): number => Math.max(0, Math.floor(ms / 1000));

/**
 * True for the instant `at` (ms since the epoch), to the second. A cache takes Age from max-age (RFC 9111, 4.2): max-age
 * is the answer's whole life, so that the cache arrives at what is left of it. 0 where nothing is left. `isPrivate`: no
 * cache that several callers share may keep it.
 */
export const freshnessHeaders = (
  { receivedAt, freshUntil }: Pick<ServedAnswer, 'receivedAt' | 'freshUntil'>,
  at: number,
  isPrivate = false,
): readonly [HeaderPair, HeaderPair] => {
  const left = freshUntil - at;
  const age = wholeSeconds(at - receivedAt);
  const life = left > 0 ? wholeSeconds(left) + age : 0;
  return [
    ['cache-control', `${isPrivate ? 'private' : 'public'}, max-age=${life}`],
    ['age', String(age)],
  ];
};

/** If-None-Match (RFC 9110, 13.1.2): `*`, or a list in which validators compare weakly. */
export const isNotModified = (ifNoneMatch: string | undefined, etag: string): boolean => {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((item) => item.trim().replace(/^W\//, '') === etag);
};

/** Refuses with 406 clients that do not accept JSON. */
export const requireJson: onRequestHookHandler = (request, _reply, done) => {
  const refused = !acceptsJson(request.headers.accept);
  done(
    refused ? new AppError('not_acceptable', 'This address answers with application/json only.') : undefined,
  );
};

/** `more`: headers of a 200 alone. */
const sendForm = (
  request: FastifyRequest,
  reply: FastifyReply,
  { form, more = [] }: { readonly form: Representation; readonly more?: readonly HeaderPair[] },
): FastifyReply => {
  addVary(reply, VARY_ENCODING);
  reply.header('etag', form.etag);
  if (isNotModified(request.headers['if-none-match'], form.etag)) return reply.code(304).send();
  for (const [name, value] of [...form.contentHeaders, ...more]) reply.header(name, value);
  return reply.send(form.body);
};

/** Sends finished JSON in the form that the client prefers, or 304 where it has that form already. */
export const sendJson = (request: FastifyRequest, reply: FastifyReply, json: FinishedJson): FastifyReply =>
  sendForm(request, reply, { form: representationFor(json, request.headers['accept-encoding']) });

export interface AnswerToSend {
  readonly answer: ServedAnswer;
  /** The instant for which the headers are true. */
  readonly at: number;
  /** Default: JSON. */
  readonly form?: MediaForm;
  readonly presentation?: Presentation;
}

/** Sends finished bytes with headers of their age and source, or 304 where the client has them already. */
export const sendAnswer = (
  request: FastifyRequest,
  reply: FastifyReply,
  { answer, at, form = 'json', presentation = JSON_ONLY }: AnswerToSend,
): FastifyReply => {
  request.cacheState = answer.cache;
  for (const [name, value] of freshnessHeaders(answer, at, request.server.answersArePrivate))
    reply.header(name, value);
  reply.header('x-cache', answer.cache).header('data-source', answer.source);
  if (presentation.varies) addVary(reply, VARY_ACCEPT);
  return sendForm(request, reply, {
    form: representationFor(answer, request.headers['accept-encoding'], form),
    more: presentation.headersOf(form),
  });
};
