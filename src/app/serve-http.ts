/** The server as a process: listens until a signal ends it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/config.js';
import { isLoopback } from '../config/values.js';
import { EXIT } from '../lib/exit-codes.js';
import type { Log } from '../log/log.js';
import { createLog } from '../log/pino-log.js';
import { buildApp, type AppOverrides } from './app.js';
import { named } from './cluster.js';
import { endedBySignal } from './ending-signals.js';
import { watchFaults } from './process-faults.js';
import type { ProgramProcess } from './program-process.js';
import { warnOfMisspellings } from './settings.js';

/** How long answers may still wait for an exchange once no new connections are accepted. */
const GIVE_UP_AFTER_MS = 6_000;
/** After that wait: connections that are still open are cut after this time. */
const CUT_AFTER_MS = 1_000;
/** Time limit of the whole shutdown, after SHUTDOWN_NOTICE; then the process ends even if work is left. */
const END_AFTER_MS = 8_700;

/** Why a server cannot listen, by the error's code, in words for the operator. */
const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has this port',
  EACCES: 'this user may not open this port',
  EADDRNOTAVAIL: 'this machine does not have this address',
  ENOTFOUND: 'there is no such host',
};

/** The words for the error's code where there are some, else the code or the error itself. */
export const listenFault = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const words = LISTEN_FAULTS[code];
  return words === undefined ? code : `${words} (${code})`;
};

export interface Listening {
  readonly addresses: readonly string[];
  /** null: `/metrics` has no port of its own. */
  readonly metricsAddress: string | null;
}

/** Says that the server serves. */
export const announce = (config: Config, log: Log, { addresses, metricsAddress }: Listening): void => {
  const [address, ...more] = addresses;
  const also = {
    ...(more.length === 0 ? {} : { more_addresses: more }),
    ...(metricsAddress === null ? {} : { metrics_address: metricsAddress }),
  };
  log.info(
    { address, ...also, exchanges: config.enabledExchanges, sandbox: config.sandbox !== false },
    'listening',
  );
  if (config.access.mode === 'off' && !isLoopback(config.host))
    log.warn({}, `authentication is off (AUTH_MODE): whoever reaches port ${config.port} is served`);
};

/** How long the server may take from a signal to its end. */
export const endAfterMs = ({ shutdownNoticeMs }: Config): number => shutdownNoticeMs + END_AFTER_MS;

interface ServeOptions extends AppOverrides {
  /** Default: the log tells. */
  readonly onListening?: (listening: Listening) => void;
}

/**
 * Resolves with the exit code once the process may end: by then everything is closed or has passed its time limit.
 * @throws ConfigError where the settings turn out not to be usable
 */
export const serveHttp = async (
  settings: Config,
  program: ProgramProcess,
  overrides: ServeOptions = {},
): Promise<number> => {
  const config = named(settings);
  const log = overrides.log ?? (await createLog(config));
  const unhandledRejections = watchFaults(program, log);
  const { onListening = (listening: Listening) => announce(config, log, listening) } = overrides;
  if (overrides.onListening === undefined) warnOfMisspellings(program.env, log);
  const app = await buildApp(config, { ...overrides, log, unhandledRejections });
  const end = async (): Promise<void> => {
    app.lifeCycle.beginDraining();
    await delay(config.shutdownNoticeMs);
    setTimeout(() => {
      app.lifeCycle.giveUpCalls();
      // Started only here: aborted requests are answered first, even when this thread is late.
      setTimeout(() => app.server.closeAllConnections(), CUT_AFTER_MS).unref();
    }, GIVE_UP_AFTER_MS).unref();
    await app.close();
  };
  const ended = endedBySignal({
    process: program,
    log,
    end,
    endAfterMs: endAfterMs(config),
  });
  try {
    const addresses = await app.listenOn({ host: config.host, port: config.port });
    const metricsAddress = await app.metricsApp?.listen({ host: config.host, port: config.metricsPort ?? 0 });
    onListening({ addresses, metricsAddress: metricsAddress ?? null });
  } catch (error) {
    const ports = [config.port, config.metricsPort].filter((port) => port !== null).join(' and ');
    log.error({}, `cannot listen on ${config.host}:${ports}: ${listenFault(error)}`);
    await Promise.race([app.close(), delay(END_AFTER_MS, undefined, { ref: false })]);
    return EXIT.failed;
  }
  return ended;
};
