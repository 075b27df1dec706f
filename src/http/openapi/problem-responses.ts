/** The problem answers of an operation: one response per status, with an example per code. */
import { AppError, ERROR_CODES, type ErrorCode } from '../../errors.js';
import type { Scope } from '../../access/principal.js';
import type { AuthMode } from '../../schemas/access.js';
import { lacksScope } from '../access/access-hook.js';
import { PROBLEM_CONTENT_TYPE, toProblem } from '../problems/problem.js';
import { udfErrorOf } from '../udf/udf-error.js';
import { ADVICE } from './advice.js';
import { CHALLENGE, COMMON_HEADERS, limitHeaders, RETRY_AFTER } from './headers.js';

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
  'plan_forbids',
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

/** The words in which an operation refuses. */
export type ErrorForm = 'problem' | 'udf';

interface Operation {
  readonly url: string;
  readonly mode: AuthMode;
  /** The scope that it asks for; null: none. */
  readonly scope: Scope | null;
  /** Nothing refuses it but what no request gets past. */
  readonly unlimited: boolean;
  readonly form: ErrorForm;
}

/** Refused before the request is read, so that nobody knows what it was for. */
const ALWAYS_PROBLEMS: readonly ErrorCode[] = ['headers_too_large'];

const exampleOf = (code: ErrorCode, form: ErrorForm, { url, scope }: Operation) => {
  const { detail, details } = ADVICE[code];
  const error =
    code === 'insufficient_scope' && scope !== null ? lacksScope(scope) : new AppError(code, detail, details);
  const request = { url, requestId: '3f9a1c-7k' };
  return form === 'udf' ? udfErrorOf(error, request) : toProblem(error, request);
};

const FORMS = {
  problem: { type: PROBLEM_CONTENT_TYPE, schema: 'Problem' },
  udf: { type: 'application/json', schema: 'UdfError' },
} as const satisfies Record<ErrorForm, object>;

const contentOf = (codes: readonly ErrorCode[], form: ErrorForm, operation: Operation) => ({
  [FORMS[form].type]: {
    schema: { $ref: `#/components/schemas/${FORMS[form].schema}` },
    examples: Object.fromEntries(
      codes.map((code) => [
        code,
        { summary: ERROR_CODES[code].title, value: exampleOf(code, form, operation) },
      ]),
    ),
  },
});

const responseOf = (codes: readonly ErrorCode[], status: number, operation: Operation) => ({
  description: codes.map((code) => `\`${code}\`: ${ADVICE[code].advice}`).join('\n\n'),
  headers: {
    ...COMMON_HEADERS,
    ...(operation.unlimited ? {} : limitHeaders(operation.mode)),
    ...(status === 429 || status === 503 ? RETRY_AFTER : {}),
    ...(status === 401 || codes.includes('insufficient_scope') ? CHALLENGE : {}),
  },
  content: contentOf(
    codes,
    codes.every((code) => ALWAYS_PROBLEMS.includes(code)) ? 'problem' : operation.form,
    operation,
  ),
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
