/**
 * Clients that mean harm, all on loopback, against the built server: while they do their worst every good request is
 * answered, and afterwards the memory is back. In `npm run test:slow` each of them goes on until the server's own
 * deadlines have passed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { extent } from '../support/extent.js';
import { closed, CROWD, dribble, flood, open, webSocketFlood, type Abuse } from './attackers.js';

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

/** Good clients for as long as `abuse` lasts: tickers over a kept connection and over a new one each, in turn. */
const serviceDuring = async <T>(abuse: (abuse: Abuse) => Promise<T>): Promise<[Service, T]> => {
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  const state = { over: false };
  const refused: string[] = [];
  const [startedAt, waitedBefore] = [performance.now(), waitedForCoreMs()];
  const until = performance.now() + ABUSE_MS;
  const goesOn = () => performance.now() < until || times.length <= LEAST_ANSWERED;
  const ended = abuse({ port: target.port, goesOn }).finally(() => (state.over = true));
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
    const [service, cut] = await serviceDuring((abuse) => dribble(abuse, 500, { first, drip: 'X-A: b\r\n' }));
    report('slow-loris, headers', service, { cut });
    expectGoodService(service);
    // Headers have 10 s, looked at every 2 s.
    if (ABUSE_MS >= 15_000) expect(cut).toBe(500);
    await expectMemoryBack();
  });

  test('while bodies are dribbled, and those connections are cut in time', async () => {
    const first =
      'POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n';
    const [service, cut] = await serviceDuring((abuse) => dribble(abuse, 500, { first, drip: ' ' }));
    report('slow-loris, bodies', service, { cut });
    expectGoodService(service);
    // A whole request has 15 s.
    if (ABUSE_MS >= 19_000) expect(cut).toBe(500);
    await expectMemoryBack();
  });

  test('while as many connections are open and idle as the system allows, 10,000 at most', async () => {
    const count = idleSockets();
    const sockets: net.Socket[] = [];
    const crowd = async ({ port, goesOn }: Abuse): Promise<void> => {
      while (sockets.length < count) {
        const more = Math.min(CROWD, count - sockets.length);
        sockets.push(...(await Promise.all(Array.from({ length: more }, () => open(port)))));
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
    const [service, answers] = await serviceDuring((abuse) => flood(abuse, () => bomb));
    const statuses = Object.fromEntries(answers);
    report('header bombs', service, statuses);
    expectGoodService(service);
    expect(statuses['431']).toBeGreaterThan(CROWD);
    expect(Object.keys(statuses).filter((status) => !['431', 'none'].includes(status))).toEqual([]);
    await expectMemoryBack();
  });

  test('while requests for what does not exist come in a flood, each for another path', async () => {
    let path = 0;
    const [service, answers] = await serviceDuring((abuse) =>
      flood(abuse, () => `GET /nothing/${(path += 1)}?${'q'.repeat(500)} HTTP/1.1\r\nHost: x\r\n\r\n`),
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
