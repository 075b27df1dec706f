/** One operation from its text to its answer, the same for HTTP, WebSocket and SSE. */
import {
  execute,
  type validate,
  getOperationAST,
  getVariableValues,
  GraphQLError,
  Kind,
  OperationTypeNode,
  printSchema,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFormattedError,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { PERMITS_ALL, type Permit } from '../access/permit.js';
import { AppError, type ErrorCode } from '../errors.js';
import { costOf, type Costed } from './cost.js';
import { createDocuments, type KnownDocument } from './documents.js';
import {
  formatDocumentErrors,
  formatExecutionError,
  refuse,
  Refusal,
  TooComplex,
  type LimitName,
} from './faults.js';
import { FreshResults } from './fresh-results.js';
import { MAX_CALLS_AT_ONCE, MAX_SCHEMA_ANSWERS, type GraphqlLimits } from './limits.js';
import { OperationContext, type UsedAnswer } from './operation-context.js';
import { createPersisted, type PersistedDeps } from './persisted.js';
import { buildSchema } from './schema/build.js';
import { Sources, type SourceDeps } from './sources.js';
import { boundVariables } from './variables.js';

/** An operation as a client sends it, each member of the right sort. */
export interface OperationRequest {
  readonly query?: string | undefined;
  readonly operationName?: string | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

export interface Prepared {
  readonly known: KnownDocument;
  readonly operation: OperationDefinitionNode;
  readonly operationName: string | undefined;
  /** As the client gave them: graphql-js coerces them. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Coerced. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Units to be charged, 1 or more, whole. */
  readonly units: number;
}

/** What a caller may do beside asking. */
export interface PrepareOptions {
  /** Ask for the schema. */
  readonly introspection: boolean;
  /** Have its documents remembered (automatic persisted queries); default true. */
  readonly registers?: boolean | undefined;
}

/** A document before its validation, with what a request asks of it. */
interface Weighed {
  readonly document: DocumentNode;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Who asks. */
export interface OperationCaller {
  /** What its plan lets it ask for. */
  readonly permit: Permit;
  readonly client: string | undefined;
  readonly signal: AbortSignal;
  readonly requestId: string;
}

export interface Executed {
  /** The response as JSON text. */
  readonly json: string;
  readonly hasErrors: boolean;
  readonly used: readonly UsedAnswer[];
  /** true: the response may be kept as long as what it is made of. */
  readonly kept: boolean;
}

/** How an operation ended: `ok`, `partial` where some fields failed, or a code. */
type Outcome = 'ok' | 'partial' | ErrorCode;

export interface GraphqlMeter {
  operation(type: 'query' | 'subscription' | 'unknown', outcome: Outcome, units: number): void;
  refusal(limit: LimitName): void;
  /** Asks what is remembered, whenever somebody wants to know. */
  watch(stats: () => { readonly documents: number; readonly persisted: number }): void;
}

export interface EngineOptions extends SourceDeps {
  readonly limits: GraphqlLimits;
  readonly persisted: PersistedDeps;
  readonly requestTimeoutMs: number;
  readonly meter: GraphqlMeter;
  /** A bug of ours, met while executing. */
  readonly onBug: (error: unknown) => void;
  /** Default: graphql-js's own; tests count the calls. */
  readonly spies?: {
    readonly validate?: typeof validate;
    readonly execute?: typeof execute;
  };
}

export class GraphqlEngine {
  readonly schema: GraphQLSchema;
  readonly limits: GraphqlLimits;
  readonly meter: GraphqlMeter;
  readonly #documents: ReturnType<typeof createDocuments>;
  readonly #persisted: ReturnType<typeof createPersisted>;
  readonly #options: EngineOptions;
  /** Answers about the schema, which are always the same. */
  readonly #schemaAnswers = new LRUCache<string, string>({ max: MAX_SCHEMA_ANSWERS });
  readonly #freshResults: FreshResults;
  #sdl: string | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.limits = options.limits;
    this.meter = options.meter;
    this.schema = buildSchema(new Sources(options));
    this.#documents = createDocuments({
      schema: this.schema,
      limits: options.limits,
      onRefusal: (limit) => options.meter.refusal(limit),
      validate: options.spies?.validate,
    });
    this.#persisted = createPersisted(options.persisted);
    this.#freshResults = new FreshResults(options.now);
    options.meter.watch(() => ({ documents: this.#documents.size(), persisted: this.#persisted.size() }));
  }

  /** The schema in GraphQL's own language. */
  get sdl(): string {
    return (this.#sdl ??= `${printSchema(this.schema)}\n`);
  }

  /**
   * Everything that can be said of an operation before it is executed. Throws a Refusal, or an AppError for a request that
   * is none (`invalid_request`, `payload_too_large`).
   */
  prepare(request: OperationRequest, { introspection, registers = true }: PrepareOptions): Prepared {
    const { variables = {} } = request;
    // No operation has an empty name: clients send it for none.
    const operationName = request.operationName === '' ? undefined : request.operationName;
    const { text, register } = this.#persisted.find(request, registers);
    boundVariables(variables, (limit) => {
      this.meter.refusal(limit);
    });
    const known = this.#documents.read(text, {
      introspection,
      weigh: (document) => {
        this.#weigh({ document, operationName, variables });
      },
    });
    const operation = this.#operationIn(known, operationName);
    const coerced = getVariableValues(this.schema, operation.variableDefinitions ?? [], variables, {
      maxErrors: 1,
    });
    if (coerced.errors !== undefined)
      throw formatDocumentErrors(coerced.errors, 'invalid_request', !introspection);
    const values = coerced.coerced;
    const cost = this.#costOf({ document: known.document, operation, variables: values });
    register();
    return { known, operation, operationName, variables, values, units: Math.max(1, Math.ceil(cost)) };
  }

  #operationIn({ document }: KnownDocument, operationName: string | undefined): OperationDefinitionNode {
    const operation = getOperationAST(document, operationName);
    if (operation?.operation === OperationTypeNode.MUTATION)
      throw new AppError('invalid_request', 'This server changes nothing: there are no mutations.');
    if (operation !== null && operation !== undefined) return operation;
    const names = document.definitions
      .flatMap((definition) =>
        definition.kind === Kind.OPERATION_DEFINITION && definition.name !== undefined
          ? [definition.name.value]
          : [],
      )
      .slice(0, 10);
    const reason = names.length === 0 ? 'names no operation' : `must be one of ${names.join(', ')}`;
    throw new AppError('invalid_request', `operationName ${reason}.`, {
      errors: [{ parameter: 'operationName', reason }],
    });
  }

  /** Throws a Refusal for what costs too much. Whatever else is wrong with a document that is not valid, validation says. */
  #weigh({ document, operationName, variables }: Weighed): void {
    const operation = getOperationAST(document, operationName);
    if (operation === null || operation === undefined) return;
    try {
      const { coerced } = getVariableValues(this.schema, operation.variableDefinitions ?? [], variables, {
        maxErrors: 1,
      });
      if (coerced !== undefined) this.#requireCost({ document, operation, variables: coerced });
    } catch (thrown) {
      if (!(thrown instanceof GraphQLError)) throw thrown;
    }
  }

  #costOf(costed: Omit<Costed, 'schema'>): number {
    try {
      return this.#requireCost(costed);
    } catch (thrown) {
      if (thrown instanceof GraphQLError) throw formatDocumentErrors([thrown], 'invalid_request');
      throw thrown;
    }
  }

  /** Throws a Refusal for what costs more than is allowed, GraphQLError for an argument that has no value. */
  #requireCost(costed: Omit<Costed, 'schema'>): number {
    try {
      const cost = costOf({ ...costed, schema: this.schema });
      const allowed = this.limits.cost;
      if (cost > allowed) throw new TooComplex({ limit: 'cost', found: Math.ceil(cost), allowed });
      return cost;
    } catch (thrown) {
      if (!(thrown instanceof TooComplex)) throw thrown;
      this.meter.refusal(thrown.limitName);
      throw refuse(thrown);
    }
  }

  /** Executes a query; resolves with its response whatever its fields met. */
  async execute(prepared: Prepared, caller: OperationCaller): Promise<Executed> {
    const { known, operationName, variables, values, units } = prepared;
    const answerKey = `${known.hash} ${operationName ?? ''}`;
    const answered = known.introspection ? this.#schemaAnswers.get(answerKey) : undefined;
    if (answered !== undefined) {
      this.meter.operation('query', 'ok', units);
      return { json: answered, hasErrors: false, used: [], kept: false };
    }
    // Plans differ in what a caller may have: their operations are executed each time.
    const resultKey = caller.permit === PERMITS_ALL ? `${answerKey} ${JSON.stringify(values)}` : null;
    const fresh = resultKey === null ? undefined : this.#freshResults.find(resultKey);
    if (fresh !== undefined) {
      this.meter.operation('query', 'ok', units);
      return { json: fresh.json, used: fresh.used, hasErrors: false, kept: true };
    }
    // Each call has its own deadline; only what makes more calls than run at once could take longer than one.
    const { requestTimeoutMs } = this.#options;
    const signal =
      units > MAX_CALLS_AT_ONCE
        ? AbortSignal.any([caller.signal, AbortSignal.timeout(requestTimeoutMs)])
        : caller.signal;
    const context = new OperationContext({ client: caller.client, signal, permit: caller.permit });
    const result = await (this.#options.spies?.execute ?? execute)({
      schema: this.schema,
      document: known.document,
      operationName: operationName ?? null,
      variableValues: variables,
      contextValue: context,
    });
    const json = this.stringify(result, caller.requestId);
    const hasErrors = result.errors !== undefined;
    if (known.introspection && !hasErrors && Object.keys(variables).length === 0)
      this.#schemaAnswers.set(answerKey, json);
    this.meter.operation('query', hasErrors ? 'partial' : 'ok', units);
    const { used, tellsTheMoment, isPrivate } = context;
    const kept = !hasErrors && !tellsTheMoment && !isPrivate && used.length > 0;
    if (kept && resultKey !== null) this.#freshResults.store(resultKey, { json, used });
    return { json, hasErrors, used, kept };
  }

  stringify({ data, errors }: ExecutionResult, requestId: string): string {
    if (errors === undefined) return JSON.stringify({ data });
    const { onBug } = this.#options;
    return JSON.stringify({
      errors: errors.map((error) => formatExecutionError(error, { requestId, onBug })),
      data,
    });
  }

  /** The response to a refused operation, which is counted by its code. */
  refused(
    thrown: unknown,
    requestId: string,
  ): { readonly fault: AppError; readonly errors: GraphQLFormattedError[] } {
    const refusal = thrown instanceof Refusal ? thrown : refuse(AppError.from(thrown));
    const { fault } = refusal;
    if (fault.code === 'internal_error') this.#options.onBug(fault.cause ?? fault);
    this.meter.operation('unknown', fault.code, 1);
    return {
      fault,
      errors: refusal.errors.map((error) => ({
        ...error,
        extensions: { ...error.extensions, request_id: requestId },
      })),
    };
  }
}

export const isSubscription = ({ operation }: Prepared): boolean =>
  operation.operation === OperationTypeNode.SUBSCRIPTION;
