/** Error answers: application/problem+json as RFC 9457 defines it, with the members that callers act on. */
import { z } from 'zod';

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

export const problem = z
  .object({
    type: z
      .string()
      .meta({ description: 'URI reference that names the problem', example: '/docs/errors#invalid_request' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().meta({ description: 'Path of the request' }),
    code: z.string().meta({ description: 'Stable code to act on', example: 'invalid_request' }),
    retryable: z.boolean(),
    retry_after_ms: z.int().optional(),
    request_id: z.string(),
    errors: z.array(z.object({ parameter: z.string(), reason: z.string() })).optional(),
    required_scopes: z.array(z.string()).optional(),
    violated_policies: z.array(z.enum(['window', 'day', 'month'])).optional(),
    upstream: z.object({ exchange: z.string(), status: z.int().optional() }).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;
