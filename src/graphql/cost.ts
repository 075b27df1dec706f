/** What an operation costs with the values of its variables, before it is executed: each field pays, wherever it is spread. */
import {
  getArgumentValues,
  getDirectiveValues,
  getNamedType,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  isObjectType,
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLObjectType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { TooComplex } from './faults.js';
import { MAX_LIST_ITEMS } from './limits.js';
import type { Cost } from './schema/costs.js';

export interface Costed {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  /** Coerced. */
  readonly variables: Readonly<Record<string, unknown>>;
}

const fragmentsOf = ({ definitions }: DocumentNode): ReadonlyMap<string, FragmentDefinitionNode> =>
  new Map(
    definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );

/** What operations without variables cost: the same each time. */
const constantCosts = new WeakMap<OperationDefinitionNode, number>();

/** Units, a fraction perhaps. Throws TooComplex for a list argument that is too long, GraphQLError for a bad argument. */
export const costOf = (costed: Costed): number => {
  const { operation } = costed;
  if ((operation.variableDefinitions ?? []).length > 0) return costWith(costed);
  const known = constantCosts.get(operation);
  if (known !== undefined) return known;
  const cost = costWith(costed);
  constantCosts.set(operation, cost);
  return cost;
};

const costWith = ({ schema, document, operation, variables }: Costed): number => {
  const fragments = fragmentsOf(document);
  const roots = new Set([schema.getQueryType(), schema.getSubscriptionType()]);

  const isLeftOut = (node: SelectionNode): boolean =>
    node.directives !== undefined &&
    node.directives.length > 0 &&
    (getDirectiveValues(GraphQLSkipDirective, node, variables)?.['if'] === true ||
      getDirectiveValues(GraphQLIncludeDirective, node, variables)?.['if'] === false);

  const ofSet = ({ selections }: SelectionSetNode, type: GraphQLObjectType): number => {
    let sum = 0;
    for (const selection of selections) {
      if (isLeftOut(selection)) continue;
      if (selection.kind === Kind.FIELD) {
        const field = type.getFields()[selection.name.value];
        if (field === undefined) continue;
        const cost = field.extensions['cost'] as Cost | undefined;
        if (cost !== undefined) {
          const args = getArgumentValues(field, selection, variables);
          for (const value of Object.values(args))
            if (Array.isArray(value) && value.length > MAX_LIST_ITEMS)
              throw new TooComplex({ limit: 'list', found: value.length, allowed: MAX_LIST_ITEMS });
          sum += cost(args);
        } else if (roots.has(type)) sum += 1;
        const inner = getNamedType(field.type);
        if (selection.selectionSet !== undefined && isObjectType(inner))
          sum += ofSet(selection.selectionSet, inner);
      } else {
        const set =
          selection.kind === Kind.INLINE_FRAGMENT
            ? selection.selectionSet
            : fragments.get(selection.name.value)?.selectionSet;
        if (set !== undefined) sum += ofSet(set, type);
      }
    }
    return sum;
  };

  const root =
    operation.operation === OperationTypeNode.SUBSCRIPTION
      ? schema.getSubscriptionType()
      : schema.getQueryType();
  return root === null || root === undefined ? 0 : ofSet(operation.selectionSet, root);
};
