/**
 * Clients that mean harm, all on loopback, against the built server: while they do their worst every good request is
 * answered, and afterwards the memory is back. In `npm run test:slow` each of them goes on until the server's own
 * deadlines have passed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { extent } from '../support/extent.js';

const SERVER = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const ABUSE_MS = extent({ short: 1_000, long: 20_000 });
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
/** Good requests: one after the other, with this pause. */
const PACE_MS = 20;
/** More than so many are answered while an abuse goes on, which lasts until they are, however busy the machine is. */
const LEAST_ANSWERED = 10;
/** No good request may take longer. Generous: attackers and tests share the machine with the server. */
const WORST_MS = 5_000;
/** Waiting for a core for more than so much of its time is the doing of what else the machine runs. */
const STARVED = 0.5;
/** What the server may hold beyond its memory before the abuse, once that is over. */
const SPARE_BYTES = 48 * 1024 * 1024;
const MEMORY_PATIENCE_MS = 30_000;
/** Sockets opened at once by a flood. */
const CROWD = 64;

interface Target {
  readonly port: number;
  readonly child: ChildProcess;
}

let target: Target;
/** Resident bytes of the server, warm, before anything bad was done to it. */
let restingBytes: number;

/** Time in ms that the server's main thread has waited for a core to run on, since it started (Linux). */
const waitedForCoreMs = (): number => {
  const [, waited = '0'] = readFileSync(`/proc/${String(target.child.pid)}/schedstat`, 'utf8').split(' ');
  return Number(waited) / 1e6;
};

