/**
 * From a document's text to what can be executed: parsed, guarded, weighed with its variables, validated, in this order, and
 * remembered with what came of it, faults too, so that a text that is sent again and again is worked on once.
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

interface ReadOptions {
  readonly introspection: boolean;
  /**
   * Called before a document is validated, which is the dearest step; what it throws refuses this request, and is not
   * remembered of the document: with other variables it may cost less.
   */
  readonly weigh: (document: DocumentNode) => void;
}

export interface Documents {
  /** Throws a Refusal, `payload_too_large` for a text that is too long, and what `weigh` throws. */
  read(text: string, options: ReadOptions): KnownDocument;
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

/** What is remembered of a text that the guard let pass. */
interface Guarded {
  readonly known: KnownDocument;
  isValid: boolean;
}

const TOO_MANY_TOKENS = /more tha[nt] \d+ tokens/;

export const createDocuments = (deps: DocumentsDeps): Documents => {
  const { schema, limits, onRefusal } = deps;
  const validated = deps.validate ?? validate;
  const remembered = new LRUCache<string, Guarded | Refusal>({
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

  const guarded = (hash: string, text: string): Guarded => {
    const document = parsed(text);
    const fault = guard(document, limits);
    if (fault !== null) throw refuse(new TooComplex(fault));
    if (!document.definitions.some(({ kind }) => kind === Kind.OPERATION_DEFINITION))
      throw formatDocumentErrors(
        [new GraphQLError('The document holds no operation.')],
        'graphql_validation_failed',
      );
    return {
      known: { hash, document, introspection: isIntrospectionOnly(document) },
      isValid: false,
    };
  };

  const requireValid = (document: DocumentNode, introspection: boolean): void => {
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
  };

  const passed = (result: Guarded | Refusal): Guarded => {
    if (!(result instanceof Refusal)) return result;
    if (result.fault instanceof TooComplex) onRefusal(result.fault.limitName);
    throw result;
  };

  return {
    read(text, { introspection, weigh }) {
      if (text.length > MAX_DOCUMENT_BYTES || Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) {
        onRefusal('bytes');
        throw new AppError('payload_too_large', `A document may have at most ${MAX_DOCUMENT_BYTES} bytes.`);
      }
      const hash = hashOf(text);
      const key = introspection ? hash : `${hash} closed`;
      /** What a step gives, or the refusal that it throws: either is remembered of the text. */
      const remember = (step: () => Guarded): Guarded => {
        let result: Guarded | Refusal;
        try {
          result = step();
        } catch (thrown) {
          if (!(thrown instanceof Refusal)) throw thrown;
          result = thrown;
        }
        remembered.set(key, result, { size: text.length + 64 });
        return passed(result);
      };
      const found = remembered.get(key);
      const entry = found === undefined ? remember(() => guarded(hash, text)) : passed(found);
      if (!entry.isValid) {
        weigh(entry.known.document);
        remember(() => {
          requireValid(entry.known.document, introspection);
          entry.isValid = true;
          return entry;
        });
      }
      return entry.known;
    },
    size: () => remembered.size,
  };
};
