/** Turns the domain's errors into problem+json: the one place that knows the wire format of an AppError. */
import { PROBLEM_CONTENT_TYPE, type Problem } from '../../schemas/problem.js';
import { AppError, ERROR_CODES, type ErrorCode } from '../../errors.js';

/** What a client is told to wait where a 429 or 503 comes without a known time, in milliseconds. */
const DEFAULT_RETRY_AFTER_MS = 1000;
/** `instance` is cut to this many characters: a hostile path must not come back in full. */
const MAX_INSTANCE_LENGTH = 256;

export { PROBLEM_CONTENT_TYPE };

/** A key is never repeated, whether access is on or off. */
const KEY_IN_PATH = /cd[kt]_[0-9A-Za-z_%]{20,}/g;

/** Where the code is explained; a URI reference on this server. */
const problemType = (code: ErrorCode): string => `/docs/errors#${code}`;

/** The path of a request target without its query, bounded. */
export const instanceOf = (url: string): string => {
  const path = (url.split('?', 1)[0] ?? '').replace(KEY_IN_PATH, '…');
  return path.length > MAX_INSTANCE_LENGTH ? `${path.slice(0, MAX_INSTANCE_LENGTH)}…` : path;
};

export interface ProblemContext {
  /** Request target as it came, with or without its query. */
  readonly url: string;
  readonly requestId: string;
}

export const toProblem = (error: AppError, { url, requestId }: ProblemContext): Problem => ({
  type: problemType(error.code),
  title: error.title,
  status: error.status,
  detail: error.message,
  instance: instanceOf(url),
  code: error.code,
  retryable: error.retryable,
  ...retryAfterMember(error),
  request_id: requestId,
  ...(error.errors === undefined ? {} : { errors: error.errors.map((fault) => ({ ...fault })) }),
  ...(error.requiredScopes === undefined ? {} : { required_scopes: [...error.requiredScopes] }),
  ...(error.violatedPolicies === undefined ? {} : { violated_policies: [...error.violatedPolicies] }),
  ...(error.upstream === undefined ? {} : { upstream: upstreamOf(error.upstream) }),
});

const upstreamOf = ({ exchange, status }: NonNullable<AppError['upstream']>) =>
  status === undefined ? { exchange } : { exchange, status };

/** Header and body give the same wait. */
const waitOf = ({ status, retryAfterMs }: AppError): number | undefined =>
  retryAfterMs ?? (status === 429 || status === 503 ? DEFAULT_RETRY_AFTER_MS : undefined);

const retryAfterMember = (error: AppError): { readonly retry_after_ms?: number } => {
  const wait = waitOf(error);
  return wait === undefined ? {} : { retry_after_ms: Math.max(0, Math.ceil(wait)) };
};

/** Value of Retry-After (whole seconds, at least 1) for a 429 or 503; null for every other status. */
export const retryAfterSeconds = (error: AppError): string | null => {
  if (error.status !== 429 && error.status !== 503) return null;
  return String(Math.max(1, Math.ceil((waitOf(error) ?? 0) / 1000)));
};

/** Fastify's and Node's own faults as ours. What neither names a client's fault is a bug, `internal_error`. */
export const asAppError = (thrown: unknown): AppError => {
  if (thrown instanceof AppError) return thrown;
  const { code, statusCode } = faultOf(thrown);
  if (code === 'FST_ERR_BAD_URL')
    return new AppError('invalid_request', 'The path holds a malformed percent-encoding.');
  if (statusCode === 413)
    return new AppError('payload_too_large', 'The body is larger than this server reads.');
  if (statusCode === 415)
    return new AppError('invalid_request', 'The Content-Type of the body is not supported here.');
  if (statusCode === 404) return new AppError('not_found', 'There is nothing here.');
  if (statusCode >= 400 && statusCode < 500)
    return new AppError('invalid_request', 'The request could not be understood.', { cause: thrown });
  return AppError.from(thrown);
};

const faultOf = (thrown: unknown): { code: string; statusCode: number } => {
  if (typeof thrown !== 'object' || thrown === null) return { code: '', statusCode: 0 };
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
  const statusCode = 'statusCode' in thrown && typeof thrown.statusCode === 'number' ? thrown.statusCode : 0;
  return { code, statusCode };
};

/** True for the codes of ERROR_CODES. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);
