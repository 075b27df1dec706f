/**
 * From a document's text to what can be executed: parsed, guarded, validated, in this order, and remembered with what came
 * of it, faults too, so that a text that is sent again and again is worked on once.
 */
import { createHash } from 'node:crypto';
import {
  GraphQLError,
  Kind,
  OperationTypeNode,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  type DirectiveNode,
  type DocumentNode,
  type FragmentSpreadNode,
  type GraphQLSchema,
  type InlineFragmentNode,
  type SelectionSetNode,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.js';
import { formatDocumentErrors, refuse, Refusal, TooComplex, type LimitName } from './faults.js';
import { guard, isIntrospectionOnly } from './guard.js';
import {
  MAX_DOCUMENTS,
  MAX_DOCUMENT_BYTES,
  MAX_DOCUMENT_TEXT,
  MAX_ERRORS,
  MAX_TOKENS,
  type GraphqlLimits,
} from './limits.js';

export interface KnownDocument {
  readonly hash: string;
  readonly document: DocumentNode;
  /** Asks for nothing but the schema: the answer is always the same. */
  readonly introspection: boolean;
}

export interface DocumentsDeps {
  readonly schema: GraphQLSchema;
  readonly limits: GraphqlLimits;
  /** Called with each limit that refuses a document. */
  readonly onRefusal: (limit: LimitName) => void;
  /** Default: graphql-js's own; tests count the calls. */
  readonly validate?: typeof validate | undefined;
}

export interface Documents {
  /** Throws a Refusal, and `payload_too_large` for a text that is too long. */
  read(text: string, options: { readonly introspection: boolean }): KnownDocument;
  size(): number;
}

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * What skips or includes the field of a subscription: which stream is meant would depend on variables, and the rule of
 * graphql-js that looks for a single field throws where it needs their values. Null: nothing does.
 */
const conditionalStream = ({ definitions }: DocumentNode): DirectiveNode | null => {
  const seen = new Set<string>();
  const inSet = ({ selections }: SelectionSetNode): DirectiveNode | null => {
    for (const selection of selections) {
      const own = selection.directives?.find(({ name }) => name.value === 'skip' || name.value === 'include');
      if (own !== undefined) return own;
      const found = selection.kind === Kind.FIELD ? null : inFragment(selection);
      if (found !== null) return found;
    }
    return null;
  };
  const inFragment = (use: InlineFragmentNode | FragmentSpreadNode): DirectiveNode | null => {
    if (use.kind === Kind.INLINE_FRAGMENT) return inSet(use.selectionSet);
    const name = use.name.value;
    if (seen.has(name)) return null;
    seen.add(name);
    for (const definition of definitions)
      if (definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name)
        return inSet(definition.selectionSet);
    return null;
  };
  for (const definition of definitions)
    if (
      definition.kind === Kind.OPERATION_DEFINITION &&
      definition.operation === OperationTypeNode.SUBSCRIPTION
    ) {
      const found = inSet(definition.selectionSet);
      if (found !== null) return found;
    }
  return null;
};

const TOO_MANY_TOKENS = /more tha[nt] \d+ tokens/;

export const createDocuments = (deps: DocumentsDeps): Documents => {
  const { schema, limits, onRefusal } = deps;
  const validated = deps.validate ?? validate;
  const known = new LRUCache<string, KnownDocument | Refusal>({
    max: MAX_DOCUMENTS,
    maxSize: MAX_DOCUMENT_TEXT,
  });

  const parsed = (text: string): DocumentNode => {
    try {
      return parse(text, { maxTokens: MAX_TOKENS });
    } catch (thrown) {
      if (!(thrown instanceof GraphQLError)) throw thrown;
      if (TOO_MANY_TOKENS.test(thrown.message)) onRefusal('tokens');
      throw formatDocumentErrors([thrown], 'graphql_parse_failed');
    }
  };

  const make = (hash: string, text: string, introspection: boolean): KnownDocument => {
    const document = parsed(text);
    const fault = guard(document, limits);
    if (fault !== null) throw refuse(new TooComplex(fault));
    if (!document.definitions.some(({ kind }) => kind === Kind.OPERATION_DEFINITION))
      throw formatDocumentErrors(
        [new GraphQLError('The document holds no operation.')],
        'graphql_validation_failed',
      );
    const rules = introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
    const conditional = conditionalStream(document);
    if (conditional !== null)
      throw formatDocumentErrors(
        [
          new GraphQLError('The field of a subscription is neither skipped nor included.', {
            nodes: conditional,
          }),
        ],
        'graphql_validation_failed',
      );
    const errors = validated(schema, document, rules, { maxErrors: MAX_ERRORS });
    if (errors.length > 0) throw formatDocumentErrors(errors, 'graphql_validation_failed', !introspection);
    return { hash, document, introspection: isIntrospectionOnly(document) };
  };

  return {
    read(text, { introspection }) {
      if (text.length > MAX_DOCUMENT_BYTES || Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) {
        onRefusal('bytes');
        throw new AppError('payload_too_large', `A document may have at most ${MAX_DOCUMENT_BYTES} bytes.`);
      }
      const hash = hashOf(text);
      const key = introspection ? hash : `${hash} closed`;
      let found = known.get(key);
      if (found === undefined) {
        try {
          found = make(hash, text, introspection);
        } catch (thrown) {
          if (!(thrown instanceof Refusal)) throw thrown;
          found = thrown;
        }
        known.set(key, found, { size: text.length + 64 });
      }
      if (!(found instanceof Refusal)) return found;
      if (found.fault instanceof TooComplex) onRefusal(found.fault.limitName);
      throw found;
    },
    size: () => known.size,
  };
};
