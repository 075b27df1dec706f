/** `backfill` of the built program as a process: real signals, and deaths without a warning. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startServer } from './streams-rig.js';
import { TEST_STORES, type TestStore } from './test-stores.js';

const PROGRAM = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const MINUTE = 60_000;
const PAGES = 8;
const COUNT = PAGES * 1_000;

let sandbox: Sandbox;
let folder: string;
let store: TestStore | undefined;
const children: ChildProcess[] = [];
beforeEach(async () => {
  sandbox = await startSandbox({ weightLimit: Infinity });
  folder = mkdtempSync(join(tmpdir(), 'candles-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await store?.close();
  store = undefined;
  await sandbox.close();
  rmSync(folder, { recursive: true });
});

const candleRequests = (): number =>
  sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv').length;

const to = Math.floor(Date.now() / MINUTE) * MINUTE - 120 * MINUTE;
const from = to - COUNT * MINUTE;

const backfill = (storeUrl: string, ...options: readonly string[]) => {
  const args = [
    'binance',
    'BTC/USDT',
    '--interval',
    '1m',
    '--from',
    String(from),
    '--to',
    String(to),
    ...options,
  ];
  const child = spawn(process.execPath, [PROGRAM, 'backfill', ...args], {
    env: {
      PATH: process.env['PATH'],
      SANDBOX: sandbox.url,
      STORE_URL: storeUrl,
      REDIS_ENABLED: 'false',
      RATE_LIMIT_REQUESTS: '100000',
      EXCHANGE_OPTIONS: '{"binance":{"rateLimit":50}}',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => code ?? signal);
  return { child, ended, text: () => text };
};

const untilSent = (count: number) =>
  vi.waitFor(() => expect(candleRequests()).toBeGreaterThanOrEqual(count), { timeout: 20_000, interval: 5 });

test.each(TEST_STORES)(
  '$kind: Ctrl-C pauses it, kill -9 ends it, and the same command goes on each time',
  async ({ open }) => {
    const own = await open(folder);
    store = own;
    const paused = backfill(own.url);
    await untilSent(2);
    paused.child.kill('SIGINT');
    expect(await paused.ended).toBe(130);
    expect(paused.text()).toContain('Paused: the same command goes on where it stopped.');

    const killed = backfill(own.url);
    await untilSent(5);
    killed.child.kill('SIGKILL');
    expect(await killed.ended).toBe('SIGKILL');
    await own.bury();

    const last = backfill(own.url);
    expect(await last.ended).toBe(0);
    expect(last.text()).toContain(`${COUNT} candles.\n`);
    expect(last.text()).not.toContain('\u001B');
    // Each of the two ends costs a page at most; one request finds out when the symbol was listed.
    expect(candleRequests()).toBeLessThanOrEqual(PAGES + 2 + 1);
  },
);

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'beside a server that ends by %s before the job does, --wait goes on with the job itself',
  async (signal) => {
    const url = `sqlite:${join(folder, 'candles.db')}`;
    const server = await startServer({
      SANDBOX: sandbox.url,
      STORE_URL: url,
      RATE_LIMIT_REQUESTS: '100000',
      EXCHANGE_OPTIONS: '{"binance":{"rateLimit":300}}',
    });
    children.push(server.process);
    const waiting = backfill(url, '--wait');
    await vi.waitFor(() => expect(waiting.text()).toContain('queued as '), { timeout: 20_000, interval: 10 });
    await untilSent(3);
    server.process.kill(signal);
    await once(server.process, 'exit');
    expect(candleRequests()).toBeLessThan(PAGES);
    expect(await waiting.ended).toBe(0);
    expect(waiting.text()).toMatch(/binance BTC\/USDT 1m: done, \d+ requests, 8000 candles\.\n$/);
    expect(candleRequests()).toBeLessThanOrEqual(PAGES + 1 + 1);
  },
);
