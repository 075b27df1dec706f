/** The C client of the fan-out figures, compiled on first use, and the bytes that it sends. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pause } from './processes.js';

const scratch = mkdtempSync(join(tmpdir(), 'bench-fanout-'));
let binary: string | undefined;

const compiled = (): string => {
  if (binary === undefined) {
    binary = join(scratch, 'fanout-client');
    const source = fileURLToPath(new URL('../native/fanout-client.c', import.meta.url));
    try {
      execFileSync('cc', ['-O2', '-o', binary, source]);
    } catch (cause) {
      throw new Error('The fan-out figures need a C compiler (Debian: apt-get install gcc libc6-dev).', {
        cause,
      });
    }
  }
  return binary;
};

/** Occurs once in every ticker event, and nowhere else in a stream. */
const TICKER_MARKER = '"event_type":"ticker"';

export const sseRequest = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`;

export const upgradeRequest = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** A text frame as a server sends it: unmasked (RFC 6455, section 5.2). */
export const serverFrame = (text: string): Buffer => {
  const body = Buffer.from(text);
  const head =
    body.length < 126
      ? Buffer.from([0x81, body.length])
      : Buffer.from([0x81, 126, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([head, body]);
};

/** A text frame as a client sends it, masked with zeros. */
export const clientFrame = (text: string): Buffer => {
  const frame = serverFrame(text);
  const lengthBytes = frame[1] === 126 ? 2 : 0;
  frame[1] = (frame[1] ?? 0) | 0x80;
  return Buffer.concat([
    frame.subarray(0, 2 + lengthBytes),
    Buffer.alloc(4),
    frame.subarray(2 + lengthBytes),
  ]);
};

export interface FanoutCount {
  readonly open: number;
  readonly events: number;
  readonly bytes: number;
  /** CPU of the client itself since its start: shows that it is not the bottleneck. */
  readonly cpu_us: number;
  /** Median time from the stamp in an event to its receipt, since the last reading; -1 without a stamp. */
  readonly delay_p50_us: number;
}

export interface FanoutOptions {
  readonly port: number;
  readonly clients: number;
  /** Sent on connecting; none for the raw TCP floor. */
  readonly request?: string | Buffer;
  /** Sent after the first answer. */
  readonly second?: Buffer;
  readonly marker?: string;
  /** The text in front of an event's time in Unix milliseconds, to have the delay of its receipt measured. */
  readonly stamp?: string;
}

/** `clients` sockets of one process on the load's core. */
export class Fanout {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: Interface,
  ) {}

  static async start({ port, clients, request, second, marker, stamp }: FanoutOptions): Promise<Fanout> {
    const file = join(scratch, `request-${port}-${performance.now()}`);
    const parts = [
      typeof request === 'object' ? request : Buffer.from(request ?? ''),
      ...(second ? [Buffer.from('\n====\n'), second] : []),
    ];
    writeFileSync(file, Buffer.concat(parts));
    const argv = ['-c', '1', compiled(), '127.0.0.1', String(port), String(clients)];
    const texts = [marker ?? TICKER_MARKER, ...(stamp === undefined ? [] : [stamp])];
    const child = spawn('taskset', [...argv, request === undefined ? '-' : file, ...texts], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const fanout = new Fanout(child, createInterface({ input: child.stdout }));
    const deadline = performance.now() + 20_000;
    while ((await fanout.read()).open < clients) {
      if (performance.now() > deadline)
        throw new Error(`only ${(await fanout.read()).open} of ${clients} clients`);
      await pause(50);
    }
    return fanout;
  }

  async read(): Promise<FanoutCount> {
    const line = once(this.lines, 'line');
    this.child.stdin?.write('read\n');
    const [text] = (await line) as [string];
    return JSON.parse(text) as FanoutCount;
  }

  async stop(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.stdin?.end('quit\n');
    await gone;
  }
}
