/** The scalars beside GraphQL's own. */
import { GraphQLError, GraphQLScalarType, Kind, valueFromASTUntyped } from 'graphql';

/**
 * Milliseconds since the epoch as a JSON number: GraphQL's Int ends in January 1970. As an argument it may be ISO 8601
 * text as well; what it may be exactly is judged with the other parameters.
 */
export const Timestamp = new GraphQLScalarType<string | number, number>({
  name: 'Timestamp',
  description: 'Milliseconds since the epoch, a JSON number; as an argument also ISO 8601 text',
  serialize: Number,
  parseValue(value) {
    if (typeof value === 'number' || typeof value === 'string') return value;
    throw new GraphQLError('Timestamp must be a number of milliseconds or ISO 8601 text.');
  },
  parseLiteral(node) {
    if (node.kind === Kind.INT || node.kind === Kind.FLOAT || node.kind === Kind.STRING) return node.value;
    throw new GraphQLError('Timestamp must be a number of milliseconds or ISO 8601 text.', { nodes: node });
  },
});

export const Json = new GraphQLScalarType<unknown, unknown>({
  name: 'JSON',
  description: 'Any JSON value as it is',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: valueFromASTUntyped,
});
