/** The part of `process` that the program uses; tests give their own. */
import type { Readable, Writable } from 'node:stream';
import type { Variables } from '../config/config.js';

/** SIGHUP: the terminal was closed. */
export const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export type EndingSignal = (typeof ENDING_SIGNALS)[number];

export interface ProgramProcess {
  /** As process.argv: the program, the script, then the arguments. */
  readonly argv: readonly string[];
  readonly env: Variables;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  on(event: EndingSignal, listener: (signal: EndingSignal) => void): unknown;
  on(event: 'unhandledRejection', listener: (reason: unknown) => void): unknown;
  on(event: 'uncaughtException', listener: (error: Error) => void): unknown;
  exit(code: number): void;
}
