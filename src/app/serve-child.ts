/** A process that a primary has started: the feeder, or one that serves clients. It ends when the primary says so. */
import type { Config } from '../config/config.js';
import { createLog } from '../log/pino-log.js';
import type { EndMessage, ReadyMessage } from '../processes/children.js';
import { idOfProcess, isFeeder, type Place } from '../processes/place.js';
import { ENDING_SIGNALS, type ProgramProcess } from './program-process.js';

const isEnd = (message: unknown): message is EndMessage =>
  typeof message === 'object' && message !== null && (message as { type?: unknown }).type === 'end';

/**
 * Signals reach all processes of a terminal or of a service at once; it is the primary's word that counts, which comes when
 * those that are served by this process have ended. Without a primary there is nothing to wait for.
 */
const endedByPrimary = (program: ProgramProcess): ProgramProcess => {
  for (const signal of ENDING_SIGNALS) program.on(signal, () => undefined);
  const on = ((event: string, listener: (about: never) => void) => {
    if (event !== 'SIGTERM') {
      if (!(ENDING_SIGNALS as readonly string[]).includes(event))
        program.on(event as 'unhandledRejection', listener as (reason: unknown) => void);
      return;
    }
    const end = (): void => listener('SIGTERM' as never);
    process.on('message', (message) => {
      if (isEnd(message)) end();
    });
    process.once('disconnect', end);
  }) as ProgramProcess['on'];
  const { argv, env, stdin, stdout, stderr } = program;
  return { argv, env, stdin, stdout, stderr, on, exit: (code) => program.exit(code) };
};

/** Resolves with the exit code. */
export const serveChild = async (
  settings: Config,
  program: ProgramProcess,
  place: Place,
): Promise<number> => {
  const { serverId, name } = place;
  const log = await createLog({ ...settings, serverId }, { fields: { process: name } });
  // Those that serve have names among each other; to other servers all are one.
  const config = { ...settings, serverId: isFeeder(place) ? serverId : idOfProcess(place) };
  const child = endedByPrimary(program);
  const tellReady = (ready: Omit<ReadyMessage, 'type'>): void => {
    process.send?.({ type: 'ready', ...ready } satisfies ReadyMessage);
  };
  if (isFeeder(place)) {
    const { serveFeeder } = await import('./serve-feeder.js');
    return serveFeeder(config, child, {
      ...{ place, log },
      onListening: () => tellReady({ addresses: [], metricsAddress: null }),
    });
  }
  const { serveHttp } = await import('./serve-http.js');
  return serveHttp(config, child, { log, place, onListening: tellReady });
};
