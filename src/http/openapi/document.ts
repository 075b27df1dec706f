/**
 * The OpenAPI document: paths and schemas from the routes' own zod schemas, completed with headers, errors and
 * examples. Made by the build, with an instance of Fastify that never listens.
 */
import Fastify, { type RouteOptions } from 'fastify';
import { z } from 'zod';
import type { ErrorCode } from '../../errors.js';
import type { AuthMode } from '../../schemas/access.js';
import { problem } from '../../schemas/problem.js';
import { udfError } from '../../schemas/udf.js';
import { CSV_EXAMPLE, EXAMPLES } from './examples.js';
import {
  COMMON_HEADERS,
  CSV_HEADERS,
  limitHeaders,
  marketHeaders,
  negotiatedHeaders,
  RETRY_AFTER,
} from './headers.js';
import { problemResponses, type ErrorForm } from './problem-responses.js';
import { accessOf, securitySchemes, type OperationAccess, type SecuredOperation } from './security.js';

declare module 'fastify' {
  interface FastifySchema {
    /** The answer's model. Not Fastify's `response`: answers leave as finished bytes, unchecked and unserialised. */
    'x-answer'?: z.ZodType;
    /** The same answer as text/csv. */
    'x-csv'?: z.ZodType;
    /** Content type of the answer, where it is not JSON. */
    'x-answer-type'?: string;
    /** In which words it refuses; default: problems. */
    'x-error-form'?: ErrorForm;
    /** Codes of the errors that this operation may answer with, besides those that any may. */
    'x-errors'?: readonly ErrorCode[];
    /** Further answers of its own, by status, that are no problems. */
    'x-responses'?: Readonly<Record<number, z.ZodType>>;
    /** It answers with a market's data: the headers of freshness and origin, and 304. */
    'x-market-answer'?: boolean;
  }
}

export interface DocumentedRoute
  extends
    Pick<RouteOptions, 'method' | 'url' | 'schema'>,
    Pick<SecuredOperation, 'takesTicket' | 'quotaFree'> {
  /** Neither limits nor negotiation nor a shutdown refuse it. */
  readonly unlimited: boolean;
}

const TAGS = [
  { name: 'markets', description: 'Tickers, candles, order books and trades, and what can be asked for' },
  { name: 'ledger', description: 'Candles that stay: what is known, what was corrected, exports, backfills' },
  {
    name: 'charts',
    description:
      "UDF of TradingView's libraries, and OpenBB Workspace; 404 with UDF=false. Refusals are UDF's own",
  },
  { name: 'streams', description: 'Live data; /asyncapi.json describes the events' },
  { name: 'access', description: 'Who asks, what it may, and tickets; 404 where AUTH_MODE=off' },
  { name: 'admin', description: 'Keys, plans, usage and the audit; 404 without ADMIN_API=true' },
  { name: 'health', description: 'Is the server alive, and can it do its work' },
];

const DESCRIPTION = `Normalized crypto market data from any CCXT exchange, read-only. Every answer tells its source
and age; every error is a problem with a stable \`code\`, explained at [docs/errors](docs/errors).`;

/** The parts of @fastify/swagger's document that are completed here. */
const response = z.looseObject({
  description: z.string(),
  content: z.record(z.string(), z.looseObject({})).optional(),
});
const parameter = z.looseObject({
  schema: z.looseObject({ type: z.union([z.string(), z.array(z.string())]).optional() }).optional(),
});
const operation = z.looseObject({
  operationId: z.string().optional(),
  summary: z.string().optional(),
  parameters: z.array(parameter).optional(),
  'x-errors': z.array(z.string()).optional(),
  'x-market-answer': z.boolean().optional(),
  responses: z.record(z.string(), response),
});
const generated = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
type Operation = z.infer<typeof operation>;

/** Relative to the document: below the path prefix of a proxy, if there is one. */
const SERVER = { url: '.', description: 'This server' };

const NOT_MODIFIED = 'The answer is the one that If-None-Match names';

/** Numbers arrive as text, whose pattern says nothing to those who read of a number. */
const numeric = ({ schema = {}, ...rest }: z.infer<typeof parameter>) => {
  if (schema.type !== 'integer' && schema.type !== 'number') return { ...rest, schema };
  const { 'x-default': fallback } = schema;
  return { ...rest, schema: { ...schema, default: fallback, 'x-default': undefined, pattern: undefined } };
};

interface OperationFacts {
  readonly path: string;
  readonly codes: readonly ErrorCode[];
  readonly unlimited: boolean;
  readonly form: ErrorForm;
  readonly access: OperationAccess;
  readonly mode: AuthMode;
}

