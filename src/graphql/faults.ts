/** Faults as GraphQL tells them: `errors[].extensions` with the codes, and the advice on retries, of REST. */
import type { GraphQLError, GraphQLFormattedError } from 'graphql';
import { AppError } from '../errors.js';
import type { GuardFault, GuardLimit } from './guard.js';

/** The name under which a refusal is counted. */
export type LimitName = GuardLimit | 'tokens' | 'cost' | 'list' | 'variables_depth' | 'batch' | 'bytes';

/** Which setting a limit is, for those who may change it. */
const SETTINGS: Partial<Record<LimitName, string>> = {
  depth: 'GRAPHQL_MAX_DEPTH',
  fields: 'GRAPHQL_MAX_FIELDS',
  aliases: 'GRAPHQL_MAX_ALIASES',
  cost: 'GRAPHQL_MAX_COST',
};

const WORDS: Readonly<Record<Exclude<LimitName, 'tokens' | 'batch' | 'bytes'>, string>> = {
  depth: 'levels of fields',
  fields: 'fields, fragments expanded',
  aliases: 'aliases, fragments expanded',
  fragments: 'fragments',
  fragment_uses: 'uses of fragments',
  directives: 'directives',
  introspection_lists: "lists of the schema's types within one another",
  introspection_lists_in_all: 'lists of the schema, fragments expanded',
  cost: 'units of cost',
  list: 'items in a list argument',
  variables_depth: 'levels of objects and lists in its variables, or more',
};

/** `query_too_complex`, with the number that is allowed, and for cost the number that was asked for. */
export class TooComplex extends AppError {
  readonly limitName: LimitName;
  readonly allowed: number;
  readonly cost: number | undefined;

  constructor({
    limit,
    found,
    allowed,
  }: GuardFault | { limit: 'cost' | 'list' | 'variables_depth'; found: number; allowed: number }) {
    const setting = SETTINGS[limit];
    const by = setting === undefined ? '' : ` (${setting})`;
    super(
      'query_too_complex',
      `The operation has ${found} ${WORDS[limit]}; at most ${allowed} are allowed${by}.`,
    );
    this.limitName = limit;
    this.allowed = allowed;
    this.cost = limit === 'cost' ? found : undefined;
  }
}

/** Errors of one operation that was refused before it was executed. */
export class Refusal extends Error {
  readonly errors: readonly GraphQLFormattedError[];
  /** Where it was one fault. */
  readonly fault: AppError;
  constructor(fault: AppError, errors: readonly GraphQLFormattedError[]) {
    super(fault.message);
    this.fault = fault;
    this.errors = errors;
  }
}

const extensionsOf = (error: AppError, requestId?: string): Record<string, unknown> => ({
  code: error.code,
  retryable: error.retryable,
  ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(error.retryAfterMs) }),
  ...(error.errors === undefined ? {} : { errors: error.errors }),
  ...(error.upstream === undefined ? {} : { upstream: error.upstream }),
  ...(error instanceof TooComplex ? { limit: error.allowed } : {}),
  ...(error instanceof TooComplex && error.cost !== undefined ? { cost: error.cost } : {}),
  ...(requestId === undefined ? {} : { request_id: requestId }),
});

/** An AppError as an error of the whole operation. */
export const formatFault = (error: AppError, requestId?: string): GraphQLFormattedError => ({
  message: error.message,
  extensions: extensionsOf(error, requestId),
});

/** A refusal for one fault. */
export const refuse = (fault: AppError): Refusal => new Refusal(fault, [formatFault(fault)]);

/**
 * An error met while executing, with REST's codes. An unclassified one is a bug of ours: `onBug` gets it, the
 * client an `internal_error`.
 */
export const formatExecutionError = (
  error: GraphQLError,
  { requestId, onBug }: { readonly requestId: string; readonly onBug: (error: unknown) => void },
): GraphQLFormattedError => {
  const cause = error.originalError ?? undefined;
  const known = cause instanceof AppError ? cause : AppError.from(cause ?? error);
  if (known.code === 'internal_error') onBug(known.cause ?? error);
  return {
    message: known.message,
    ...(error.locations === undefined ? {} : { locations: error.locations }),
    ...(error.path === undefined ? {} : { path: error.path }),
    extensions: extensionsOf(known, requestId),
  };
};

/** Errors of parsing or validating, each with `code`; suggestions are cut where the schema is not told. */
export const formatDocumentErrors = (
  errors: readonly GraphQLError[],
  code: 'graphql_parse_failed' | 'graphql_validation_failed' | 'invalid_request',
  withoutHints = false,
): Refusal => {
  const told = errors.map((error): GraphQLFormattedError => {
    const message = withoutHints ? error.message.replace(/ Did you mean [^?]*\?/g, '') : error.message;
    return {
      message,
      ...(error.locations === undefined ? {} : { locations: error.locations }),
      extensions: extensionsOf(new AppError(code, message)),
    };
  });
  return new Refusal(new AppError(code, told[0]?.message ?? 'The document is not valid.'), told);
};
