/** The server of `npm run demo` on a port of its own, and programs that are run against it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const START_LIMIT_MS = 30_000;

export interface Demo {
  readonly port: number;
  stop(): Promise<void>;
}

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), 12_000);
  await exited;
  clearTimeout(kill);
};

/** The built server with the demo's settings, once it listens. */
export const startDemo = async (): Promise<Demo> => {
  // As the demo: candles are kept in a temporary folder that ends with it.
  const own = { SANDBOX: 'true', REDIS_ENABLED: 'false', STORE_URL: '', PORT: '0', HOST: '127.0.0.1' };
  const env = { ...process.env, ...own };
  const child = spawn(process.execPath, ['dist/cli.js'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const giveUp = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /"address":"[^"]*:(\d+)"/.exec(line)?.[1];
    if (port === undefined) continue;
    clearTimeout(giveUp);
    child.stdout.resume();
    return { port: Number(port), stop: () => end(child) };
  }
  clearTimeout(giveUp);
  throw new Error('The server ended before it listened.');
};

export interface Run {
  readonly code: number | null;
  readonly output: string;
}

/**
 * Runs a program in the repository's root until it ends, `until` finds what it looks for in its output, or the time is
 * up; then it is ended.
 */
export const run = async (
  [command, ...rest]: readonly [string, ...string[]],
  { limitMs, until = () => false }: { limitMs: number; until?: (output: string) => boolean },
): Promise<Run> => {
  const child = spawn(command, rest, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const take = (chunk: Buffer): void => {
    output += chunk.toString();
    if (until(output)) child.kill('SIGKILL');
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  await once(child, 'close');
  clearTimeout(timer);
  return { code: child.exitCode, output };
};
