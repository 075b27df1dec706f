/** Faults that nobody caught: a rejection is logged and counted, an exception ends the process. */
import { EXIT } from '../lib/exit-codes.js';
import type { Log } from '../log/log.js';
import type { ProgramProcess } from './program-process.js';

/** Gives the count of rejections that nobody handled. */
export const watchFaults = (process: Pick<ProgramProcess, 'on' | 'exit'>, log: Log): (() => number) => {
  let rejections = 0;
  process.on('unhandledRejection', (reason) => {
    rejections += 1;
    log.error({ err: reason, count: rejections }, 'unhandled rejection');
  });
  // State may be broken: whoever supervises this process starts a sound one.
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'uncaught exception');
    process.exit(EXIT.failed);
  });
  return () => rejections;
};
