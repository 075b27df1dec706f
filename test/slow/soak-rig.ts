/** The built server and a sandbox, a process each, with a probe in every thread and one clock for all of them. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import type { SandboxControl } from '../../src/sandbox/control.js';
import type { FaultRule } from '../../src/sandbox/faults.js';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const PROBE = new URL('./soak-probe.js', import.meta.url).href;

export const VENUES = ['binance', 'kraken', 'coinbaseexchange'] as const;
/** A worker each, so that each can be told from the others. */
const WORKERS = VENUES.length;

type VenueLog = ReturnType<SandboxControl['requestLog']>;
type VenueSockets = ReturnType<SandboxControl['listSockets']>;
type Counts = Readonly<Record<string, number>>;

export interface ThreadReading {
  /** `main`, or the exchange of a worker. */
  readonly thread: string;
  /** libuv's handles by type, unref'd ones included. */
  readonly handles: Counts;
  /** process.getActiveResourcesInfo() by kind. */
  readonly resources: Counts;
  /** Running timers, unref'd ones included. */
  readonly timers: number;
  /** Heap and external memory after a collection. */
  readonly heapBytes: number;
}

export interface Reading {
  readonly main: ThreadReading;
  readonly workers: readonly ThreadReading[];
  /** Open file descriptors of the process by kind. */
  readonly descriptors: Counts;
  readonly threads: number;
}

export interface SoakRig {
  readonly port: number;
  readonly url: string;
  /** For requests to both; every cycle has its own, closed at its end. */
  agent: Agent;
  get(path: string, headers?: Record<string, string>): Promise<{ status: number; text: string }>;
  /** Sum over the labels of a metric, without its prefix. */
  metric(name: string): Promise<number>;
  control: {
    fault(rule: FaultRule): Promise<void>;
    clear(): Promise<void>;
    sockets(action: Record<string, unknown>): Promise<void>;
    log(): Promise<VenueLog>;
    forget(): Promise<void>;
    open(): Promise<VenueSockets>;
  };
  read(): Promise<Reading>;
  /** Ends the connections that the venues keep alive for nobody. */
  dropIdle(): Promise<void>;
  /** Moves the time of day in every thread of both processes. */
  pass(ms: number): Promise<void>;
  passedMs(): number;
  /** Ends a venue's worker as an uncaught exception would; resolves when its successor runs. */
  killWorker(exchange: string): Promise<void>;
  close(): Promise<void>;
}

const start = (file: string, env: Record<string, string>): ChildProcess =>
  fork(path(file), {
    env: { PATH: process.env['PATH'], NODE_OPTIONS: `--import=${PROBE}`, ...env },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });

const SETTINGS = {
  APP_ENV: 'production',
  LOG_LEVEL: 'INFO',
  PORT: '0',
  OVERLOAD_DELAY: '0',
  HOST: '127.0.0.1',
  REDIS_ENABLED: 'false',
  CMC_API_KEY: 'soak',
  ENABLED_EXCHANGES: VENUES.join(','),
  EXCHANGE_WORKERS: String(WORKERS),
  // CCXT's spacing of a second a request would be most of the time.
  EXCHANGE_OPTIONS: JSON.stringify(Object.fromEntries(VENUES.map((id) => [id, { rateLimit: 1 }]))),
  RATE_LIMIT_REQUESTS: '1000000',
  RATE_LIMIT_WINDOW: '1',
  MAX_RETRIES: '1',
  INITIAL_BACKOFF: '0.02',
  MAX_BACKOFF: '0.05',
  UPSTREAM_TIMEOUT: '0.4',
  REQUEST_TIMEOUT: '3',
  STREAM_LINGER: '0.1',
  STREAM_HEARTBEAT_INTERVAL: '0.1',
  STREAM_IDLE_TIMEOUT: '0.5',
};

