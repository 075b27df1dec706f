/** Refusals and faults as UDF has them. */
import type { AppError } from '../../errors.js';
import type { UdfError } from '../../schemas/udf.js';
import { toProblem } from '../problems/problem.js';

/** Adapters read the body alone, whatever the status: `s` tells an error there. */
export const udfErrorOf = (
  error: AppError,
  request: { readonly url: string; readonly requestId: string },
): UdfError => {
  const { code, retryable, retry_after_ms, request_id } = toProblem(error, request);
  return { s: 'error', errmsg: error.message, code, retryable, retry_after_ms, request_id };
};
