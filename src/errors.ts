/**
 * The domain's errors: every fault a caller can meet has a stable code, one HTTP status and an honest word on whether
 * asking again can help. Knows no Fastify and no CCXT.
 */

/** status: HTTP status of the answer; title: the problem's short name; retryable: may the same request succeed later. */
interface CodeSpec {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
}

const spec = (status: number, title: string, retryable = false): CodeSpec => ({ status, title, retryable });

export const ERROR_CODES = {
  invalid_request: spec(400, 'Invalid request'),
  graphql_parse_failed: spec(400, 'GraphQL parse failed'),
  graphql_validation_failed: spec(400, 'GraphQL validation failed'),
  query_too_complex: spec(400, 'Query too complex'),
  batch_not_allowed: spec(400, 'Batch not allowed'),
  persisted_query_not_found: spec(200, 'Persisted query not found', true),
  unknown_exchange: spec(400, 'Unknown exchange'),
  exchange_not_enabled: spec(400, 'Exchange not enabled'),
  symbol_not_found: spec(400, 'Symbol not found'),
  interval_not_supported: spec(400, 'Interval not supported'),
  not_supported_by_exchange: spec(400, 'Not supported by exchange'),
  credential_in_url: spec(400, 'Credential in URL'),
  unauthenticated: spec(401, 'Unauthenticated'),
  invalid_credentials: spec(401, 'Invalid credentials'),
  credentials_expired: spec(401, 'Credentials expired'),
  credentials_revoked: spec(401, 'Credentials revoked'),
  ticket_invalid: spec(401, 'Ticket invalid'),
  insufficient_scope: spec(403, 'Insufficient scope'),
  plan_forbids: spec(403, 'Plan forbids'),
  feature_disabled: spec(403, 'Feature disabled'),
  origin_not_allowed: spec(403, 'Origin not allowed'),
  not_found: spec(404, 'Not found'),
  method_not_allowed: spec(405, 'Method not allowed'),
  not_acceptable: spec(406, 'Not acceptable'),
  request_timeout: spec(408, 'Request timeout', true),
  payload_too_large: spec(413, 'Payload too large'),
  uri_too_long: spec(414, 'URI too long'),
  unsupported_media_type: spec(415, 'Unsupported media type'),
  expectation_failed: spec(417, 'Expectation failed'),
  headers_too_large: spec(431, 'Headers too large'),
  upstream_rate_limited: spec(429, 'Upstream rate limited', true),
  upstream_budget_exhausted: spec(429, 'Upstream budget exhausted', true),
  client_rate_limited: spec(429, 'Client rate limited', true),
  quota_exceeded: spec(429, 'Quota exceeded', true),
  stream_limit_reached: spec(429, 'Stream limit reached', true),
  too_many_auth_failures: spec(429, 'Too many authentication failures', true),
  internal_error: spec(500, 'Internal error'),
  upstream_error: spec(502, 'Upstream error'),
  upstream_bad_response: spec(502, 'Upstream bad response', true),
  upstream_geo_blocked: spec(502, 'Upstream geo-blocked'),
  upstream_auth_required: spec(502, 'Upstream requires authentication'),
  auth_unavailable: spec(503, 'Authentication unavailable', true),
  upstream_unavailable: spec(503, 'Upstream unavailable', true),
  upstream_timeout: spec(503, 'Upstream timeout', true),
  upstream_maintenance: spec(503, 'Upstream maintenance', true),
  overloaded: spec(503, 'Overloaded', true),
  shutting_down: spec(503, 'Shutting down', true),
} as const satisfies Record<string, CodeSpec>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** One faulty parameter of a request: its name and, in a sentence, why it was refused and what would be right. */
export interface ParameterFault {
  readonly parameter: string;
  readonly reason: string;
}

/** The venue that was involved (CCXT id or `coinmarketcap`) and the HTTP status it answered with, if it answered. */
export interface UpstreamOrigin {
  readonly exchange: string;
  readonly status?: number | undefined;
}

/**
 * Why a live order book is not trusted any more: an update is missing, its checksum differs, bids stand above asks, REST
 * shows other levels, or an update could not be applied.
 */
export type BookFault = 'sequence' | 'checksum' | 'crossed' | 'crosscheck' | 'unreadable';

export interface AppErrorDetails {
  /** Milliseconds after which asking again makes sense. */
  readonly retryAfterMs?: number | undefined;
  readonly upstream?: UpstreamOrigin | undefined;
  readonly errors?: readonly ParameterFault[] | undefined;
  /** Scopes that the credential lacks. */
  readonly requiredScopes?: readonly string[] | undefined;
  /** Limits of the plan that are used up. */
  readonly violatedPolicies?: readonly ('window' | 'day' | 'month')[] | undefined;
  /** Only where a live order book was found to be wrong; never shown to callers but in a stream's status. */
  readonly bookFault?: BookFault | undefined;
  /**
   * The fault lies in what was asked about: the same question gets the same answer, so it is not asked again, and
   * nothing follows from it for other questions to the same venue.
   */
  readonly confined?: boolean | undefined;
  /** Why, for the operator: goes into logs and readiness, never into an answer to a client. One line. */
  readonly diagnosis?: string | undefined;
  readonly cause?: unknown;
}

/** What crosses a worker's message port in place of an AppError, which structured cloning would strip. */
export interface PlainError extends Omit<AppErrorDetails, 'cause'> {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Messages are shown to clients: they must not hold URLs, bodies or keys. Longer ones are cut. */
const MAX_MESSAGE_LENGTH = 500;

export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly upstream: UpstreamOrigin | undefined;
  readonly errors: readonly ParameterFault[] | undefined;
  readonly requiredScopes: AppErrorDetails['requiredScopes'];
  readonly violatedPolicies: AppErrorDetails['violatedPolicies'];
  readonly bookFault: BookFault | undefined;
  readonly confined: boolean;
  readonly diagnosis: string | undefined;

  constructor(code: ErrorCode, message: string, details: AppErrorDetails = {}) {
    const text =
      message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH - 1)}…` : message;
    super(text, details.cause === undefined ? undefined : { cause: details.cause });
    const { status, title, retryable } = ERROR_CODES[code];
    this.code = code;
    this.status = status;
    this.title = title;
    this.confined = details.confined === true;
    this.retryable = retryable && !this.confined;
    this.retryAfterMs = details.retryAfterMs;
    this.upstream = details.upstream;
    this.errors = details.errors;
    this.requiredScopes = details.requiredScopes;
    this.violatedPolicies = details.violatedPolicies;
    this.bookFault = details.bookFault;
    this.diagnosis = details.diagnosis;
  }

  /** The parts that survive structured cloning; `AppError.fromPlain` is the inverse, without the cause. */
  toPlain(): PlainError {
    const { code, message, retryAfterMs, upstream, errors, diagnosis, bookFault, confined } = this;
    return {
      code,
      message,
      retryAfterMs,
      upstream,
      errors,
      diagnosis,
      ...(bookFault === undefined ? undefined : { bookFault }),
      ...(confined ? { confined } : undefined),
    };
  }

  static fromPlain({ code, message, ...details }: PlainError): AppError {
    return new AppError(code, message, details);
  }

  /** Any thrown value as an AppError: what is not classified is a bug of ours and becomes `internal_error`. */
  static from(thrown: unknown): AppError {
    if (thrown instanceof AppError) return thrown;
    return new AppError('internal_error', 'An unexpected fault occurred.', { cause: thrown });
  }
}
