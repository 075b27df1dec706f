/** Unhandled rejections are logged and counted; an uncaught exception ends the process. */
import { EXIT } from '../lib/exit-codes.js';
import type { Log } from '../log/log.js';
import type { ProgramProcess } from './program-process.js';

/** Returns a function that gives the number of unhandled rejections so far. */
export const watchFaults = (process: Pick<ProgramProcess, 'on' | 'exit'>, log: Log): (() => number) => {
  let rejections = 0;
  process.on('unhandledRejection', (reason) => {
    rejections += 1;
    log.error({ err: reason, count: rejections }, 'unhandled rejection');
  });
  // The state may be broken: the process ends, and its supervisor starts a new one.
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'uncaught exception');
    process.exit(EXIT.failed);
  });
  return () => rejections;
};
