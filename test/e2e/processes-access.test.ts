/** What SERVER_PROCESSES=2 shares beside feeds: keys, tickets, failed attempts, quotas and the candle store (Linux). */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ask } from '../api/access/stream-clients.js';
import { answeredBy, get, processesOf, type Answer } from './process-rig.js';
import { startRig, type Rig } from './streams-rig.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const PATIENT = { timeout: 30_000, interval: 50 };

let folder: string;
let rig: Rig | undefined;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'processes-access-'));
});
afterEach(async () => {
  await rig?.close();
  rig = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fileOf = (name: string): string => `sqlite:${join(folder, `${name}-${(files += 1)}.db`)}`;
const cli = (env: Record<string, string>, ...args: string[]): string =>
  execFileSync(process.execPath, [CLI, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
  }).trim();

const start = async (env: Record<string, string>): Promise<Rig> =>
  (rig = await startRig({ SERVER_PROCESSES: '2', STORE_URL: 'none', TICKER_CACHE_TTL: '60', ...env }));

/** An answer of each process, asked over new connections. */
const fromEach = async ({ port }: Rig, path: string, headers: Record<string, string>): Promise<Answer[]> => {
  const answers = new Map<string, Answer>();
  const more = async (): Promise<number> => {
    const answer = await get(port, path, { headers });
    return answers.set(answeredBy(answer), answer).size;
  };
  await expect.poll(more, PATIENT).toBe(2);
  return [...answers.values()];
};
const statuses = (answers: readonly Answer[]) => answers.map(({ status }) => status);

test('a key that one process revokes is refused by both at once, and a ticket of one opens a stream at the other', async () => {
  const settings = { AUTH_MODE: 'required', AUTH_STORE: fileOf('keys'), ADMIN_API: 'true' };
  const admin = cli(settings, 'keys', 'create', '--name', 'admin', '--scopes', 'admin');
  const key = cli(settings, 'keys', 'create', '--name', 'reader');
  const started = await start(settings);
  const asked = { 'x-api-key': key };
  expect(statuses(await fromEach(started, TICKER, asked))).toEqual([200, 200]);
  // Connections are handed out in turn: of four tickets some are used where they were not made.
  for (let times = 0; times < 4; times += 1) {
    const asking = { method: 'POST', headers: asked, body: { purpose: 'sse' } };
    const { json } = await ask(started.port, '/v1/tickets', asking);
    if (times % 2 === 0) await get(started.port, '/v1/health/live');
    const path = `/v1/stream/ticker?exchange=binance&symbol=BTC/USDT&ticket=${String(json['ticket'])}`;
    const response = await fetch(`${started.url}${path}`);
    expect(response.status).toBe(200);
    await response.body?.cancel();
  }
  const { json } = await ask(started.port, '/v1/admin/keys', { headers: { 'x-api-key': admin } });
  const { id } = (json['keys'] as { id: string; name: string }[]).find(({ name }) => name === 'reader') ?? {};
  const revoked = await ask(started.port, `/v1/admin/keys/${String(id)}`, {
    ...{ method: 'DELETE', headers: { 'x-api-key': admin } },
  });
  expect(revoked.status).toBeLessThan(300);
  expect(statuses(await fromEach(started, TICKER, asked))).toEqual([401, 401]);
});

test('failed attempts at one process bar the address at the other', async () => {
  const started = await start({ AUTH_MODE: 'required', AUTH_STORE: fileOf('attempts') });
  const wrong = { 'x-api-key': `mcds_${'a'.repeat(40)}` };
  const answers: Answer[] = [];
  for (let count = 0; count < 30; count += 1)
    answers.push(await get(started.port, TICKER, { headers: wrong }));
  expect(new Set(answers.map(answeredBy)).size).toBe(2);
  const let_through = answers.filter(({ status }) => status === 401).length;
  expect(let_through).toBeGreaterThanOrEqual(20);
  // Counts are exchanged within a few milliseconds, ten times as long on a busy machine; counted apart, all 30 would pass.
  expect(let_through).toBeLessThanOrEqual(26);
  expect(statuses(await fromEach(started, TICKER, wrong))).toEqual([429, 429]);
});

test('a quota of units holds over both processes before the store knows of it', async () => {
  const settings = { AUTH_MODE: 'required', AUTH_STORE: fileOf('quota') };
  cli(settings, 'plans', 'set', 'small', '--day', '20');
  const key = cli(settings, 'keys', 'create', '--name', 'small', '--plan', 'small');
  const started = await start(settings);
  const answers: Answer[] = [];
  for (let count = 0; count < 40; count += 1)
    answers.push(await get(started.port, TICKER, { headers: { 'x-api-key': key } }));
  const passed = answers.filter(({ status }) => status === 200).length;
  expect(passed).toBeGreaterThanOrEqual(20);
  // Counts are exchanged within a few milliseconds, ten times as long on a busy machine; counted apart, all 40 would pass.
  expect(passed).toBeLessThanOrEqual(30);
});

test('the feeder alone opens the candle store, does the jobs that others take, and both read it', async () => {
  const started = await start({ STORE_URL: fileOf('candles'), BACKFILL_API: 'true' });
  const now = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const [from, to] = [now - 48 * 3_600_000, now - 24 * 3_600_000];
  const series = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1h' };
  for (const hours of [0, 24]) {
    const job = await ask(started.port, '/v1/backfills', {
      ...{ method: 'POST', body: { ...series, from: from - hours * 3_600_000, to } },
    });
    expect(job.status).toBeLessThan(300);
    const state = async () =>
      (await ask(started.port, `/v1/backfills/${String(job.json['id'])}`)).json['state'];
    await expect.poll(state, PATIENT).toBe('done');
  }
  const path = `/v1/markets/ohlcv/coverage?exchange=binance&symbol=BTC/USDT&interval=1h&from=${from}&to=${to}`;
  const answers = await fromEach(started, path, {});
  expect(statuses(answers)).toEqual([200, 200]);
  expect(answers[0]?.body).toContain('"state":"known"');
  expect(answers[0]?.body).toBe(answers[1]?.body);
  const opens = (pid: number): boolean =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`).includes('candles-');
      } catch {
        return false;
      }
    });
  const holders = [...processesOf(started.process)].filter(([, pid]) => opens(pid)).map(([name]) => name);
  expect(holders).toEqual(['feeder']);
  const [status] = await fromEach(started, '/v1/status', {});
  expect(status?.body).toMatch(/"ledger":\{"state":"ok"/);
});