const listeningUrl = (server: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    server.once('exit', (code) => reject(new Error(`The server ended with ${String(code)}.`)));
    createInterface({ input: server.stdout! }).on('line', (line) => {
      const address = /"address":"(http:[^"]+)"/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });

/** Orders to a probe, each with its answer. */
const ordersTo = (child: ChildProcess) => {
  let lastId = 0;
  const waiting = new Map<number, (answer: unknown) => void>();
  child.on('message', (message: { id?: number }) => {
    if (message.id !== undefined) waiting.get(message.id)?.(message);
  });
  return <T>(order: Record<string, unknown>): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = (lastId += 1);
      waiting.set(id, (answer) => {
        waiting.delete(id);
        resolve(answer as T);
      });
      child.send({ id, ...order }, (error) => {
        if (error !== null) reject(error);
      });
    });
};

export const startSoakRig = async (): Promise<SoakRig> => {
  const sandbox = start('./soak-sandbox.js', {});
  sandbox.stdout!.resume();
  const [{ url: sandboxUrl }] = (await once(sandbox, 'message')) as [{ url: string }];
  const server = start('../../dist/cli.js', { ...SETTINGS, SANDBOX: sandboxUrl });
  const url = await listeningUrl(server);
  const toServer = ordersTo(server);
  const toSandbox = ordersTo(sandbox);
  let aheadMs = 0;

  const control = async <T>(method: 'GET' | 'POST' | 'DELETE', what: string, body?: unknown): Promise<T> => {
    const answer = await request(`${sandboxUrl}/_control/${what}`, {
      method,
      headers: { 'content-type': 'application/json' },
      dispatcher: rig.agent,
      body: body === undefined ? null : JSON.stringify(body),
    });
    const said = (await answer.body.json()) as { error?: string };
    if (said.error !== undefined) throw new Error(said.error);
    return said as T;
  };

  const rig: SoakRig = {
    url,
    port: Number(new URL(url).port),
    agent: new Agent({ connections: 32 }),
    async get(where, headers = {}) {
      const answer = await request(`${url}${where}`, { dispatcher: rig.agent, headers });
      return { status: answer.statusCode, text: await answer.body.text() };
    },
    async metric(name) {
      const { text } = await rig.get('/metrics');
      const lines = text.split('\n').filter((line) => new RegExp(`^crypto_data_${name}[ {]`).test(line));
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    control: {
      fault: (rule) => control('POST', 'faults', rule),
      clear: () => control('DELETE', 'faults'),
      sockets: (action) => control('POST', 'sockets', action),
      log: async () => (await control<{ requests: VenueLog }>('GET', 'requests')).requests,
      forget: () => control('DELETE', 'requests'),
      open: async () => (await control<{ sockets: VenueSockets }>('GET', 'state')).sockets,
    },
    async read() {
      const { main, workers, descriptors, threads } = await toServer<Reading>({
        order: 'read',
        workers: WORKERS,
      });
      const sorted = [...workers].sort((a, b) => a.thread.localeCompare(b.thread));
      return { main, workers: sorted, descriptors, threads };
    },
    dropIdle: () => toSandbox({ order: 'drop idle' }),
    async pass(ms) {
      aheadMs += ms;
      await toSandbox({ order: 'advance', to: aheadMs });
      await toServer({ order: 'advance', to: aheadMs, workers: WORKERS });
    },
    passedMs: () => aheadMs,
    async killWorker(exchange) {
      const before = await rig.metric('worker_restarts_total');
      await toServer({ order: 'die', thread: exchange });
      await until('a worker is replaced', async () => (await rig.metric('worker_restarts_total')) > before);
      await until('all workers run', async () => (await rig.metric('worker_up')) === WORKERS);
    },
    async close() {
      await rig.agent.destroy();
      for (const child of [server, sandbox]) {
        if (child.exitCode !== null) continue;
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
    },
  };
  return rig;
};

/** Far beyond what any condition takes on a machine that does other things as well. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 50;

/** Waits for a condition; rejects with its name if it does not come. */
export const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  const since = performance.now();
  while (!(await holds())) {
    if (performance.now() - since > PATIENCE_MS) throw new Error(`Waited in vain: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
};
