/** A command that works with the candle store: the services of a server without its port, opened and closed around it. */
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { watchFaults } from '../app/process-faults.js';
import { ENDING_SIGNALS, type ProgramProcess } from '../app/program-process.js';
import { buildServices, type Services } from '../app/services.js';
import { readSettings } from '../app/settings.js';
import { ConfigError, type Config } from '../config/config.js';
import { AppError, type ErrorCode } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { StoreError } from '../ledger/store-error.js';
import type { StoreHandle } from '../ledger/store-status.js';
import type { CandleStore } from '../ledger/store.js';
import { EXIT } from '../lib/exit-codes.js';
import { createLog } from '../log/pino-log.js';
import { write } from './output.js';

/** Time limit from a signal or the end of the work; then the process ends even if something is left open. */
const CLOSE_WITHIN_MS = 5_000;

/** Codes of errors that the arguments caused. */
const USAGE_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'unknown_exchange',
  'exchange_not_enabled',
  'interval_not_supported',
]);

export interface StoreSession {
  readonly program: ProgramProcess;
  readonly config: Config;
  readonly services: Services;
  readonly handle: StoreHandle;
  readonly store: CandleStore;
  readonly ledger: Ledger;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Prints a line on standard output. */
  readonly print: (text: string) => Promise<void>;
}

export interface SessionOptions {
  /** Printed when a signal ends the work. */
  readonly interrupted: string;
}

const openSession = async (
  config: Config,
  program: ProgramProcess,
): Promise<Omit<StoreSession, 'signal' | 'print'>> => {
  // Information lines are for servers; a command prints warnings and errors only.
  const logLevel = config.logLevel === 'info' ? 'warn' : config.logLevel;
  const quiet = { ...config, logLevel, exchangeWorkers: 0, backfill: { ...config.backfill, series: [] } };
  const log = await createLog(quiet, { destination: program.stderr, pretty: false });
  watchFaults(program, log);
  const services = await buildServices(quiet, { log, redis: null, coinMarketCap: null });
  const { store: handle, ledger } = services;
  if (handle === null || ledger === null) {
    await services.close();
    throw new ConfigError(['STORE_URL: names no store, so there are no candles to work with']);
  }
  await handle.opened;
  const store = handle.store();
  if (store !== null) return { program, config, services, handle, store, ledger };
  const { detail } = handle.status();
  await services.close();
  throw new StoreError('unavailable', detail);
};

const failed = async (thrown: unknown, program: ProgramProcess): Promise<number> => {
  if (!(thrown instanceof AppError || thrown instanceof StoreError)) throw thrown;
  await write(program.stderr, `${thrown.message}\n`);
  return thrown instanceof AppError && USAGE_FAULTS.has(thrown.code) ? EXIT.badUsage : EXIT.failed;
};

/**
 * Resolves with the exit code: that of the work, 64 or 1 where it rejects with an error for the user, 128 plus the number
 * of the signal that ended it.
 * @throws ConfigError
 */
export const withStore = async (
  program: ProgramProcess,
  { interrupted }: SessionOptions,
  work: (session: StoreSession) => Promise<number>,
): Promise<number> => {
  const config = readSettings(program.env);
  const ending = new AbortController();
  const signalled = new Promise<number>((resolve) => {
    for (const name of ENDING_SIGNALS)
      program.on(name, (signal) => {
        const code = 128 + constants.signals[signal];
        // A second signal ends the process at once.
        if (ending.signal.aborted) program.exit(code);
        ending.abort();
        resolve(code);
      });
  });
  // The timers and threads that a command waits for are unref'd: this timer keeps the process alive.
  const awake = setInterval(() => undefined, 60_000);
  let services: Services | undefined;
  const begin = async (): Promise<number> => {
    const opened = await openSession(config, program);
    services = opened.services;
    const print = (text: string): Promise<void> => write(program.stdout, `${text}\n`);
    return work({ ...opened, signal: ending.signal, print });
  };
  try {
    const worked = begin();
    worked.catch(() => undefined);
    const code = await Promise.race([worked, signalled]);
    if (ending.signal.aborted) await write(program.stderr, `\n${interrupted}\n`);
    return code;
  } catch (thrown) {
    return await failed(thrown, program);
  } finally {
    clearInterval(awake);
    await Promise.race([services?.close(), delay(CLOSE_WITHIN_MS, undefined, { ref: false })]);
  }
};
