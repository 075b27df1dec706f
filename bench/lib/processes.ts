/** Child processes of a benchmark: started pinned to a core, measured by their own CPU time, always ended. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createConnection } from 'node:net';

const running = new Set<ChildProcess>();
const LOG_LIMIT = 4000;

export interface Child {
  readonly pid: number;
  readonly process: ChildProcess;
  /** The last few thousand characters it printed. */
  output(): string;
  stop(): Promise<void>;
}

export interface ChildOptions {
  /** CPU cores, as taskset takes them: 0 is the server's, 1 the load's and the venue's. */
  readonly core: 0 | 1 | '0,1';
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `command` on one core. Its output is kept, not shown. */
export const startChild = (command: readonly string[], { core, env }: ChildOptions): Child => {
  const child = spawn('taskset', ['-c', String(core), ...command], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  let text = '';
  const keep = (chunk: Buffer) => (text = (text + chunk.toString()).slice(-LOG_LIMIT));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  if (child.pid === undefined) throw new Error(`could not start ${command.join(' ')}`);
  return {
    pid: child.pid,
    process: child,
    output: () => text,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await gone;
      clearTimeout(timer);
    },
  };
};

export const stopAll = (): void => {
  for (const child of running) child.kill('SIGKILL');
};

/**
 * CPU time of a process so far, all threads, in microseconds (Linux: /proc/<pid>/task/<tid>/schedstat, field 1, ns), and that of
 * the processes that it has started.
 */
export const cpuMicros = (pid: number): number => {
  let nanos = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const at = `/proc/${pid}/task/${task}`;
    try {
      nanos += Number(readFileSync(`${at}/schedstat`, 'utf8').split(' ')[0]);
      const children = readFileSync(`${at}/children`, 'utf8').split(' ').filter(Boolean);
      for (const child of children) nanos += cpuMicros(Number(child)) * 1000;
    } catch {
      // The thread ended between the listing and the read.
    }
  }
  return nanos / 1000;
};

/** Resident memory in bytes (VmRSS). */
export const residentBytes = (pid: number): number => {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
};

/** Polls `url` every few milliseconds until it answers with a status below 400; bounded by `timeoutMs`. */
export const untilAnswers = async (url: string, timeoutMs = 30_000): Promise<void> => {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const ok = await fetch(url).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status < 400;
      },
      () => false,
    );
    if (ok) return;
    if (performance.now() > deadline) throw new Error(`${url} did not answer in ${timeoutMs} ms`);
    await pause(5);
  }
};

/** Resolves once something takes connections on this port of the loopback. */
export const untilListens = async (port: number, timeoutMs = 30_000): Promise<void> => {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const socket = createConnection(port, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (connected) return;
    if (performance.now() > deadline) throw new Error(`nothing listens on ${port} after ${timeoutMs} ms`);
    await pause(5);
  }
};

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
