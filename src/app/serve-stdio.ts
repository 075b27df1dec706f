/** MCP over standard input and output as a process: serves until its client leaves or a signal ends it. */
import type { Config } from '../config/config.js';
import { EXIT } from '../lib/exit-codes.js';
import { createLog } from '../log/pino-log.js';
import { buildStdioServer } from './app.js';
import { named } from './cluster.js';
import { endedBySignal } from './ending-signals.js';
import { watchFaults } from './process-faults.js';
import type { ProgramProcess } from './program-process.js';
import { warnOfMisspellings } from './settings.js';

/** Time limit from the signal; then the process ends even if work is left. */
const END_AFTER_MS = 8_700;

/**
 * Standard output carries the protocol, logs go to standard error. Resolves with the exit code.
 * @throws ConfigError where the settings turn out not to be usable
 */
export const serveStdio = async (settings: Config, program: ProgramProcess): Promise<number> => {
  const config = named(settings);
  const { stdin, stdout, stderr, env } = program;
  const log = await createLog(config, { destination: stderr, pretty: false });
  watchFaults(program, log);
  warnOfMisspellings(env, log);
  const server = await buildStdioServer(config, { log, stdin, stdout });
  const ended = endedBySignal({
    process: program,
    log,
    end: () => server.close(),
    endAfterMs: END_AFTER_MS,
  });
  const clientLeft = server.closed.then(async () => {
    await server.close();
    return EXIT.ok;
  });
  return Promise.race([ended, clientLeft]);
};
