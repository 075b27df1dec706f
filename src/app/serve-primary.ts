/** The process that is started where SERVER_PROCESSES is more than 1: it starts the others, replaces and ends them. */
import { fork, type ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { Config } from '../config/config.js';
import { EXIT } from '../lib/exit-codes.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import { createLog } from '../log/pino-log.js';
import { createMetrics } from '../metrics/metrics.js';
import { createUpstreamMeter } from '../metrics/upstream-meter.js';
import { VERSION } from '../config/version.js';
import { Children, StartFailure } from '../processes/children.js';
import { FEEDER } from '../processes/feeder-protocol.js';
import { HandedConnections } from '../processes/handed-connections.js';
import { makeSocketFolder, removeDeadFolders, removeSocketFolder } from '../processes/local-socket.js';
import { PRIMARY } from '../processes/primary-protocol.js';
import { withPlace } from '../processes/place.js';
import { startPrimaryHost } from '../processes/primary-host.js';
import { createMachineBus, named } from './cluster.js';
import { startSandbox, type Own } from './drivers.js';
import { endedBySignal } from './ending-signals.js';
import { watchFaults } from './process-faults.js';
import type { ProgramProcess } from './program-process.js';
import { announce, endAfterMs } from './serve-http.js';
import { warnOfMisspellings } from './settings.js';

/** Beside what the serving processes may take: the feeder ends after them. */
const FEEDER_ENDS_WITHIN_MS = 800;

/** How processes are started: with the arguments and flags of this one. */
const createFork = (
  program: ProgramProcess,
  environment: (name: string) => Record<string, string>,
): ((name: string) => ChildProcess) => {
  const [, script = '', ...args] = program.argv;
  // Connections are handed out in turn: a listening socket of each process is served unevenly, and not on every system.
  cluster.schedulingPolicy = cluster.SCHED_RR;
  cluster.setupPrimary({ exec: script, args });
  const connections = new HandedConnections();
  return (name) => {
    const own = environment(name);
    if (name === FEEDER) return fork(script, args, { env: { ...program.env, ...own } });
    const child = cluster.fork(own).process;
    connections.watch(child);
    return child;
  };
};

/** Resolves with the exit code. */
export const servePrimary = async (settings: Config, program: ProgramProcess): Promise<number> => {
  const config = named(settings);
  const { serverId } = config;
  const log: Log = await createLog(config, { fields: { process: 'primary' } });
  const unhandledRejections = watchFaults(program, log);
  warnOfMisspellings(program.env, log);
  const closers: (() => Promise<void> | void)[] = [];
  const own: Own = (_name, close) => void closers.push(close);
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  // Nothing waits for it.
  removeDeadFolders(PRIMARY, { now: Date.now }).catch((error: unknown) =>
    log.debug({ err: error }, 'folders of dead servers were not removed'),
  );
  const folder = makeSocketFolder();
  own('folder', () => removeSocketFolder(folder));
  // Here, so that it outlives a feeder.
  const sandboxUrl = await startSandbox(config, own);
  const serving = Array.from({ length: config.serverProcesses }, (_, index) => String(index + 1));
  const bus = await createMachineBus({ ...config, sandbox: sandboxUrl ?? config.sandbox }, log);
  const metrics = createMetrics({
    ...{ version: VERSION, upstream: createUpstreamMeter() },
    sources: {
      ...{ unhandledRejections, processRestarts: () => children.restarts },
      bus: bus === null ? null : { membership: bus.bus, feeds: () => null },
    },
  });
  const host = await startPrimaryHost({
    ...{ folder, log, now: Date.now, monotonic: steadyNow, ownMetrics: () => metrics.text() },
    ...{ historyBytes: config.localHistory.bytes, bus: bus ?? undefined },
  });
  own('host', () => host.close());
  const children = new Children({
    names: [FEEDER, ...serving],
    fork: createFork(program, (name) => ({
      ...withPlace({ name, folder, serverId }),
      ...(sandboxUrl === null ? {} : { SANDBOX: sandboxUrl }),
    })),
    silentFor: (name) => host.silentFor(name),
    ...{ log, monotonic: steadyNow },
  });
  const end = async (): Promise<void> => {
    const codes = [...(await children.end(serving)), ...(await children.end([FEEDER]))];
    await close();
    if (codes.some((code) => code !== 0)) throw new Error('A process did not end in order.');
  };
  const ended = endedBySignal({
    ...{ process: program, log, end },
    endAfterMs: endAfterMs(config) + FEEDER_ENDS_WITHIN_MS,
  });
  try {
    const started = children.start().then((ready) => {
      const listening = ready.find(({ addresses }) => addresses.length > 0);
      if (listening !== undefined) announce(config, log, listening);
      return ended;
    });
    return await Promise.race([ended, started]);
  } catch (thrown) {
    if (!(thrown instanceof StartFailure)) throw thrown;
    log.error({}, `the server cannot start: ${thrown.message}`);
    return thrown.exitCode === EXIT.ok ? EXIT.failed : thrown.exitCode;
  } finally {
    children.kill();
    await close();
  }
};
