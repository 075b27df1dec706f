/** The end of the process: a signal ends the server in order, a second one or the end of its time at once. */
import { constants } from 'node:os';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';

/** SIGHUP: its terminal has gone. */
const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export interface EndingSignalsOptions {
  /** The process: where signals arrive and what is left. */
  readonly process: {
    on(
      signal: (typeof ENDING_SIGNALS)[number],
      listener: (signal: (typeof ENDING_SIGNALS)[number]) => void,
    ): unknown;
    exit(code: number): void;
  };
  readonly log: Log;
  /** Ends the server in order. */
  readonly end: () => Promise<void>;
  /** From the first signal: the process ends whatever is left. */
  readonly endAfterMs: Millis;
}

/**
 * Exit codes: 0 after an end in order; 1 where something was left at the end of the time, or could not be ended, so that
 * a supervisor notices; 128 and the signal's number on a second signal.
 */
export const onEndingSignals = ({ process, log, end, endAfterMs }: EndingSignalsOptions): void => {
  let stopping = false;
  const stop = (signal: (typeof ENDING_SIGNALS)[number]): void => {
    if (stopping) {
      process.exit(128 + constants.signals[signal]);
      return;
    }
    stopping = true;
    log.info({ signal }, 'shutting down');
    setTimeout(() => {
      log.error(
        { after_seconds: endAfterMs / 1000 },
        'shutting down took too long; what was left has been cut',
      );
      process.exit(1);
    }, endAfterMs).unref();
    end().then(
      () => {
        log.info({}, 'shut down');
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, 'shutting down failed');
        process.exit(1);
      },
    );
  };
  for (const signal of ENDING_SIGNALS) process.on(signal, stop);
};