const residentBytes = (): number => {
  const status = readFileSync(`/proc/${String(target.child.pid)}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
};

/** … after a collection; an answer that comes after the signal comes after it. */
const collectedBytes = async (): Promise<number> => {
  for (let i = 0; i < 2; i++) {
    target.child.kill('SIGUSR2');
    await get('/v1/health', false);
  }
  return residentBytes();
};

/** Idle sockets that this process may hold; the server needs as many, and both need some for themselves. */
const idleSockets = (): number => {
  const limit = /Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024;
  return Math.min(10_000, Number(limit) - 500);
};

/** Collects garbage when it is told to: what is left after that is really held. */
const COLLECTING = [
  '--expose-gc',
  '--import',
  'data:text/javascript,import{isMainThread}from"node:worker_threads";if(isMainThread)process.on("SIGUSR2",()=>gc())',
];

const startServer = async (): Promise<Target> => {
  const child = spawn(process.execPath, [...COLLECTING, SERVER], {
    env: {
      PATH: process.env['PATH'],
      APP_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      ALLOWED_HOSTS: '*',
      REDIS_ENABLED: 'false',
      SANDBOX: 'true',
      ENABLED_EXCHANGES: 'binance',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /"address":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(line)?.[1];
    if (port === undefined) continue;
    child.stdout.resume();
    return { port: Number(port), child };
  }
  throw new Error('The server ended before it listened.');
};

interface Answer {
  readonly status: number;
  readonly body: string;
}
const get = (path: string, agent: Agent | false): Promise<Answer> =>
  new Promise((resolve, reject) => {
    request({ port: target.port, host: '127.0.0.1', path, agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on('error', reject)
      .end();
  });

interface Service {
  readonly answered: number;
  /** What came instead of good answers: status and code. */
  readonly refused: readonly string[];
  /** Part of the time in which the server's main thread could have run and had no core. */
  readonly starved: number;
  readonly p50: number;
  readonly worst: number;
}

/** An abuse goes on for as long as this says so. */
type GoesOn = () => boolean;

/** Good clients for as long as `abuse` lasts: tickers over a kept connection and over a new one each, in turn. */
const serviceDuring = async <T>(abuse: (goesOn: GoesOn) => Promise<T>): Promise<[Service, T]> => {
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  const state = { over: false };
  const refused: string[] = [];
  const [startedAt, waitedBefore] = [performance.now(), waitedForCoreMs()];
  const until = performance.now() + ABUSE_MS;
  const goesOn: GoesOn = () => performance.now() < until || times.length <= LEAST_ANSWERED;
  const ended = abuse(goesOn).finally(() => (state.over = true));
  while (!state.over) {
    for (const agent of [kept, false] as const) {
      const at = performance.now();
      const { status, body } = await get(TICKER, agent);
      if (status !== 200) refused.push(`${status} ${/"code":"(\w+)"/.exec(body)?.[1] ?? body.slice(0, 80)}`);
      times.push(performance.now() - at);
    }
    await delay(PACE_MS);
  }
  const outcome = await ended;
  const starved = (waitedForCoreMs() - waitedBefore) / (performance.now() - startedAt);
  kept.destroy();
  times.sort((a, b) => a - b);
  const [p50 = 0, worst = 0] = [times[times.length >> 1], times.at(-1)];
  return [{ answered: times.length, refused, starved, p50, worst }, outcome];
};

/** A connection that never rejects: what is refused or reset is what an attacker must expect. */
const open = (): Promise<net.Socket> =>
  new Promise((resolve) => {
    const socket = net.connect(target.port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => resolve(socket));
  });

const closed = async (socket: net.Socket): Promise<void> => {
  if (!socket.closed) await once(socket, 'close').catch(() => undefined);
};

/** Sends `bytes` over connection after connection; resolves with the status of each answer. */
const flood = async (goesOn: GoesOn, bytes: () => string | Buffer): Promise<Map<string, number>> => {
  const statuses = new Map<string, number>();
  let ended = 0;
  const attacker = async (): Promise<void> => {
    while (goesOn() || ended <= 2 * CROWD) {
      const socket = await open();
      let head = '';
      socket.on('data', (chunk: Buffer) => {
        if (head === '') head = chunk.toString('latin1', 0, 12);
        socket.destroy();
      });
      socket.write(bytes());
      socket.setTimeout(WORST_MS, () => socket.destroy());
      await closed(socket);
      const status = head.slice(9, 12) || 'none';
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      ended += 1;
    }
  };
  await Promise.all(Array.from({ length: CROWD }, attacker));
  return statuses;
};

/** Keeps `count` connections open at once, each sending `first` and then a bit of `drip` every now and then. */
const dribble = async (
  goesOn: GoesOn,
  count: number,
  { first, drip }: { first: string; drip: string },
): Promise<number> => {
  const DRIP_MS = 200;
  const sockets = await Promise.all(Array.from({ length: count }, open));
  for (const socket of sockets) {
    socket.resume();
    socket.write(first);
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(drip);
  }, DRIP_MS);
  while (goesOn()) await delay(PACE_MS);
  clearInterval(timer);
  const cut = sockets.filter((socket) => socket.closed || !socket.writable).length;
  for (const socket of sockets) socket.destroy();
  return cut;
};

const megabytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

const report = (what: string, service: Service, more: object): void => {
  const { answered, starved, p50, worst } = service;
  const [low, high] = [p50.toFixed(1), worst.toFixed(0)];
  const memory = `${megabytes(restingBytes)} MB before, ${megabytes(residentBytes())} MB`;
  console.log(
    `${what}: ${answered} good requests, p50 ${low} ms, worst ${high} ms, ${(starved * 100).toFixed(0)} % without a core; ${memory};`,
    more,
  );
};

const expectGoodService = ({ answered, refused, starved, worst }: Service): void => {
  expect(answered).toBeGreaterThan(LEAST_ANSWERED);
  // A server that has no core lags whatever it does, and rightly says that it is overloaded.
  const isStarved = starved > STARVED;
  expect(refused.filter((what) => !isStarved || what !== '503 overloaded')).toEqual([]);
  expect(worst).toBeLessThan(WORST_MS);
};

const expectMemoryBack = async (): Promise<void> => {
  await expect
    .poll(async () => (await collectedBytes()) - restingBytes, { timeout: MEMORY_PATIENCE_MS, interval: 500 })
    .toBeLessThan(SPARE_BYTES);
  console.log(`afterwards: ${megabytes(residentBytes())} MB`);
};

beforeAll(async () => {
  target = await startServer();
  // Warm: code compiled, markets loaded, heap grown to what plain work needs.
  const until = performance.now() + 1_500;
  while (performance.now() < until)
    await Promise.all(Array.from({ length: CROWD }, () => get(TICKER, false)));
  restingBytes = await collectedBytes();
});
afterAll(async () => {
  const { child } = target;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
});

describe('good clients are served and memory returns', () => {
  test('while headers are dribbled (slow-loris), and those connections are cut in time', async () => {
    const first = `GET ${TICKER} HTTP/1.1\r\nHost: x\r\n`;
    const [service, cut] = await serviceDuring((goesOn) =>
      dribble(goesOn, 500, { first, drip: 'X-A: b\r\n' }),
    );
    report('slow-loris, headers', service, { cut });
    expectGoodService(service);
    // Headers have 10 s, looked at every 2 s.
    if (ABUSE_MS >= 15_000) expect(cut).toBe(500);
    await expectMemoryBack();
  });

  test('while bodies are dribbled, and those connections are cut in time', async () => {
    const first =
      'POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n';
    const [service, cut] = await serviceDuring((goesOn) => dribble(goesOn, 500, { first, drip: ' ' }));
    report('slow-loris, bodies', service, { cut });
    expectGoodService(service);
    // A whole request has 15 s.
    if (ABUSE_MS >= 19_000) expect(cut).toBe(500);
    await expectMemoryBack();
  });

  test('while as many connections are open and idle as the system allows, 10,000 at most', async () => {
    const count = idleSockets();
    const sockets: net.Socket[] = [];
    const crowd = async (goesOn: GoesOn): Promise<void> => {
      while (sockets.length < count) {
        const more = Math.min(CROWD, count - sockets.length);
        sockets.push(...(await Promise.all(Array.from({ length: more }, open))));
      }
      while (goesOn()) await delay(PACE_MS);
    };
    const [service] = await serviceDuring(crowd);
    const openNow = sockets.filter((socket) => socket.readyState === 'open').length;
    const bytes = Math.round((residentBytes() - restingBytes) / count);
    report('idle connections', service, { open: openNow, bytesEach: bytes });
    for (const socket of sockets) socket.destroy();
    await Promise.all(sockets.map(closed));
    expectGoodService(service);
    expect(count).toBeGreaterThan(500);
    await expectMemoryBack();
  });

  test('while headers larger than the bound come in a flood', async () => {
    const bomb = `GET ${TICKER} HTTP/1.1\r\nHost: x\r\n${`X-Bomb: ${'b'.repeat(1000)}\r\n`.repeat(64)}\r\n`;
    const [service, answers] = await serviceDuring((goesOn) => flood(goesOn, () => bomb));
    const statuses = Object.fromEntries(answers);
    report('header bombs', service, statuses);
    expectGoodService(service);
    expect(statuses['431']).toBeGreaterThan(CROWD);
    expect(Object.keys(statuses).filter((status) => !['431', 'none'].includes(status))).toEqual([]);
    await expectMemoryBack();
  });

  test('while requests for what does not exist come in a flood, each for another path', async () => {
    let path = 0;
    const [service, answers] = await serviceDuring((goesOn) =>
      flood(goesOn, () => `GET /nothing/${(path += 1)}?${'q'.repeat(500)} HTTP/1.1\r\nHost: x\r\n\r\n`),
    );
    const statuses = Object.fromEntries(answers);
    report('404s', service, statuses);
    expectGoodService(service);
    expect(statuses['404']).toBeGreaterThan(CROWD);
    expect(statuses).not.toHaveProperty('500');
    await expectMemoryBack();
  });

  test('while WebSocket clients send frames that no client may send', async () => {
    const [service, ends] = await serviceDuring(webSocketFlood);
    report('bad WebSocket frames', service, ends);
    expectGoodService(service);
    expect(ends['1002']).toBeGreaterThan(0);
    expect(ends['1008']).toBeGreaterThan(0);
    expect(ends['1009']).toBeGreaterThan(0);
    await expectMemoryBack();
  });
});

/** A frame as a client sends it, masked with zeros. */
const frame = (opcode: number, payload: Buffer): Buffer => {
  const head = Buffer.from([
    0x80 | opcode,
    0x80 | 126,
    payload.length >> 8,
    payload.length & 255,
    0,
    0,
    0,
    0,
  ]);
  return Buffer.concat([head, payload]);
};

const BAD_FRAMES: readonly Buffer[] = [
  // Reserved bits, a reserved opcode, no mask, a continuation of nothing, a control frame in parts: 1002.
  Buffer.from([0xf1, 0x81, 0, 0, 0, 0, 65]),
  Buffer.from([0x83, 0x80, 0, 0, 0, 0]),
  Buffer.from([0x81, 0x01, 65]),
  Buffer.from([0x80, 0x81, 0, 0, 0, 0, 65]),
  Buffer.from([0x09, 0x81, 0, 0, 0, 0, 65]),
  // A message of 1 TB announced: 1009.
  Buffer.from([0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  // No UTF-8: 1007.
  frame(1, Buffer.from([0xc3, 0x28, 0xa0, 0xa1])),
  // Faultless frames with nonsense in them: strikes, then 1008.
  Buffer.concat(Array.from({ length: 50 }, () => frame(1, Buffer.from('{"method":"__proto__"}')))),
];

const HANDSHAKE = `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;

/** Close code among the frames of a server, which are short and not masked; undefined where there is none yet. */
const closeCodeIn = (frames: Buffer): string | undefined => {
  let at = 0;
  while (at + 4 <= frames.length) {
    if (frames[at] === 0x88) return String(frames.readUInt16BE(at + 2));
    const length = frames.readUInt8(at + 1);
    at += length === 126 ? 4 + frames.readUInt16BE(at + 2) : 2 + length;
  }
  return undefined;
};

/** Bad frames over connection after connection; how the connections ended, by close code. */
const webSocketFlood = async (goesOn: GoesOn): Promise<Record<string, number>> => {
  const ends: Record<string, number> = {};
  let turn = 0;
  const attacker = async (): Promise<void> => {
    while (goesOn()) {
      const bad = BAD_FRAMES[(turn += 1) % BAD_FRAMES.length] ?? Buffer.alloc(0);
      const socket = await open();
      let received = Buffer.alloc(0);
      let upgraded = false;
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        if (upgraded && closeCodeIn(received) !== undefined) socket.end();
        if (upgraded || !received.includes('\r\n\r\n')) return;
        upgraded = true;
        received = Buffer.alloc(0);
        socket.write(bad);
      });
      socket.on('end', () => socket.end());
      socket.setTimeout(WORST_MS, () => socket.destroy());
      socket.write(HANDSHAKE);
      await closed(socket);
      const end = closeCodeIn(received) ?? 'none';
      ends[end] = (ends[end] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CROWD }, attacker));
  return ends;
};
