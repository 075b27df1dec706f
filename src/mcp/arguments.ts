/**
 * The arguments of a tool call as models and gateways send them. They are turned into the text that a URL's query would
 * carry and read by the schema of that query: the same bounds and the same words as over HTTP. null is an argument that
 * is not there; what a tool does not know is left out, and named in its answer.
 */
import type { z } from 'zod';
import { readInput } from '../invalid-input.js';

const MAX_NAMED = 5;
const MAX_NAME_LENGTH = 40;

const asText = (value: unknown): unknown =>
  typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export interface ReadArguments<T> {
  readonly args: T;
  /** Arguments that the tool does not have. */
  readonly ignored: readonly string[];
}

/** `args` as they came. Throws `invalid_request`, which names every fault. */
export const readArguments = <T extends z.ZodObject>(
  schema: T,
  args: unknown,
): ReadArguments<z.output<T>> => {
  const given = isObject(args) ? Object.entries(args) : [];
  const known = given.filter(([name]) => Object.hasOwn(schema.shape, name));
  const present = known.filter(([, value]) => value !== null && value !== undefined);
  const texts = Object.fromEntries(present.map(([name, value]) => [name, asText(value)]));
  const ignored = given.map(([name]) => name).filter((name) => !Object.hasOwn(schema.shape, name));
  // Neither a list nor a text is a set of arguments; no arguments at all are an empty one.
  const input = args === undefined || args === null || isObject(args) ? texts : args;
  return { args: readInput(schema, input, 'arguments'), ignored };
};

/** One line for the reader of an answer; null where nothing was left out. */
export const ignoredText = (ignored: readonly string[], schema: z.ZodObject): string | null => {
  if (ignored.length === 0) return null;
  const named = ignored.slice(0, MAX_NAMED).map((name) => name.slice(0, MAX_NAME_LENGTH));
  const known = Object.keys(schema.shape).join(', ');
  return `Ignored, not an argument of this tool: ${named.join(', ')}. There are: ${known === '' ? 'none' : known}.`;
};
