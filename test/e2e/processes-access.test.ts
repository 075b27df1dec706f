/** What SERVER_PROCESSES=2 shares beside feeds: keys, tickets, failed attempts, quotas and the candle store (Linux). */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../api/access/stream-clients.js';
import { PATIENT, answeredBy, fromEach, get, processesOf, type Answer } from './process-rig.js';
import { startRig, type Rig } from './streams-rig.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

const folder = mkdtempSync(join(tmpdir(), 'processes-access-'));
const settings = {
  ...{ AUTH_MODE: 'required', AUTH_STORE: `sqlite:${join(folder, 'keys.db')}`, ADMIN_API: 'true' },
  ...{ STORE_URL: `sqlite:${join(folder, 'candles.db')}`, BACKFILL_API: 'true', TICKER_CACHE_TTL: '600' },
};
const cli = (...args: string[]): string =>
  execFileSync(process.execPath, [CLI, ...args], {
    env: { PATH: process.env['PATH'], ...settings },
    encoding: 'utf8',
  }).trim();

const keys = { admin: '', reader: '', small: '' };
let started: Rig;
beforeAll(async () => {
  keys.admin = cli(
    'keys',
    'create',
    '--name',
    'admin',
    '--scopes',
    'admin,market:read,history:read,backfill:write,metrics:read',
  );
  keys.reader = cli('keys', 'create', '--name', 'reader');
  cli('plans', 'set', 'small', '--day', '20');
  keys.small = cli('keys', 'create', '--name', 'small', '--plan', 'small');
  started = await startRig({ SERVER_PROCESSES: '2', ...settings });
});
afterAll(async () => {
  await started.close();
  rmSync(folder, { recursive: true, force: true });
});

const statuses = (answers: readonly Answer[]) => answers.map(({ status }) => status);

test('a key that one process revokes is refused by both at once, and a ticket of one opens a stream at the other', async () => {
  const asked = { 'x-api-key': keys.reader };
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
  const { json } = await ask(started.port, '/v1/admin/keys', { headers: { 'x-api-key': keys.admin } });
  const { id } = (json['keys'] as { id: string; name: string }[]).find(({ name }) => name === 'reader') ?? {};
  const revoked = await ask(started.port, `/v1/admin/keys/${String(id)}`, {
    ...{ method: 'DELETE', headers: { 'x-api-key': keys.admin } },
  });
  expect(revoked.status).toBeLessThan(300);
  expect(statuses(await fromEach(started, TICKER, asked))).toEqual([401, 401]);
});

test('a quota of units holds over both processes before the store knows of it', async () => {
  const answers: Answer[] = [];
  for (let count = 0; count < 40; count += 1)
    answers.push(await get(started.port, TICKER, { headers: { 'x-api-key': keys.small } }));
  const passed = answers.filter(({ status }) => status === 200).length;
  expect(passed).toBeGreaterThanOrEqual(20);
  // Counts are exchanged within a few milliseconds, ten times as long on a busy machine; counted apart, all 40 would pass.
  expect(passed).toBeLessThanOrEqual(30);
});

test('the feeder alone opens the candle store, does the jobs that others take, and both read it', async () => {
  const headers = { 'x-api-key': keys.admin };
  const now = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const [from, to] = [now - 48 * 3_600_000, now - 24 * 3_600_000];
  const series = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1h' };
  for (const hours of [0, 24]) {
    const job = await ask(started.port, '/v1/backfills', {
      ...{ method: 'POST', headers, body: { ...series, from: from - hours * 3_600_000, to } },
    });
    expect(job.status).toBeLessThan(300);
    const state = async () =>
      (await ask(started.port, `/v1/backfills/${String(job.json['id'])}`, { headers })).json['state'];
    await expect.poll(state, PATIENT).toBe('done');
  }
  const path = `/v1/markets/ohlcv/coverage?exchange=binance&symbol=BTC/USDT&interval=1h&from=${from}&to=${to}`;
  const answers = await fromEach(started, path, headers);
  expect(statuses(answers)).toEqual([200, 200]);
  expect(answers[0]?.body).toContain('"state":"known"');
  expect(answers[0]?.body).toBe(answers[1]?.body);
  const opens = (pid: number): boolean =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`).includes('candles.db');
      } catch {
        return false;
      }
    });
  const holders = [...processesOf(started.process)].filter(([, pid]) => opens(pid)).map(([name]) => name);
  expect(holders).toEqual(['feeder']);
  const [status] = await fromEach(started, '/v1/status', headers);
  expect(status?.body).toMatch(/"ledger":\{"state":"ok"/);
});

// The last one: it bars the address that all of them come from.
test('failed attempts at one process bar the address at the other', async () => {
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
