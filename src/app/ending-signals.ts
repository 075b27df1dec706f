/** Shutdown: the first signal drains the server; a second signal or the end of the time limit ends the process at once. */
import { constants } from 'node:os';
import { EXIT } from '../lib/exit-codes.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import { ENDING_SIGNALS, type EndingSignal, type ProgramProcess } from './program-process.js';

export interface EndingSignalsOptions {
  /** Emits the signals. */
  readonly process: Pick<ProgramProcess, 'on'>;
  readonly log: Log;
  /** Drains and closes the server. */
  readonly end: () => Promise<void>;
  /** Time limit from the first signal; then the process ends even if work is left. */
  readonly endAfterMs: Millis;
}

/**
 * Resolves with the exit code, at which the process ends at once: 0 after a complete shutdown; 1 where the time limit
 * ended it or a service failed to close, so that a supervisor notices; 128 plus the signal's number on a second signal.
 * Never rejects.
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
