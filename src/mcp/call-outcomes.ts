/** Counts the outcomes of calls, and logs an internal error under the request id that the client receives. */
import { randomUUID } from 'node:crypto';
import { AppError } from '../errors.js';
import type { Log } from '../log/log.js';

export interface CallOutcomesOptions {
  readonly log: Log;
  readonly onCall?: (tool: string, outcome: string) => void;
}

export interface CallOutcomes {
  done(tool: string): void;
  /** The error as the client sees it, and the id for it. */
  failed(tool: string, thrown: unknown): { readonly error: AppError; readonly requestId: string };
}

/** `requestId`: of the HTTP request; without one (stdio) each failure gets an id of its own. */
export const createCallOutcomes = (
  { log, onCall }: CallOutcomesOptions,
  requestId: string | null | undefined,
): CallOutcomes => ({
  done(tool) {
    onCall?.(tool, 'ok');
  },
  failed(tool, thrown) {
    const error = AppError.from(thrown);
    const id = requestId ?? randomUUID();
    onCall?.(tool, error.code);
    if (error.code === 'internal_error')
      log.error({ request_id: id, tool, err: error.cause ?? error }, 'internal error');
    return { error, requestId: id };
  },
});
