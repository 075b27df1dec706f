/** Queries are checked by the zod schemas of the routes; their faults are reported parameter by parameter. */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { AppError } from '../../errors.js';
import { readInput } from '../../invalid-input.js';

/** Answers leave as finished text; the few that Fastify does serialise were made by us and are not checked again. */
const serializerCompiler = () => (data: unknown) => JSON.stringify(data);

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
