/**
 * Attacks that once ended, shut or filled the server, in a bounded form: a few hundred connections, seconds each. Judged
 * from outside: the process lives, a good client beside each attack is served within GOOD_MS, requests in flight go back
 * to the scraper's own, and so does the memory. `npm run test:slow` attacks longer: what an attack leaves behind adds up.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { extent } from '../support/extent.js';

const SERVER = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const GOOD_MS = 8_000;
/** What may stay behind an attack; each of them once left hundreds of megabytes. */
const SPARE_BYTES = 150 * 1024 * 1024;
const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';

/** Rounds of resets, and times that each pipelining attack is made. */
const RESET_ROUNDS = extent({ short: 4, long: 60 });
const PIPELINE_ROUNDS = extent({ short: 1, long: 10 });

let child: ChildProcess;
let port = 0;

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

beforeAll(async () => {
  child = spawn(process.execPath, [SERVER], {
    env: {
      PATH: process.env['PATH'],
      APP_ENV: 'production',
      PORT: '0',
      OVERLOAD_DELAY: '0',
      HOST: '127.0.0.1',
      REDIS_ENABLED: 'false',
      SANDBOX: 'true',
      ENABLED_EXCHANGES: 'binance',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    const found = /"address":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(line)?.[1];
    if (found === undefined) continue;
    port = Number(found);
    break;
  }
  child.stdout!.resume();
  // The first answer waits for the markets and the venue's thread.
  expect((await fetch(`http://127.0.0.1:${port}${TICKER}`)).status).toBe(200);
});
afterAll(async () => {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
});

const residentBytes = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(child.pid)}/status`, 'utf8'))?.[1]) * 1024;

const inFlight = async (): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^crypto_data_http_requests_in_flight (\d+)$/m.exec(text)?.[1]);
};

const connect = async (): Promise<net.Socket> => {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect').catch(() => undefined);
  return socket;
};

/** So many connections that send `bytes` and read nothing. */
const unread = async (connections: number, bytes: string): Promise<net.Socket[]> => {
  const sockets = await Promise.all(Array.from({ length: connections }, connect));
  for (const socket of sockets) {
    socket.pause();
    socket.write(bytes);
  }
  return sockets;
};

/** Good requests, cached and not, while the attack stands. */
const expectGoodService = async (): Promise<void> => {
  for (const path of [TICKER, '/v1/exchanges', '/v1/health', TICKER]) {
    const at = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    await answer.text();
    expect(answer.status, path).toBe(200);
    expect(performance.now() - at, path).toBeLessThan(GOOD_MS);
  }
};

const expectAsBefore = async (before: number): Promise<void> => {
  await expect.poll(inFlight, { timeout: 30_000, interval: 500 }).toBe(1);
  await expect
    .poll(() => residentBytes() - before, { timeout: 30_000, interval: 500 })
    .toBeLessThan(SPARE_BYTES);
  expect((await fetch(`http://127.0.0.1:${port}/v1/health/ready`)).status).toBe(200);
  expect(child.exitCode).toBeNull();
};

test.each([
  ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an upgrade', get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')],
  ['an offer of HTTP/2', get(TICKER, H2C)],
  ['nonsense', 'nonsense\r\n\r\n'],
])('hundreds of connections that are reset right after %s', async (_name, bytes) => {
  const before = residentBytes();
  for (let round = 0; round < RESET_ROUNDS; round += 1) {
    const sockets = await Promise.all(Array.from({ length: 75 }, connect));
    for (const socket of sockets) {
      socket.write(bytes);
      socket.resetAndDestroy();
    }
    await expectGoodService();
  }
  await expectAsBefore(before);
});

test.each([
  ['of the list of exchanges', 10, get('/v1/exchanges').repeat(1600)],
  ['that expect what is not done', 10, get('/v1/exchanges', 'Expect: nothing\r\n').repeat(1600)],
  ['of metrics', 30, get('/metrics').repeat(1500)],
  [
    'behind an event stream',
    10,
    get('/v1/stream/ticker?exchange=binance&symbol=BTC/USDT') + get('/v1/exchanges').repeat(1600),
  ],
  ['that offer HTTP/2', 10, get('/v1/exchanges', H2C).repeat(600)],
  ['for a large file', 40, get('/docs/swagger-ui-bundle.js').repeat(16)],
  [
    'for what the cache has not',
    300,
    Array.from({ length: 16 }, (_, i) =>
      get(`/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&limit=${100 + i}`),
    ).join(''),
  ],
])('pipelined requests %s that nobody reads', async (_name, connections, bytes) => {
  const before = residentBytes();
  for (let round = 0; round < PIPELINE_ROUNDS; round += 1) {
    const sockets = await unread(connections, bytes);
    await expectGoodService();
    for (const [i, socket] of sockets.entries()) {
      if (i % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    await expectGoodService();
  }
  await expectAsBefore(before);
});
