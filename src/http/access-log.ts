/**
 * One line an answer, by ACCESS_LOG: all; upstream (failed, slow or reached a venue; the default); errors. Cache hits
 * are counted by the metrics instead. A flood of the same failure becomes a few lines and a count.
 */
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/config.js';
import type { Log } from '../log/log.js';
import type { AnswerRecord } from './answers.js';

/** An answer that took longer gets a line, in milliseconds. */
const SLOW_MS = 1000;
/** Failures of one sort (route, status, code, exchange) that get a line per window; the rest are counted. */
const MAX_LINES = 10;
const WINDOW_MS = 10_000;
/** Sorts told apart in a window: routes, codes and exchanges are few, so this is never reached by honest traffic. */
const MAX_SORTS = 500;

export interface AccessLogOptions {
  readonly log: Log;
  readonly mode: Config['accessLog'];
  readonly now: () => number;
}

const fieldsOf = (answer: AnswerRecord) => ({
  request_id: answer.requestId,
  method: answer.method,
  route: answer.route,
  status: answer.status,
  duration_ms: Math.round(answer.durationMs * 10) / 10,
  ...(answer.cache === null ? {} : { cache: answer.cache }),
  ...(answer.exchange === null ? {} : { exchange: answer.exchange }),
  ...(answer.errorCode === null ? {} : { code: answer.errorCode }),
  ...(answer.aborted ? { aborted: true } : {}),
});

/** Installed on the root instance, after the answers' count. */
export const addAccessLog = (app: FastifyInstance, { log, mode, now }: AccessLogOptions): void => {
  const seen = new Map<string, number>();
  let windowEnd = 0;

  const tellSuppressed = (): void => {
    for (const [sort, count] of seen)
      if (count > MAX_LINES) log.warn({ sort, suppressed: count - MAX_LINES }, 'more requests failed alike');
    seen.clear();
  };
  /** May this failure have its line? */
  const admits = (answer: AnswerRecord): boolean => {
    const at = now();
    if (at >= windowEnd) {
      tellSuppressed();
      windowEnd = at + WINDOW_MS;
    }
    const sort = `${answer.route} ${answer.status} ${answer.errorCode ?? '-'} ${answer.exchange ?? '-'}`;
    const count = (seen.get(sort) ?? 0) + 1;
    if (count > 1 || seen.size < MAX_SORTS) seen.set(sort, count);
    return count <= MAX_LINES;
  };

  app.onAnswer((answer) => {
    const failed = answer.status >= 400;
    const slow = answer.durationMs >= SLOW_MS && !answer.longLived;
    const wanted = mode === 'all' || failed || (mode === 'upstream' && (slow || answer.cache === 'MISS'));
    if (!wanted || (failed && mode !== 'all' && !admits(answer))) return;
    if (answer.status >= 500) log.warn(fieldsOf(answer), 'request failed');
    else log.info(fieldsOf(answer), failed ? 'request refused' : 'request');
  });
  app.addHook('onClose', (_instance, done) => {
    tellSuppressed();
    done();
  });
};
