/** wrk as the HTTP load: one thread, few connections, short slices, on the server's own core. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cpuMicros, type Child } from './processes.js';

const run = promisify(execFile);

export interface Slice {
  readonly requests: number;
  readonly non2xx: number;
  /** Requests per second of the server's CPU time, all its threads. */
  readonly perCpuSecond: number;
}

export interface WrkOptions {
  readonly seconds: number;
  readonly connections?: number;
  readonly headers?: readonly string[];
  /** A Lua script for many URLs. */
  readonly script?: string;
}

/** One slice of load on `url`; 304 counts as the answer it is, so `non2xx` holds only 4xx and 5xx (wrk's own count). */
export const wrkSlice = async (server: Child, url: string, options: WrkOptions): Promise<Slice> => {
  const flags = ['-t1', `-c${options.connections ?? 16}`, `-d${options.seconds}s`];
  for (const header of options.headers ?? []) flags.push('-H', header);
  if (options.script !== undefined) flags.push('-s', options.script);
  const before = cpuMicros(server.pid);
  const { stdout } = await run('taskset', ['-c', '0', 'wrk', ...flags, url]);
  const cpu = cpuMicros(server.pid) - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const non2xx = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  if (requests === 0) throw new Error(`wrk got no answer from ${url}:\n${stdout}`);
  return { requests, non2xx, perCpuSecond: (requests / cpu) * 1e6 };
};
