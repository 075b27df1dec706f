/** Queries are checked by the zod schemas of the routes; what is wrong with them is told parameter by parameter. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AppError, type ParameterFault } from '../errors.js';

/** Faults named in one answer, and characters of a foreign parameter's name that are repeated. */
const MAX_FAULTS = 16;
const MAX_NAME_LENGTH = 40;

const shorten = (name: string): string =>
  name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}…` : name;

const isRepeated = (query: unknown, name: string): boolean =>
  typeof query === 'object' && query !== null && Array.isArray(new Map(Object.entries(query)).get(name));

/** What is wrong with `query`, by zod's issues. `known`: the parameters that the endpoint takes. */
export const faultsOf = (
  issues: readonly z.core.$ZodIssue[],
  query: unknown,
  known: readonly string[],
): ParameterFault[] =>
  issues
    .flatMap((issue): ParameterFault[] => {
      if (issue.code === 'unrecognized_keys') {
        const reason = `is not a parameter here; there are ${known.join(', ')}`;
        return issue.keys.slice(0, MAX_FAULTS).map((key) => ({ parameter: shorten(key), reason }));
      }
      const parameter = shorten(String(issue.path[0] ?? ''));
      return [{ parameter, reason: isRepeated(query, parameter) ? 'must be given once' : issue.message }];
    })
    .slice(0, MAX_FAULTS);

const refusal = (faults: readonly ParameterFault[]): AppError => {
  const detail = faults.map(({ parameter, reason }) => `${parameter} ${reason}`.trim()).join('; ');
  return new AppError('invalid_request', `${detail}.`, { errors: faults });
};

/** Answers leave as finished text; the few that Fastify does serialise were made by us and are not checked again. */
const serializerCompiler = () => (data: unknown) => JSON.stringify(data);

/** Installed on the root instance, before any route. */
export const addValidation = (app: FastifyInstance): void => {
  app.setValidatorCompiler<z.ZodType>(({ schema }) => {
    const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
    return (data: unknown) => {
      const result = schema.safeParse(data);
      return result.success
        ? { value: result.data }
        : { error: refusal(faultsOf(result.error.issues, data, known)) };
    };
  });
  app.setSerializerCompiler(serializerCompiler);
};
