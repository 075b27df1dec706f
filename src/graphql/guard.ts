/**
 * Limits a parsed document before graphql-js validates it: some of its rules take time that grows with the square of the
 * fields. One walk over every node: what a fragment holds is summed up once and added wherever it is spread, so that the
 * work is linear in the document however large its expansion.
 */
import {
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import {
  INTROSPECTION_LIMITS,
  MAX_DIRECTIVES,
  MAX_FRAGMENT_USES,
  MAX_FRAGMENTS,
  MAX_INTROSPECTION_LISTS,
  MAX_INTROSPECTION_LISTS_IN_ALL,
  type GraphqlLimits,
} from './limits.js';

/** What the guard counts; also the label under which refusals are counted. */
export type GuardLimit =
  | 'depth'
  | 'fields'
  | 'aliases'
  | 'fragments'
  | 'fragment_uses'
  | 'directives'
  | 'introspection_lists'
  | 'introspection_lists_in_all';

export interface GuardFault {
  readonly limit: GuardLimit;
  readonly found: number;
  readonly allowed: number;
}

/** Everything is counted as expanded, and never beyond this. */
const SATURATED = 1_000_000;

/** What a selection set holds, with all that its fragments stand for. */
interface Sum {
  fields: number;
  aliases: number;
  uses: number;
  directives: number;
  /** Of the deepest field. */
  depth: number;
  /** Of the schema's lists that lead to types, within one another. */
  nestedLists: number;
  /** Of the schema's lists. */
  schemaLists: number;
}

const empty = (): Sum => ({
  ...{ fields: 0, aliases: 0, uses: 0, directives: 0, depth: 0 },
  ...{ nestedLists: 0, schemaLists: 0 },
});

/** `within`: 1 where the part is one field deeper, and where that field is a list of the schema. */
const add = (sum: Sum, part: Sum, within = { depth: 0, nestedLists: 0 }): void => {
  sum.fields = Math.min(SATURATED, sum.fields + part.fields);
  sum.aliases = Math.min(SATURATED, sum.aliases + part.aliases);
  sum.uses = Math.min(SATURATED, sum.uses + part.uses);
  sum.directives = Math.min(SATURATED, sum.directives + part.directives);
  sum.depth = Math.max(sum.depth, part.depth + within.depth);
  sum.nestedLists = Math.max(sum.nestedLists, part.nestedLists + within.nestedLists);
  sum.schemaLists = Math.min(SATURATED, sum.schemaLists + part.schemaLists);
};

/** Fields of a type in the schema that are lists of types, or of what leads to types. */
const LEAD_TO_TYPES: ReadonlySet<string> = new Set(['fields', 'interfaces', 'possibleTypes', 'inputFields']);
/** All lists of introspection. */
const SCHEMA_LISTS: ReadonlySet<string> = new Set([
  ...LEAD_TO_TYPES,
  ...['types', 'directives', 'args', 'enumValues', 'locations'],
]);

class Walk {
  readonly #fragments = new Map<string, FragmentDefinitionNode>();
  readonly #sums = new Map<string, Sum>();
  /** Counts of the document as written, unexpanded: each node is visited once. */
  readonly written = empty();

  constructor(fragments: readonly FragmentDefinitionNode[]) {
    for (const fragment of fragments) this.#fragments.set(fragment.name.value, fragment);
  }

  sumOf(set: SelectionSetNode): Sum {
    const sum = empty();
    for (const selection of set.selections) {
      sum.directives = Math.min(SATURATED, sum.directives + (selection.directives?.length ?? 0));
      switch (selection.kind) {
        case Kind.FIELD: {
          sum.fields = Math.min(SATURATED, sum.fields + 1);
          this.written.fields += 1;
          if (selection.alias !== undefined) sum.aliases = Math.min(SATURATED, sum.aliases + 1);
          sum.depth = Math.max(sum.depth, 1);
          if (SCHEMA_LISTS.has(selection.name.value))
            sum.schemaLists = Math.min(SATURATED, sum.schemaLists + 1);
          const nestedLists = LEAD_TO_TYPES.has(selection.name.value) ? 1 : 0;
          sum.nestedLists = Math.max(sum.nestedLists, nestedLists);
          if (selection.selectionSet !== undefined)
            add(sum, this.sumOf(selection.selectionSet), { depth: 1, nestedLists });
          break;
        }
        case Kind.INLINE_FRAGMENT:
          sum.uses = Math.min(SATURATED, sum.uses + 1);
          add(sum, this.sumOf(selection.selectionSet));
          break;
        case Kind.FRAGMENT_SPREAD:
          sum.uses = Math.min(SATURATED, sum.uses + 1);
          add(sum, this.fragment(selection.name.value));
      }
    }
    return sum;
  }

  /** A fragment that spreads itself adds nothing there: validation refuses it. */
  fragment(name: string): Sum {
    const known = this.#sums.get(name);
    if (known !== undefined) return known;
    const definition = this.#fragments.get(name);
    if (definition === undefined) return empty();
    this.#sums.set(name, empty());
    const sum = this.sumOf(definition.selectionSet);
    sum.directives = Math.min(SATURATED, sum.directives + (definition.directives?.length ?? 0));
    this.#sums.set(name, sum);
    return sum;
  }
}

const isSchemaField = (name: string): boolean =>
  name === '__schema' || name === '__type' || name === '__typename';

/** Asks for nothing but the schema, without a spread at its root. */
const isIntrospection = ({ operation, selectionSet }: OperationDefinitionNode): boolean =>
  operation === OperationTypeNode.QUERY &&
  selectionSet.selections.every(
    (selection) => selection.kind === Kind.FIELD && isSchemaField(selection.name.value),
  ) &&
  selectionSet.selections.some(
    (selection) => selection.kind === Kind.FIELD && selection.name.value !== '__typename',
  );

/** Whether the whole document asks for nothing but the schema. */
export const isIntrospectionOnly = ({ definitions }: DocumentNode): boolean => {
  const operations = definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  return operations.length > 0 && operations.every(isIntrospection);
};

/** The first limit that the document exceeds; null: none. */
export const guard = (
  document: DocumentNode,
  limits: Pick<GraphqlLimits, 'depth' | 'fields' | 'aliases'>,
): GuardFault | null => {
  const operations: OperationDefinitionNode[] = [];
  const fragments: FragmentDefinitionNode[] = [];
  for (const definition of document.definitions)
    if (definition.kind === Kind.OPERATION_DEFINITION) operations.push(definition);
    else if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.push(definition);
  if (fragments.length > MAX_FRAGMENTS)
    return { limit: 'fragments', found: fragments.length, allowed: MAX_FRAGMENTS };

  const walk = new Walk(fragments);
  const whole = empty();
  for (const operation of operations) {
    add(whole, walk.sumOf(operation.selectionSet));
    const onVariables = (operation.variableDefinitions ?? []).reduce(
      (sum, { directives }) => sum + (directives?.length ?? 0),
      0,
    );
    whole.directives = Math.min(
      SATURATED,
      whole.directives + (operation.directives?.length ?? 0) + onVariables,
    );
  }
  // Validation visits unused fragments too: each is limited like an operation, and all nodes together.
  const parts = [whole, walk.written, ...fragments.map(({ name }) => walk.fragment(name.value))];

  const { depth, fields, aliases } = isIntrospectionOnly(document) ? INTROSPECTION_LIMITS : limits;
  const bounds: readonly (readonly [GuardLimit, keyof Sum, number])[] = [
    ['depth', 'depth', depth],
    ['fields', 'fields', fields],
    ['aliases', 'aliases', aliases],
    ['fragment_uses', 'uses', MAX_FRAGMENT_USES],
    ['directives', 'directives', MAX_DIRECTIVES],
    ['introspection_lists', 'nestedLists', MAX_INTROSPECTION_LISTS],
    ['introspection_lists_in_all', 'schemaLists', MAX_INTROSPECTION_LISTS_IN_ALL],
  ];
  for (const [limit, key, allowed] of bounds) {
    const found = Math.max(...parts.map((part) => part[key]));
    if (found > allowed) return { limit, found, allowed };
  }
  return null;
};
