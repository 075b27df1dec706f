/** The problem answers of an operation: one response per status, with an example per code. */
import { AppError, ERROR_CODES, type ErrorCode } from '../../errors.js';
import { PROBLEM_CONTENT_TYPE, toProblem } from '../problems/problem.js';
import { ADVICE } from './advice.js';
import { COMMON_HEADERS, LIMIT_HEADERS, RETRY_AFTER } from './headers.js';

/** What any operation may meet … */
const UNAVOIDABLE: readonly ErrorCode[] = ['uri_too_long', 'headers_too_large', 'internal_error'];
/** … unless limits, negotiation and a shutdown pass it over. */
const REFUSALS: readonly ErrorCode[] = [
  'not_acceptable',
  'client_rate_limited',
  'overloaded',
  'shutting_down',
];

/** What any question about a venue's market may meet. */
export const UPSTREAM_ERRORS: readonly ErrorCode[] = [
  'invalid_request',
  'unknown_exchange',
  'exchange_not_enabled',
  'not_supported_by_exchange',
  'upstream_rate_limited',
  'upstream_budget_exhausted',
  'upstream_error',
  'upstream_bad_response',
  'upstream_geo_blocked',
  'upstream_auth_required',
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_maintenance',
];

const exampleOf = (code: ErrorCode, url: string) => {
  const { detail, details } = ADVICE[code];
  return toProblem(new AppError(code, detail, details), { url, requestId: '3f9a1c-7k' });
};

interface Operation {
  readonly url: string;
  /** Nothing refuses it but what no request gets past. */
  readonly unlimited: boolean;
}

const responseOf = (codes: readonly ErrorCode[], status: number, { url, unlimited }: Operation) => ({
  description: codes.map((code) => `\`${code}\`: ${ADVICE[code].advice}`).join('\n\n'),
  headers: {
    ...COMMON_HEADERS,
    ...(unlimited ? {} : LIMIT_HEADERS),
    ...(status === 429 || status === 503 ? RETRY_AFTER : {}),
  },
  content: {
    [PROBLEM_CONTENT_TYPE]: {
      schema: { $ref: '#/components/schemas/Problem' },
      examples: Object.fromEntries(
        codes.map((code) => [code, { summary: ERROR_CODES[code].title, value: exampleOf(code, url) }]),
      ),
    },
  },
});

/** `codes`: those of the operation itself; the common ones are added. By status, as OpenAPI wants them. */
export const problemResponses = (codes: readonly ErrorCode[], operation: Operation) => {
  const common = operation.unlimited ? UNAVOIDABLE : [...UNAVOIDABLE, ...REFUSALS];
  const all = [...new Set([...codes, ...common])];
  const statuses = [...new Set(all.map((code) => ERROR_CODES[code].status))].sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => {
      const alike = all.filter((code) => ERROR_CODES[code].status === status);
      return [String(status), responseOf(alike, status, operation)] as const;
    }),
  );
};
