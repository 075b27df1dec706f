/** The built server in front of a sandbox that the test controls, and clients in great numbers. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';

const SERVER = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

const STALLED_READERS = fileURLToPath(new URL('stalled-readers.py', import.meta.url));

export interface Rig {
  readonly sandbox: Sandbox;
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** Value of a metric without its prefix, summed over its labels; those with `label` only. */
  metric(name: string, label?: string): Promise<number>;
  /** Resident memory of the server, in bytes (Linux). */
  residentBytes(): Promise<number>;
  close(): Promise<void>;
}

/** The built server; resolves when it listens. `env` goes on top of quiet defaults; SANDBOX is the caller's to give. */
export const startServer = async (
  env: Record<string, string>,
): Promise<{ readonly process: ChildProcess; readonly url: string; close(): Promise<void> }> => {
  const child = spawn(process.execPath, [SERVER], {
    env: {
      PATH: process.env['PATH'],
      APP_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      REDIS_ENABLED: 'false',
      ENABLED_EXCHANGES: 'binance',
      // A busy machine is no overload of the server. What sheds load is tested where it is.
      OVERLOAD_DELAY: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lastWords = rememberLast(child, LAST_WORDS);
  child.once('exit', (code) => {
    if (code !== null && code !== 0)
      console.error([`The server ended with ${code}:`, ...lastWords].join('\n'));
  });
  const url = await listeningUrl(child);
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  return { process: child, url, close };
};

/** Starts both; resolves when the server listens. */
export const startRig = async (env: Record<string, string> = {}): Promise<Rig> => {
  const sandbox = await startSandbox({ ticksPerSecond: 0 });
  const server = await startServer({ SANDBOX: sandbox.url, ...env });
  const { process: child, url } = server;
  const metrics = async (): Promise<string> => (await fetch(`${url}/metrics`)).text();
  return {
    sandbox,
    url,
    port: Number(new URL(url).port),
    process: child,
    async metric(name, label = '') {
      const lines = (await metrics()).split('\n').filter((line) => new RegExp(`^\\w*${name}[ {]`).test(line));
      return lines
        .filter((line) => line.includes(label))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    async residentBytes() {
      return Number(/^\w*process_resident_memory_bytes (\S+)/m.exec(await metrics())?.[1]);
    },
    async close() {
      await server.close();
      await sandbox.close();
    },
  };
};

/** Lines of the log that are printed where a server ends by a fault. */
const LAST_WORDS = 10;
const rememberLast = (child: ChildProcess, count: number): readonly string[] => {
  const lines: string[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => {
    if (lines.push(line) > count) lines.shift();
  });
  return lines;
};

const listeningUrl = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    child.once('exit', (code) =>
      reject(new Error(`The server ended with ${String(code)} before it listened.`)),
    );
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const address = /"address":"(http:[^"]+)"/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });

export interface Reader {
  /** The tickers in order of arrival, as they stand on the wire. */
  readonly tickers: string[];
  /** performance.now() of each arrival. */
  readonly times: number[];
  /** The states that the stream told, in order, with the time of their arrival (Date.now()). */
  readonly states: { readonly state: string; readonly at: number }[];
  readonly closed: Promise<number>;
  close(): void;
}

const isTicker = (json: string): boolean => json.startsWith('{"event_type":"ticker"');
const STATUS = /^\{"event_type":"status".*"state":"(\w+)"/;

/** Files one event; `first` is called with the first ticker. */
const receive = (reader: Reader, json: string, first: (reader: Reader) => void): void => {
  if (isTicker(json)) {
    reader.times.push(performance.now());
    if (reader.tickers.push(json) === 1) first(reader);
    return;
  }
  const state = STATUS.exec(json)?.[1];
  if (state !== undefined) reader.states.push({ state, at: Date.now() });
};

/** Resolves when the first ticker is there. */
export const readSse = (port: number, query: string): Promise<Reader> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () =>
      socket.write(`${sseHead(query).join('\r\n')}\r\n\r\n`),
    );
    const closed = new Promise<number>((settle) => socket.once('close', () => settle(0)));
    const close = (): void => void socket.destroy();
    const reader: Reader = { tickers: [], times: [], states: [], closed, close };
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const messages = (rest + chunk).split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) receive(reader, message.split('data: ')[1] ?? '', resolve);
    });
    socket.once('error', reject);
  });

/** Resolves when the first ticker is there. */
export const readWs = (port: number, query: string): Promise<Reader> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/ticker?${query}`, { perMessageDeflate: false });
    const closed = new Promise<number>((settle) => socket.once('close', settle));
    const reader: Reader = { tickers: [], times: [], states: [], closed, close: () => socket.terminate() };
    socket.on('message', (data) => {
      receive(reader, (data as Buffer).toString(), resolve);
    });
    socket.once('error', reject);
  });

/** Clients that are connected and never read (stalled-readers.py). */
export const stall = async (port: number, count: number, head: readonly string[]): Promise<ChildProcess> => {
  const child = spawn('python3', [STALLED_READERS, String(port), String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(`${head.join('\r\n')}\r\n\r\n`);
  const said = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  if (String(said[0]).trim() !== 'ready') throw new Error(`The stalled readers said ${String(said[0])}`);
  return child;
};

export const sseHead = (query: string): string[] => [
  `GET /v1/stream/ticker?${query} HTTP/1.1`,
  'Host: localhost',
];

export const wsHead = (query: string): string[] => [
  `GET /ws/ticker?${query} HTTP/1.1`,
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** Opens `count` readers, not all at once: a listen queue is short. */
export const openMany = async <T>(count: number, open: () => Promise<T>): Promise<T[]> => {
  const AT_ONCE = 50;
  const readers: T[] = [];
  while (readers.length < count)
    readers.push(
      ...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - readers.length) }, open))),
    );
  return readers;
};

/** A client that asks for this gets every tick of one market. */
export const EVERY_TICK = 'exchange=binance&symbol=BTC/USDT&threshold=0';

const received = (readers: Reader[]): number => readers.reduce((sum, { tickers }) => sum + tickers.length, 0);

/** Forgets the first events, which differ by when a reader came, once the standing market has no more of them. */
export const settle = async (readers: Reader[]): Promise<void> => {
  let before = 0;
  while (before !== received(readers)) {
    before = received(readers);
    await pause(1000);
  }
  for (const reader of readers) reader.tickers.length = reader.times.length = 0;
};
