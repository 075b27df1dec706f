/** GraphQL requests as HTTP carries them (https://graphql.github.io/graphql-over-http/draft/): read, and in which form answered. */
import { z } from 'zod';
import { AppError } from '../../errors.js';
import { readInput } from '../../invalid-input.js';
import type { OperationRequest } from '../../graphql/engine.js';
import { qualityOf } from '../answers/accept.js';

const GRAPHQL_JSON = 'application/graphql-response+json';
const EVENT_STREAM = 'text/event-stream';

/** In which media types a client takes an answer. */
export interface GraphqlForms {
  /** Of a finished answer; null: it takes none. */
  readonly finished: 'application/json' | typeof GRAPHQL_JSON | null;
  /** Results as events are possible. */
  readonly stream: boolean;
  /** … and preferred to a finished answer. */
  readonly streamFirst: boolean;
}

const JSON_FORM: GraphqlForms = { finished: 'application/json', stream: false, streamFirst: false };

const readAccept = (accept: string): GraphqlForms => {
  const [json, graphql, stream] = [
    qualityOf(accept, 'application/json'),
    qualityOf(accept, GRAPHQL_JSON),
    qualityOf(accept, EVENT_STREAM),
  ];
  const place = (type: string): number => {
    const at = accept.toLowerCase().indexOf(type);
    return at < 0 ? Infinity : at;
  };
  const byName = graphql.specificity === 2;
  const finished =
    byName &&
    graphql.q > 0 &&
    (graphql.q > json.q || (graphql.q === json.q && place(GRAPHQL_JSON) < place('application/json')))
      ? GRAPHQL_JSON
      : json.q > 0
        ? 'application/json'
        : graphql.q > 0
          ? GRAPHQL_JSON
          : null;
  const named = stream.specificity === 2 && stream.q > 0;
  const best = Math.max(json.q, graphql.q);
  const before = place(EVENT_STREAM) < Math.min(place('application/json'), place(GRAPHQL_JSON));
  return {
    finished,
    stream: named,
    streamFirst: named && (stream.q > best || (stream.q === best && before)),
  };
};

/** The last header that had to be read: clients of one kind send the same one with every request. */
let last: { readonly accept: string; readonly forms: GraphqlForms } = { accept: '', forms: JSON_FORM };

/** An item of Accept that is bound to another charset than ours is passed over. */
const withoutForeignCharsets = (accept: string): string =>
  accept
    .split(',')
    .filter((item) => !/charset\s*=/i.test(item) || /charset\s*=\s*"?utf-?8"?/i.test(item))
    .join(',');

export const formsFor = (accept: string | undefined): GraphqlForms => {
  if (accept === undefined || accept === '' || accept === '*/*') return JSON_FORM;
  if (accept !== last.accept) last = { accept, forms: readAccept(withoutForeignCharsets(accept)) };
  return last.forms;
};

const text = z.string('must be text').nullish();
const object = z.record(z.string(), z.unknown(), 'must be an object').nullish();
const operationRequest = z.object(
  { query: text, operationName: text, variables: object, extensions: object },
  'must be a JSON object with query',
);

const refused = (parameter: string, reason: string): AppError =>
  new AppError('invalid_request', `${parameter} ${reason}.`, { errors: [{ parameter, reason }] });

/** One operation of a body or a query. Throws `invalid_request`. */
export const readOperation = (given: unknown): OperationRequest => {
  const { query, operationName, variables, extensions } = readInput(operationRequest, given, 'body');
  return {
    query: query ?? undefined,
    operationName: operationName ?? undefined,
    variables: variables ?? undefined,
    extensions: extensions ?? undefined,
  };
};

const parseJson = (text: string, parameter: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw refused(parameter, 'must be JSON');
  }
};

/** The operation in the query of a URL. Throws `invalid_request`. */
export const operationInUrl = (url: string): OperationRequest => {
  const at = url.indexOf('?');
  const search = new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
  const json = (name: string): unknown => {
    const text = search.get(name);
    return text === null || text === '' ? undefined : parseJson(text, name);
  };
  return readOperation({
    query: search.get('query'),
    operationName: search.get('operationName'),
    variables: json('variables'),
    extensions: json('extensions'),
  });
};

/** The operations in a body: one, or the items of a batch. Throws `invalid_request` or `batch_not_allowed`. */
export const operationsInBody = (
  body: unknown,
  maxBatch: number,
): { readonly batch: boolean; readonly items: readonly unknown[] } => {
  if (typeof body !== 'string' || body.trim() === '')
    throw refused('body', 'must be a JSON object with query');
  const given = parseJson(body, 'body');
  if (!Array.isArray(given)) return { batch: false, items: [given] };
  if (given.length > maxBatch || maxBatch === 1)
    throw new AppError(
      'batch_not_allowed',
      `A request may hold at most ${maxBatch} ${maxBatch === 1 ? 'operation' : 'operations'} (GRAPHQL_MAX_BATCH).`,
    );
  if (given.length === 0) throw refused('body', 'must hold an operation');
  return { batch: true, items: given };
};
