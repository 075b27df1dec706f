/** What SERVER_PROCESSES=2 counts over both processes, without Redis: requests, what is open at once, and feeds (Linux). */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ServerStatus } from '../../src/schemas/status.js';
import { answeredBy, get } from './process-rig.js';
import { startRig, type Rig } from './streams-rig.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const STREAM = '/v1/stream/ticker?exchange=binance&symbol=BTC/USDT';
const PATIENT = { timeout: 30_000, interval: 50 };
const LIMIT = 100;
const STREAMS_OF_CLIENT = 5;
const STREAMS_OF_PLAN = 3;

let folder: string;
let rig: Rig;
let key: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'processes-limits-'));
  const settings = { AUTH_MODE: 'optional', AUTH_STORE: `sqlite:${join(folder, 'keys.db')}` };
  const cli = (...args: string[]): string =>
    execFileSync(process.execPath, [CLI, ...args], {
      env: { PATH: process.env['PATH'], ...settings },
      encoding: 'utf8',
    }).trim();
  cli('plans', 'set', 'few', '--streams', String(STREAMS_OF_PLAN));
  key = cli('keys', 'create', '--name', 'reader', '--plan', 'few');
  rig = await startRig({
    ...{ SERVER_PROCESSES: '2', STORE_URL: 'none', TICKER_CACHE_TTL: '60', TRUST_PROXY: '127.0.0.1' },
    ...{ CLIENT_RATE_LIMIT_REQUESTS: String(LIMIT), STREAM_MAX_PER_CLIENT: String(STREAMS_OF_CLIENT) },
    ...settings,
  });
  // Both serve, and have the answer at hand.
  await Promise.all(Array.from({ length: 4 }, () => get(rig.port, TICKER, { headers: from('192.0.2.99') })));
});
afterAll(async () => {
  await rig.close();
  rmSync(folder, { recursive: true, force: true });
});

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
const passed = (answers: readonly { readonly status: number | undefined }[]): number =>
  answers.filter(({ status }) => status === 200).length;

test('of requests that come at once to both processes exactly the limit passes', async () => {
  const headers = from('192.0.2.1');
  const ask = () => get(rig.port, TICKER, { headers });
  const answers = await Promise.all(Array.from({ length: 3 * LIMIT }, ask));
  expect(passed(answers)).toBe(LIMIT);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(2 * LIMIT);
  expect((await ask()).headers['x-ratelimit-remaining']).toBe('0');
});

test('any process tells of the feeds of both', async () => {
  const paths = ['ETH/USDT', 'SOL/USDT', 'XRP/USDT'].map(
    (symbol) => `/v1/stream/ticker?exchange=binance&symbol=${symbol}`,
  );
  const streams = await Promise.all(
    paths.map((path) => fetch(`${rig.url}${path}`, { headers: from('192.0.2.4') })),
  );
  const answers = new Set<string>();
  const feedsTold = async (): Promise<number> => {
    const answer = await get(rig.port, '/v1/status', { headers: from('192.0.2.5') });
    answers.add(answeredBy(answer));
    const [binance] = (JSON.parse(answer.body) as ServerStatus).exchanges;
    return Object.values(binance?.feeds ?? {}).reduce((sum, count) => sum + count, 0);
  };
  await expect.poll(feedsTold, PATIENT).toBe(3);
  for (let times = 0; times < 4; times += 1) expect(await feedsTold()).toBe(3);
  expect(answers.size).toBe(2);
  for (const stream of streams) await stream.body?.cancel();
});

/** Opens streams at once; those that are open stay so until `close`. */
const openAtOnce = async (count: number, headers: Record<string, string>) => {
  const open = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const options = { port: rig.port, host: '127.0.0.1', path: STREAM, agent: false as const, headers };
      request(options, resolve).on('error', reject).end();
    });
  const answers = await Promise.all(Array.from({ length: count }, open));
  return {
    open: answers.filter(({ statusCode }) => statusCode === 200).length,
    refused: answers.filter(({ statusCode }) => statusCode === 429).length,
    close: () => answers.forEach((answer) => answer.destroy()),
  };
};

test.each([
  ['of a client', () => from('192.0.2.2'), STREAMS_OF_CLIENT],
  ['of a plan', () => ({ ...from('192.0.2.3'), 'x-api-key': key }), STREAMS_OF_PLAN],
])(
  'of streams %s as many are open as may be, whichever process they came to',
  async (_who, headers, most) => {
    const first = await openAtOnce(20, headers());
    expect([first.open, first.refused]).toEqual([most, 20 - most]);
    first.close();
    const again = async (): Promise<number> => {
      const { open, close } = await openAtOnce(most, headers());
      close();
      return open;
    };
    await expect.poll(again, PATIENT).toBe(most);
  },
);
