/** What a command of the program is. A new one is a file beside this one and a line in command-line.ts. */
import type { ParseArgsConfig } from 'node:util';
import type { ProgramProcess } from '../app/program-process.js';

export interface CommandInput {
  /** Options as node:util's parseArgs gives them. */
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
  readonly program: ProgramProcess;
}

/** The command does not take these arguments: exit code 64. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Command {
  /** For `<command> --help`: its usage and its options. */
  readonly help: string;
  /** Besides --help and --version, which every command has. */
  readonly options: NonNullable<ParseArgsConfig['options']>;
  readonly takesPositionals: boolean;
  /**
   * Resolves with the exit code once the process may end.
   * @throws ConfigError for bad settings, which end it with exit code 78; UsageError, with 64
   */
  run(input: CommandInput): Promise<number>;
}
