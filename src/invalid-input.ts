/**
 * A client's input as its schema reads it, or what is wrong with it: parameter by parameter, in the same words for a
 * query of HTTP, a message of WebSocket and the arguments of an MCP tool.
 */
import type { z } from 'zod';
import { AppError, type ParameterFault } from './errors.js';

/** Faults named in one answer, and characters of a foreign parameter's name that are repeated. */
const MAX_FAULTS = 16;
const MAX_NAME_LENGTH = 40;

const TYPES: Readonly<Record<string, string>> = {
  string: 'must be text',
  number: 'must be a number',
  int: 'must be a whole number',
  boolean: 'must be true or false',
  object: 'must be an object',
  record: 'must be an object',
  array: 'must be a list',
};

const oneOf = (values: readonly unknown[]): string => {
  const named = values.map(String);
  return named.length === 1 ? `must be ${named.join('')}` : `must be one of ${named.join(', ')}`;
};

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };

/** Names that the object which refused a key does take. */
const namesTakenBy = (schema: unknown): string => {
  const names = Object.keys((schema as z.ZodObject).shape);
  return names.length === 0 ? 'none' : names.join(', ');
};

/** What a schema has no words of its own for. */
const inWords = (issue: z.core.$ZodRawIssue): string => {
  const { input } = issue;
  switch (issue.code) {
    case 'unrecognized_keys':
      return `is not a parameter here; there are ${namesTakenBy(issue.inst)}`;
    case 'invalid_type':
      if (input === undefined) return 'is required';
      return Array.isArray(input) && issue.expected !== 'object'
        ? 'must be given once'
        : (TYPES[issue.expected] ?? 'is not valid');
    case 'invalid_value':
      return input === undefined ? `is required, ${oneOf(issue.values)}` : oneOf(issue.values);
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options) ? oneOf(issue.options) : 'is not valid';
    case 'too_small':
      if (issue.origin === 'string' && Number(issue.minimum) === 1) return 'must not be empty';
      return `must be at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`;
    default:
      return 'is not valid';
  }
};

const shorten = (name: string): string =>
  name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}…` : name;

/** `whole` names the input itself, where it and none of its parts is wrong. */
const faultsOf = (issues: readonly z.core.$ZodIssue[], whole: string): ParameterFault[] => {
  const name = (path: readonly PropertyKey[]): string => shorten(path.map(String).join('.')) || whole;
  return issues
    .flatMap((issue): ParameterFault[] =>
      issue.code === 'unrecognized_keys'
        ? issue.keys
            .slice(0, MAX_FAULTS)
            .map((key) => ({ parameter: name([...issue.path, key]), reason: issue.message }))
        : [{ parameter: name(issue.path), reason: issue.message }],
    )
    .slice(0, MAX_FAULTS);
};

/** The input as `schema` reads it. Throws `invalid_request`, which names every fault; `whole` as in "the query". */
export const readInput = <T extends z.ZodType>(schema: T, input: unknown, whole: string): z.output<T> => {
  const parsed = schema.safeParse(input, { error: inWords });
  if (parsed.success) return parsed.data;
  const errors = faultsOf(parsed.error.issues, whole);
  const detail = errors.map(({ parameter, reason }) => `${parameter} ${reason}`).join('; ');
  throw new AppError('invalid_request', `${detail}.`, { errors });
};
