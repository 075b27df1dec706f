/** The end of the process: a signal ends the server in order, a second one or the end of its time at once. */
import { constants } from 'node:os';
import { EXIT } from '../lib/exit-codes.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import { ENDING_SIGNALS, type EndingSignal, type ProgramProcess } from './program-process.js';

export interface EndingSignalsOptions {
  /** Where signals arrive. */
  readonly process: Pick<ProgramProcess, 'on'>;
  readonly log: Log;
  /** Ends the server in order. */
  readonly end: () => Promise<void>;
  /** From the first signal: the process ends whatever is left. */
  readonly endAfterMs: Millis;
}

/**
 * Resolves with the exit code, at which the process ends at once: 0 after an end in order; 1 where something was left at
 * the end of the time, or could not be ended, so that a supervisor notices; 128 and the signal's number on a second
 * signal. Never rejects.
 */
export const endedBySignal = ({ process, log, end, endAfterMs }: EndingSignalsOptions): Promise<number> =>
  new Promise((resolve) => {
    let stopping = false;
    const stop = (signal: EndingSignal): void => {
      if (stopping) {
        resolve(128 + constants.signals[signal]);
        return;
      }
      stopping = true;
      log.info({ signal }, 'shutting down');
      setTimeout(() => {
        log.error(
          { after_seconds: endAfterMs / 1000 },
          'shutting down took too long; what was left has been cut',
        );
        resolve(EXIT.failed);
      }, endAfterMs).unref();
      end().then(
        () => {
          log.info({}, 'shut down');
          resolve(EXIT.ok);
        },
        (error: unknown) => {
          log.error({ err: error }, 'shutting down failed');
          resolve(EXIT.failed);
        },
      );
    };
    for (const signal of ENDING_SIGNALS) process.on(signal, stop);
  });
