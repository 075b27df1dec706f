/** A client's input that a schema refused, as the error that says which parameter and why. */
import type { z } from 'zod';
import { AppError } from '../../errors.js';

/** `detail` is the error's message; each of zod's issues becomes one entry of `errors`. */
export const invalidInput = ({ issues }: z.ZodError, detail: string): AppError =>
  new AppError('invalid_request', detail, {
    errors: issues.map(({ path, message }) => ({ parameter: path.map(String).join('.'), reason: message })),
  });

/** The input as the schema reads it. Throws `invalid_request`. */
export const readInput = <T extends z.ZodType>(schema: T, input: unknown): z.output<T> => {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues
    .map(({ path }) => path.map(String).join('.'))
    .filter((name) => name !== '');
  const detail = names.length === 0 ? 'A parameter is not known here.' : `Not valid: ${names.join(', ')}.`;
  throw invalidInput(parsed.error, detail);
};