const completed = (
  op: Operation,
  { path, codes, unlimited, form, access, mode }: OperationFacts,
): Record<string, unknown> => {
  const { 'x-market-answer': isMarket = false, responses, parameters } = op;
  const types = Object.values(responses).flatMap(({ content }) => Object.keys(content ?? {}));
  const csvHeaders = isMarket ? negotiatedHeaders(mode) : CSV_HEADERS;
  const headers = {
    ...COMMON_HEADERS,
    ...(unlimited ? {} : limitHeaders(mode)),
    ...(isMarket ? marketHeaders(mode) : {}),
    ...(types.includes('text/csv') ? csvHeaders : {}),
  };
  const id = op.operationId ?? '';
  const answers = Object.entries(responses).map(([status, { content, ...answer }]) => {
    const json = EXAMPLES[`${id} ${status}`] ?? EXAMPLES[id];
    const media = Object.entries(content ?? {}).map(([type, body]) => {
      const example = type === 'text/csv' ? CSV_EXAMPLE : json;
      const examples = example === undefined ? {} : { examples: { answer: { value: example } } };
      return [type, { ...body, ...examples }] as const;
    });
    return [
      status,
      {
        ...answer,
        description: op.summary ?? 'The answer',
        headers: status === '503' ? { ...headers, ...RETRY_AFTER } : headers,
        ...(content === undefined ? {} : { content: Object.fromEntries(media) }),
      },
    ];
  });
  // What is undefined is not written.
  return {
    ...op,
    'x-errors': undefined,
    'x-error-form': undefined,
    'x-market-answer': undefined,
    security: access.security,
    parameters: parameters?.map(numeric),
    responses: {
      ...Object.fromEntries(answers),
      ...(isMarket ? { 304: { description: NOT_MODIFIED, headers } } : {}),
      ...problemResponses(access.errorsOf(codes), { url: path, unlimited, form, mode, scope: access.scope }),
    },
  };
};

/** Components that are referred to, directly or through others; the registry holds those of every document. */
const usedSchemas = (paths: unknown, schemas: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const used = new Set<string>();
  const follow = (value: unknown): void => {
    for (const [, name = ''] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name) || !Object.hasOwn(schemas, name)) continue;
      used.add(name);
      follow(schemas[name]);
    }
  };
  follow(paths);
  return Object.fromEntries([...used].sort().map((name) => [name, schemas[name]]));
};

export interface OpenApiOptions {
  readonly version: string;
  /** Of the servers that it describes. */
  readonly mode: AuthMode;
}

/** The document as JSON text. `routes`: what was registered; hidden ones are left out. */
export const buildOpenApiDocument = async (
  routes: readonly DocumentedRoute[],
  { version, mode }: OpenApiOptions,
): Promise<string> => {
  const [{ default: swagger }, provider] = await Promise.all([
    import('@fastify/swagger'),
    import('fastify-type-provider-zod'),
  ]);
  const app = Fastify({ logger: false });
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'mcp-crypto-data-server',
        version,
        description: DESCRIPTION,
        license: { name: 'MIT', url: 'https://spdx.org/licenses/MIT.html' },
      },
      security: [],
      tags: TAGS,
    },
    transform: provider.jsonSchemaTransform,
    transformObject: provider.jsonSchemaTransformObject,
    convertConstToEnum: false,
  });
  const shown = routes.filter(({ schema }) => schema !== undefined && schema.hide !== true);
  for (const { method, url, schema = {} } of shown) {
    const { 'x-answer': answer, 'x-csv': csv, 'x-responses': others, ...another } = schema;
    const { 'x-answer-type': type = 'application/json', ...rest } = another;
    const forms =
      csv === undefined && type === 'application/json'
        ? answer
        : {
            content: {
              [type]: { schema: answer },
              ...(csv === undefined ? {} : { 'text/csv': { schema: csv } }),
            },
          };
    const answers = { ...(forms === undefined ? {} : { 200: forms }), ...others };
    const described = Object.keys(answers).length === 0 ? rest : { ...rest, response: answers };
    app.route({ method, url, schema: described, exposeHeadRoute: false, handler: () => '' });
  }
  await app.ready();
  const document = generated.parse(JSON.parse(JSON.stringify(app.swagger())));
  await app.close();

  const factsOf = new Map(
    shown.map((route): [string, OperationFacts] => {
      const { method, url, schema, unlimited } = route;
      const path = url.replace(/:(\w+)/g, '{$1}');
      const access = accessOf({ ...route, method: String(method) }, mode);
      const { 'x-errors': codes = [], 'x-error-form': form = 'problem' } = schema ?? {};
      return [`${String(method).toLowerCase()} ${path}`, { path, codes, unlimited, form, access, mode }];
    }),
  );
  const paths = Object.fromEntries(
    Object.entries(document.paths).map(([path, methods]) => [
      path,
      Object.fromEntries(
        Object.entries(methods).map(([method, op]) => {
          const facts = factsOf.get(`${method} ${path}`);
          if (facts === undefined) throw new Error(`There is no route ${method} ${path}.`);
          return [method, completed(op, facts)];
        }),
      ),
    ]),
  );
  const refusals = {
    Problem: z.toJSONSchema(problem, { target: 'draft-2020-12' }),
    UdfError: z.toJSONSchema(udfError, { target: 'draft-2020-12' }),
  };
  const schemas = usedSchemas(paths, { ...refusals, ...document.components.schemas });
  const components = { schemas, securitySchemes: securitySchemes(mode) };
  return JSON.stringify({ ...document, servers: [SERVER], paths, components });
};
