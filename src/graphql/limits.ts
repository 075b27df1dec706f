/** Every bound of GraphQL in one place: those that are settings, and those that are not. */

/** What the settings GRAPHQL_MAX_… say. */
export interface GraphqlLimits {
  /** Fields within fields. */
  readonly depth: number;
  /** Fields of a document, each spread of a fragment counted again. */
  readonly fields: number;
  readonly aliases: number;
  /** Units that an operation may cost. */
  readonly cost: number;
  /** Operations of one request. */
  readonly batch: number;
}

/** Bytes of a document. */
export const MAX_DOCUMENT_BYTES = 16 * 1024;
/** Bytes of an operation's variables as JSON. */
export const MAX_VARIABLES_BYTES = 32 * 1024;
/** Levels of objects and lists within variables, themselves the first: `{markets: [{…}]}` has three. */
export const MAX_VARIABLES_DEPTH = 8;
/** Tokens of a document; the parser stops there. */
export const MAX_TOKENS = 1_000;
/** Fragments that a document defines. */
export const MAX_FRAGMENTS = 20;
/** Uses of fragments, named and inline, each use within a fragment counted with every use of that fragment. */
export const MAX_FRAGMENT_USES = 60;
/** Directives, counted like that. */
export const MAX_DIRECTIVES = 20;
/** Items of a list argument. */
export const MAX_LIST_ITEMS = 100;
/** Faults of a document that are reported. */
export const MAX_ERRORS = 10;

/** Operations that ask for nothing but the schema: the usual introspection query is deep and long. */
export const INTROSPECTION_LIMITS = { depth: 16, fields: 400, aliases: 30 } as const;
/** Lists of the schema within one another (`fields { type { fields`): each multiplies the answer. */
export const MAX_INTROSPECTION_LISTS = 2;
/** Lists of the schema in all, fragments expanded: the usual introspection query has ten. */
export const MAX_INTROSPECTION_LISTS_IN_ALL = 16;

/** Documents kept with what came of them. */
export const MAX_DOCUMENTS = 1_000;
/** Characters of their text: parsed, a document takes up to 140 times as much memory as its text. */
export const MAX_DOCUMENT_TEXT = 256 * 1024;
/** Persisted queries that clients registered, and the longest of them in characters. */
export const MAX_PERSISTED = 1_000;
export const MAX_PERSISTED_LENGTH = 8 * 1024;

/** Calls of one operation that run at the same time. */
export const MAX_CALLS_AT_ONCE = 16;

/** Operations that one WebSocket may have open. */
export const MAX_OPERATIONS = 200;
/** Levels of objects and lists within a WebSocket message: those of variables, and of what they lie in. */
export const MAX_MESSAGE_DEPTH = 32;
/** Characters of an operation's id. */
export const MAX_ID_LENGTH = 64;
/** Milliseconds from the upgrade to `connection_init`. */
export const INIT_TIMEOUT = 3_000;

/** Results of queries that are kept while they are fresh, and characters of their text, keys included. */
export const MAX_RESULTS = 1_000;
export const MAX_RESULTS_TEXT = 4 * 1024 * 1024;

/** Answers about the schema that are kept, of up to 100 kB each. */
export const MAX_SCHEMA_ANSWERS = 16;

/** Arguments of tickers that are remembered as good, of up to 300 bytes each. */
export const MAX_TICKER_QUERIES = 1_000;
