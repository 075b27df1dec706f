/** A command that works with the store of keys, opened and closed around it; a server may use it meanwhile. */
import { readSettings } from '../app/settings.js';
import type { ProgramProcess } from '../app/program-process.js';
import { openAccessStore } from '../access/open-access.js';
import type { AccessStore } from '../access/store/store.js';
import { ConfigError } from '../config/config.js';
import { AppError } from '../errors.js';
import { StoreError } from '../ledger/store-error.js';
import { EXIT } from '../lib/exit-codes.js';
import { write } from './output.js';

export interface AccessSession {
  readonly store: AccessStore;
  /** Prints a line on standard output. */
  readonly print: (text: string) => Promise<void>;
}

/** Who changes what the command line changes, in the audit. */
export const CLI_ACTOR = 'cli';

/**
 * Resolves with the exit code: that of the work, 64 where the arguments are at fault, 1 where the store is.
 * @throws ConfigError
 */
export const withAccessStore = async (
  program: ProgramProcess,
  work: (session: AccessSession) => Promise<number>,
): Promise<number> => {
  const { store: location } = readSettings(program.env).access;
  if (location.kind === 'none') throw new ConfigError(['AUTH_STORE: names no store for keys']);
  // The store's timers are unref'd: this one keeps the process alive.
  const awake = setInterval(() => undefined, 60_000);
  let store: AccessStore | undefined;
  try {
    store = await openAccessStore(location, true);
    return await work({ store, print: (text) => write(program.stdout, `${text}\n`) });
  } catch (thrown) {
    if (!(thrown instanceof AppError || thrown instanceof StoreError)) throw thrown;
    await write(program.stderr, `${thrown.message}\n`);
    return thrown instanceof AppError && thrown.status === 400 ? EXIT.badUsage : EXIT.failed;
  } finally {
    clearInterval(awake);
    await store?.close();
  }
};
