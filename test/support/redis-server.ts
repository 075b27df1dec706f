/** A real redis-server of the test's own, on a free port, that can be killed, paused, filled and brought back. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { freePort } from './free-port.js';

const START_TIMEOUT_MS = 20_000;

const isThere = (): boolean => {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Asked once a process: the child stops all of it meanwhile. */
let found = false;
const ensureBinary = (): void => {
  found ||= isThere();
  if (!found)
    throw new Error('These tests need redis-server: install it (Debian: apt-get install redis-server).');
};

/** One command over a socket of its own; the raw reply. */
const ask = (port: number, command: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.setTimeout(5_000, () => socket.destroy(new Error('redis-server is silent')));
    socket.once('error', reject);
    socket.once('data', (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
    socket.write(`*${command.length}\r\n${parts.join('')}`);
  });

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** A command past the code under test; the raw reply. */
  command(...parts: string[]): Promise<string>;
  /** SIGSTOP: it holds its connections and says nothing. */
  pause(): void;
  resume(): void;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** `args`: further command line options, e.g. `['--maxmemory', '2mb']`; `env`: further variables. */
export const startRedis = async (
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<RedisServer> => {
  ensureBinary();
  const port = await freePort();
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const started = spawn('redis-server', [...options, '--dir', tmpdir(), ...args], {
      stdio: 'ignore',
      env: { ...process.env, ...env },
    });
    child = started;
    const giveUpAt = Date.now() + START_TIMEOUT_MS;
    while (!(await ask(port, ['PING']).catch(() => '')).startsWith('+PONG')) {
      if (started.exitCode !== null || Date.now() > giveUpAt) throw new Error('redis-server did not start');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running?.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGKILL');
    await exited;
  };

  await start();
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    command: (...parts) => ask(port, parts),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    kill,
    restart: start,
    stop: kill,
  };
};
