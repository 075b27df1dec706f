/** Queries are checked by the zod schemas of the routes; their faults are reported parameter by parameter. */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { AppError } from '../../errors.js';
import { readInput } from '../../invalid-input.js';

/** Answers leave as finished text; the few that Fastify does serialise were made by us and are not checked again. */
const serializerCompiler = () => (data: unknown) => JSON.stringify(data);

const notInstalled = (): never => {
  throw new Error('addValidation comes before the first route that has a schema.');
};

/** For Fastify's constructor, which otherwise loads ajv and fast-json-stringify: a hundred modules that nothing here uses. */
export const WITHOUT_DEFAULT_COMPILERS = {
  compilersFactory: { buildValidator: notInstalled, buildSerializer: notInstalled },
} as const;

/** Installed on the root instance, before any route. */
export const addValidation = (app: FastifyInstance): void => {
  app.setValidatorCompiler<z.ZodType>(({ schema }) => (data: unknown) => {
    try {
      return { value: readInput(schema, data, 'query') };
    } catch (thrown) {
      return { error: AppError.from(thrown) };
    }
  });
  app.setSerializerCompiler(serializerCompiler);
};
