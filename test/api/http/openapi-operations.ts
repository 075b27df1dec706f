/** The OpenAPI document that a server serves, as a list of its operations. */
import { z } from 'zod';
import type { TestApp } from '../../support/app.js';

const media = z.looseObject({ examples: z.record(z.string(), z.object({ value: z.unknown() })).optional() });
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const operation = z.looseObject({
  operationId: z.string(),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  responses: z.record(
    z.string(),
    z.looseObject({
      headers: z.record(z.string(), z.unknown()).optional(),
      content: z.record(z.string(), media).optional(),
    }),
  ),
});
const document = z.looseObject({
  openapi: z.string(),
  info: z.looseObject({ version: z.string() }),
  paths: z.record(
    z.string(),
    z.strictObject(
      Object.fromEntries(METHODS.map((method) => [method, operation.optional()] as const)) as Record<
        (typeof METHODS)[number],
        z.ZodOptional<typeof operation>
      >,
    ),
  ),
});
type Document = z.infer<typeof document>;

export const openApiOf = async ({ app }: Pick<TestApp, 'app'>): Promise<Document> =>
  document.parse((await app.inject('/openapi.json')).json());
/** By method and path. */
export const operationsOf = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    METHODS.flatMap((method) => {
      const found = methods[method];
      return found === undefined ? [] : [{ path, name: `${method} ${path}`, ...found }];
    }),
  );
const refusal = z.looseObject({ code: z.string(), request_id: z.string() });
/** The codes of all refusals that an operation may answer with, as problems or in UDF's words. */
export const codesOf = ({ responses }: z.infer<typeof operation>): string[] =>
  Object.values(responses)
    .flatMap(({ content }) => Object.values(content ?? {}))
    .flatMap(({ examples }) => Object.values(examples ?? {}))
    .flatMap(({ value }) => refusal.safeParse(value).data?.code ?? []);
