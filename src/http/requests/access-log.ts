/**
 * One line an answer, by ACCESS_LOG: all; upstream (failed, slow or reached a venue; the default); errors. Cache hits
 * are counted by the metrics instead. A flood of the same failure becomes a few lines and a count.
 */
import type { FastifyInstance } from 'fastify';
import type { Config } from '../../config/config.js';
import type { Log } from '../../log/log.js';
import { createThrottle } from '../../log/throttle.js';
import type { AnswerRecord } from './answer-record.js';

/** An answer that took longer gets a line, in milliseconds. */
const SLOW_MS = 1000;

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
  ...(answer.principal?.kind === 'key' || answer.principal?.kind === 'token'
    ? { key: answer.principal.id }
    : {}),
  ...(answer.aborted ? { aborted: true } : {}),
  ...answer.refusal,
});

/** Installed on the root instance, after the answers' count. */
export const addAccessLog = (app: FastifyInstance, { log, mode, now }: AccessLogOptions): void => {
  const throttle = createThrottle({ log, now, summary: 'more requests failed alike' });
  /** May this failure have its line? */
  const admits = ({ route, status, errorCode, exchange }: AnswerRecord): boolean =>
    throttle.admits(`${route} ${status} ${errorCode ?? '-'} ${exchange ?? '-'}`);

  app.onAnswer((answer) => {
    const failed = answer.status >= 400;
    const slow = answer.durationMs >= SLOW_MS && !answer.longLived;
    const wanted = mode === 'all' || failed || (mode === 'upstream' && (slow || answer.cache === 'MISS'));
    if (!wanted || (failed && mode !== 'all' && !admits(answer))) return;
    if (answer.status >= 500) log.warn(fieldsOf(answer), 'request failed');
    else log.info(fieldsOf(answer), failed ? 'request refused' : 'request');
  });
  app.addHook('onClose', (_instance, done) => {
    throttle.tellSuppressed();
    done();
  });
};
