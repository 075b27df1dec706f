/**
 * GraphQL's output types from the zod schemas of REST, by way of their JSON Schema: whatever is added there appears here.
 * Names become camelCase; a schema's `id` names its type.
 */
import { z } from 'zod';
import {
  GraphQLBoolean,
  GraphQLFloat,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
  type GraphQLFieldConfig,
  type GraphQLFieldConfigMap,
  type GraphQLOutputType,
} from 'graphql';
import { timestamp } from '../../schemas/common.js';
import { Json, Timestamp } from './scalars.js';

/** What is read of JSON Schema; zod makes no more of it here. */
const jsonSchema = z.looseObject({
  type: z.union([z.string(), z.array(z.string())]).optional(),
  $ref: z.string().optional(),
  $defs: z.record(z.string(), z.unknown()).optional(),
  description: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
  items: z.unknown().optional(),
  anyOf: z.array(z.unknown()).optional(),
  maximum: z.number().optional(),
  'x-scalar': z.string().optional(),
});
type Schema = z.infer<typeof jsonSchema>;

const MAX_INT = 2 ** 31 - 1;

/** `trade_id` → `tradeId`. */
export const camelCase = (name: string): string =>
  name.replace(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/** Marks the instants, which JSON Schema shows as any whole number. */
const toJsonSchema = (schema: z.ZodType): Schema =>
  jsonSchema.parse(
    z.toJSONSchema(schema, {
      io: 'output',
      unrepresentable: 'any',
      override({ zodSchema, jsonSchema: made }) {
        if (zodSchema === timestamp || zodSchema._zod.parent === timestamp) made['x-scalar'] = 'Timestamp';
      },
    }),
  );

export interface ObjectOptions {
  readonly name: string;
  readonly schema: z.ZodObject;
  /** Members of the schema that are left out. */
  readonly without?: readonly string[];
  /** Fields beside those of the schema. */
  readonly more?: GraphQLFieldConfigMap<unknown, unknown>;
}

type Source = Readonly<Record<string, unknown>>;

export class TypesFromZod {
  readonly #objects = new Map<string, GraphQLObjectType>();

  /** The type of a schema; of an answer with `meta` and the like beside its own members. */
  object({ name, schema, without = [], more = {} }: ObjectOptions): GraphQLObjectType {
    const root = toJsonSchema(schema);
    const { $defs = {} } = root;
    const definitions = new Map(Object.entries($defs).map(([id, each]) => [id, jsonSchema.parse(each)]));
    // A schema with an id is a reference to itself.
    const parsed = definitions.get(root.$ref?.split('/').at(-1) ?? '') ?? root;
    const fields = this.#fields(name, parsed, definitions);
    for (const member of without) Reflect.deleteProperty(fields, camelCase(member));
    return this.#named(name, parsed.description, { ...fields, ...more });
  }

  #named(
    name: string,
    description: string | undefined,
    fields: GraphQLFieldConfigMap<unknown, unknown>,
  ): GraphQLObjectType {
    const type = new GraphQLObjectType({ name, description, fields });
    this.#objects.set(name, type);
    return type;
  }

  #fields(
    owner: string,
    { properties = {}, required = [] }: Schema,
    definitions: ReadonlyMap<string, Schema>,
  ): GraphQLFieldConfigMap<unknown, unknown> {
    const fields: Record<string, GraphQLFieldConfig<unknown, unknown>> = {};
    for (const [member, raw] of Object.entries(properties)) {
      const name = camelCase(member);
      const schema = jsonSchema.parse(raw);
      const type = this.#type(`${owner}${capital(name)}`, schema, definitions);
      const optional = !required.includes(member) && type instanceof GraphQLNonNull;
      fields[name] = {
        type: optional ? (type.ofType as GraphQLOutputType) : type,
        description: schema.description,
        ...(name === member ? {} : { resolve: (source) => (source as Source)[member] }),
      };
    }
    return fields;
  }

  /** Not null unless the schema says so; `name` for an object that has none of its own. */
  #type(name: string, schema: Schema, definitions: ReadonlyMap<string, Schema>): GraphQLOutputType {
    const { anyOf, $ref } = schema;
    const options = Array.isArray(schema.type)
      ? schema.type.map((type) => ({ ...schema, type }))
      : anyOf?.map((option) => jsonSchema.parse(option));
    if (options !== undefined) {
      const others = options.filter(({ type }) => type !== 'null');
      const [only] = others;
      if (only === undefined || others.length > 1) return Json;
      const type = this.#type(name, only, definitions);
      return others.length < options.length && type instanceof GraphQLNonNull
        ? (type.ofType as GraphQLOutputType)
        : type;
    }
    if ($ref !== undefined) return new GraphQLNonNull(this.#reference($ref, definitions));
    const type = this.#plainType(name, schema, definitions);
    // What may be anything may be null.
    return type === Json ? type : new GraphQLNonNull(type);
  }

  #reference(
    $ref: string,
    definitions: ReadonlyMap<string, Schema>,
  ): GraphQLObjectType | typeof GraphQLString {
    const id = $ref.split('/').at(-1) ?? '';
    const definition = definitions.get(id);
    if (definition === undefined) throw new Error(`There is no schema called ${id}.`);
    if (definition.type === 'string') return GraphQLString;
    return (
      this.#objects.get(id) ??
      this.#named(id, definition.description, this.#fields(id, definition, definitions))
    );
  }

  #plainType(name: string, schema: Schema, definitions: ReadonlyMap<string, Schema>) {
    if (schema['x-scalar'] !== undefined) return Timestamp;
    switch (schema.type) {
      case 'string':
        return GraphQLString;
      case 'boolean':
        return GraphQLBoolean;
      case 'number':
        return GraphQLFloat;
      case 'integer':
        return schema.maximum !== undefined && schema.maximum <= MAX_INT ? GraphQLInt : GraphQLFloat;
      case 'array':
        return new GraphQLList(this.#type(name, jsonSchema.parse(schema.items ?? {}), definitions));
      case 'object':
        return schema.properties === undefined
          ? Json
          : (this.#objects.get(name) ??
              this.#named(name, schema.description, this.#fields(name, schema, definitions)));
      default:
        return Json;
    }
  }
}
