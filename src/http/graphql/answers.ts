/** GraphQL responses over HTTP: their status, their media type, and how long they may be kept. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GraphQLFormattedError } from 'graphql';
import { etagOf } from '../../cache/etag.js';
import type { AppError } from '../../errors.js';
import type { Executed } from '../../graphql/engine.js';
import type { UsedAnswer } from '../../graphql/operation-context.js';
import { ownSource } from '../../market-data/market-data-api.js';
import type { ServedAnswer, CacheState } from '../../market-data/market-data-api.js';
import { addVary } from '../answers/common-headers.js';
import { formsFor, type GraphqlForms } from './request.js';
import { sendAnswer } from '../answers/json-answer.js';
import type { Presentation } from '../answers/presentation.js';
import { VARY_ACCEPT } from '../answers/representations.js';

export type FinishedForm = NonNullable<GraphqlForms['finished']>;

/** Answers that are kept by their URL are plain JSON: other forms are made anew. */
export const GRAPHQL_PRESENTATION: Presentation = {
  name: 'graphql',
  formFor(accept) {
    const { finished, streamFirst } = formsFor(accept);
    return finished === 'application/json' && !streamFirst ? 'json' : null;
  },
  varies: true,
  headersOf: () => [],
};

/** Whose data a response is made of, as Data-Source tells it. */
export const dataSourceOf = (used: readonly UsedAnswer[], sandbox: boolean): string =>
  used.length === 0 ? ownSource(sandbox) : [...new Set(used.map(({ dataSource }) => dataSource))].join(', ');

interface TextAnswer {
  readonly json: string;
  readonly form: FinishedForm;
  readonly status?: number;
  /** Value of Data-Source; not of a refusal. */
  readonly source?: string;
}

export const sendText = (
  reply: FastifyReply,
  { json, form, status = 200, source }: TextAnswer,
): FastifyReply => {
  addVary(reply, VARY_ACCEPT);
  if (source !== undefined) reply.header('data-source', source);
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  return reply.code(status).header('content-type', `${form}; charset=utf-8`).send(json);
};

/** A broken request is 400 whatever the client takes; other refusals are 400 or, as legacy JSON, 200. */
const statusOf = (fault: AppError, form: FinishedForm, mustFail: boolean): number => {
  if (fault.status === 200) return 200;
  if (mustFail || fault.code === 'invalid_request' || fault.code === 'batch_not_allowed') return 400;
  return form === 'application/json' ? 200 : 400;
};

export const sendRefusal = (
  request: FastifyRequest,
  reply: FastifyReply,
  {
    fault,
    errors,
    form,
    mustFail,
  }: {
    readonly fault: AppError;
    readonly errors: readonly GraphQLFormattedError[];
    readonly form: FinishedForm;
    /** A client of event streams takes a 200 that is none for a fault of its own. */
    readonly mustFail: boolean;
  },
): FastifyReply => {
  request.errorCode = fault.code;
  return sendText(reply, { json: JSON.stringify({ errors }), form, status: statusOf(fault, form, mustFail) });
};

const ORDER: readonly CacheState[] = ['STALE', 'LIVE', 'STORE', 'MISS', 'HIT'];

/** A response as one answer: as old as the oldest of what it is made of, and fresh as long as all of it is. */
export const asServedAnswer = ({ json, used }: Executed): ServedAnswer => {
  const body = Buffer.from(json);
  const states = new Set(used.map(({ cache }) => cache));
  return {
    body,
    etag: etagOf(body),
    cache: ORDER.find((state) => states.has(state)) ?? 'MISS',
    receivedAt: Math.min(...used.map(({ receivedAt }) => receivedAt)),
    freshUntil: Math.min(...used.map(({ freshUntil }) => freshUntil)),
    source: dataSourceOf(used, false),
  };
};

/** Sends a response that may be kept, with the headers of a market answer. */
export const sendKept = (
  request: FastifyRequest,
  reply: FastifyReply,
  { answer, at }: { readonly answer: ServedAnswer; readonly at: number },
): FastifyReply => sendAnswer(request, reply, { answer, at, presentation: GRAPHQL_PRESENTATION });
