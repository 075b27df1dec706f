/** A zod schema as the SDK takes it: advertised to clients and converted once a process; the tools check arguments. */
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import type { z } from 'zod';

/**
 * The keywords that every function-calling interface, grammar compiler and validator accepts. All others are left out:
 * regular expressions that Python or RE2 refuse, references, annotations. The server still checks all rules.
 */
const KEPT: ReadonlySet<string> = new Set([
  ...['type', 'description', 'properties', 'required', 'additionalProperties', 'items', 'enum', 'const'],
  ...['default', 'minimum', 'maximum', 'maxLength', 'anyOf'],
]);
/** Members that hold schemas. */
const NESTED: ReadonlySet<string> = new Set(['items', 'anyOf', 'additionalProperties']);
const DEFINITION = '#/$defs/';

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Bounds of every safe integer, which add no information. */
const saysNothing = (name: string, value: unknown): boolean =>
  value === undefined ||
  (['minimum', 'maximum'].includes(name) && Math.abs(Number(value)) >= Number.MAX_SAFE_INTEGER);

/** `schema` reduced to the keywords of KEPT, with references replaced by what they refer to. */
const plain = (schema: unknown, definitions: Json): unknown => {
  if (Array.isArray(schema)) return schema.map((one) => plain(one, definitions));
  if (!isObject(schema)) return schema;
  const { $ref: reference, 'x-default': fallback } = schema;
  if (typeof reference === 'string' && reference.startsWith(DEFINITION))
    return plain({ ...schema, $ref: undefined, ...definitionOf(reference, definitions) }, definitions);
  const entries = Object.entries(schema)
    .filter(([name, value]) => KEPT.has(name) && !saysNothing(name, value))
    .map(([name, value]): [string, unknown] => {
      if (name === 'properties' && isObject(value))
        return [
          name,
          Object.fromEntries(Object.entries(value).map(([key, of]) => [key, plain(of, definitions)])),
        ];
      return [name, NESTED.has(name) ? plain(value, definitions) : value];
    });
  return Object.fromEntries(fallback === undefined ? entries : [...entries, ['default', fallback]]);
};

const definitionOf = (reference: string, definitions: Json): Json => {
  const found = definitions[reference.slice(DEFINITION.length)];
  return isObject(found) ? found : {};
};

/** The reduced JSON Schema of an object. */
const plainSchema = (json: Json): Record<string, unknown> => {
  const definitions = isObject(json['$defs']) ? json['$defs'] : {};
  const made = plain(json, definitions);
  return isObject(made) ? { ...made } : {};
};

/**
 * The SDK builds a server for every HTTP request, and would convert and check with each. Arguments are checked by the
 * tool, so that a refusal has our code and advice; answers were checked where the venue's data came in.
 */
export const advertise = (schema: z.ZodType, io: 'input' | 'output'): StandardSchemaWithJSON => {
  const json = plainSchema(schema['~standard'].jsonSchema[io]({ target: 'draft-2020-12' }));
  return {
    '~standard': {
      version: 1,
      vendor: 'mcp-crypto-data-server',
      validate: (value) => ({ value }),
      jsonSchema: { input: () => json, output: () => json },
    },
  };
};
