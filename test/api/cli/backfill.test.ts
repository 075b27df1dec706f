/** The command `backfill`: what it fetches, what it prints, how it pauses, and what it does beside a server. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { exported, minutes, truth, type Asked } from '../ledger/backfill-rig.js';
import { LedgerRig, MINUTE } from '../ledger/ledger-app.js';
import { createTestDatabase } from '../ledger/postgres.js';
import { command, startCommand } from './cli-rig.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(async () => {
  await rig.close();
});

const argumentsOf = ({ exchange, symbol, interval, from, to }: Asked): (string | number)[] => [
  ...['backfill', exchange, symbol, '--interval', interval, '--from', from, '--to', to],
];
/** So slow that a test can act between two pages. */
const SLOW = { EXCHANGE_OPTIONS: '{"binance":{"rateLimit":100}}' };
const requests = (count: number) =>
  vi.waitFor(() => expect(rig.candleRequests()).toBeGreaterThanOrEqual(count), {
    timeout: 10_000,
    interval: 5,
  });

describe('without a server', () => {
  test('the range is fetched, counted in lines without escape codes, and not asked for again', async () => {
    const asked = minutes(rig, 3_000);
    const first = await command(rig, argumentsOf(asked));
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^binance BTC\/USDT 1m: done, 3 requests, 3000 candles\.\n$/m);
    expect(first.stdout).not.toContain('\u001B');
    expect(first.stdout).not.toContain('\r');
    const sent = rig.candleRequests();
    const again = await command(rig, argumentsOf(asked));
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('done, 0 requests, 3000 candles.'),
    });
    expect(rig.candleRequests()).toBe(sent);
    expect(await exported(await rig.app(), asked)).toEqual(truth(rig, asked));
  });

  test('names of options do as well as places, and --to may be left out', async () => {
    const from = new Date(rig.now() - 100 * MINUTE).toISOString();
    const args = [
      '--exchange',
      'Binance',
      '--symbol',
      'ETH/USDT',
      '--interval',
      '1m',
      '--from',
      from,
      '--wait',
    ];
    const { code, stdout } = await command(rig, ['backfill', ...args]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^binance ETH\/USDT 1m: done, 1 request, (99|100|101) candles\.\n$/m);
  });

  test('on a terminal one line is written over, with a bar, no longer than the terminal is wide', async () => {
    // Several looks at the job come between two pages, also where this process is late.
    const { code, stdout } = await command(rig, argumentsOf(minutes(rig, 5_000)), {
      env: { EXCHANGE_OPTIONS: '{"binance":{"rateLimit":400}}' },
      terminal: true,
    });
    expect(code).toBe(0);
    const lines = stdout.split('\r\u001B[2K').slice(1);
    expect(lines[0]).toMatch(/^binance BTC\/USDT 1m \[\.{24}\] 0\.0 %/);
    expect(lines.some((line) => /\[#+\.*\]/.test(line))).toBe(true);
    expect(Math.max(...lines.slice(0, -1).map(({ length }) => length))).toBeLessThan(60);
    expect(lines.at(-1)).toBe('binance BTC/USDT 1m: done, 5 requests, 5000 candles.\n');
  });

  test('--dry-run tells requests, minutes and what is known, and asks for no candle', async () => {
    const asked = minutes(rig, 4_500);
    const range = `${new Date(asked.from).toISOString()} to ${new Date(asked.to).toISOString()}`;
    const before = await command(rig, [...argumentsOf(asked), '--dry-run']);
    expect(before).toMatchObject({ code: 0, stderr: '' });
    expect(before.stdout).toBe(
      `binance BTC/USDT 1m, ${range}: 0.0 % known (0 candles); 5 requests, about 1 minute.\n`,
    );
    expect(rig.candleRequests()).toBe(0);
    await command(rig, argumentsOf({ ...asked, from: asked.to - 1_500 * MINUTE }));
    const after = await command(rig, [...argumentsOf(asked), '--dry-run'], {
      env: { RATE_LIMIT_REQUESTS: '1' },
    });
    expect(after.stdout).toContain(': 33.3 % known (1500 candles); 3 requests, about 3 minutes.\n');
  });

  test('Ctrl-C pauses with 130, and the same command goes on where it stopped', async () => {
    const asked = minutes(rig, 8_000);
    const { program, ended } = startCommand(rig, argumentsOf(asked), { env: SLOW });
    await requests(3);
    program.signal('SIGINT');
    expect(await ended).toMatchObject({
      code: 130,
      stderr: '\nPaused: the same command goes on where it stopped.\n',
    });
    const sent = rig.candleRequests();
    expect(sent).toBeLessThan(8);
    const { code, stdout } = await command(rig, argumentsOf(asked));
    expect(code).toBe(0);
    expect(stdout).toContain('8000 candles.\n');
    expect(rig.candleRequests()).toBeLessThanOrEqual(9 + 1);
    expect(await exported(await rig.app(), asked)).toEqual(truth(rig, asked));
  });

  test('a second Ctrl-C ends the process at once', async () => {
    const { program, ended } = startCommand(rig, argumentsOf(minutes(rig, 8_000)), { env: SLOW });
    await requests(1);
    program.signal('SIGINT');
    program.signal('SIGINT');
    expect(program.exits).toEqual([130]);
    await ended;
  });

  test('what Ctrl-C left of a shorter range is not left open by a longer one', async () => {
    const asked = minutes(rig, 8_000);
    const { program, ended } = startCommand(rig, argumentsOf(asked), { env: SLOW });
    await requests(1);
    program.signal('SIGTERM');
    expect(await ended).toMatchObject({ code: 143 });
    await command(rig, argumentsOf({ ...asked, symbol: 'ETH/USDT', from: asked.to - MINUTE }));
    await command(rig, argumentsOf({ ...asked, to: asked.to + 10 * MINUTE }));
    const app = await rig.app({ ENABLED_EXCHANGES: 'kraken' });
    const { backfills } = (await app.inject('/v1/backfills')).json<{ backfills: { state: string }[] }>();
    expect(backfills.map(({ state }) => state)).toEqual(['done', 'done', 'cancelled']);
  });

  test('a symbol that the exchange does not have fails with 1 and its reason', async () => {
    const { code, stdout } = await command(rig, argumentsOf({ ...minutes(rig, 10), symbol: 'BTC/NOPE' }));
    expect(code).toBe(1);
    expect(stdout).toContain('binance BTC/NOPE 1m: failed (symbol_not_found: ');
  });
});

describe('beside a server that owns the file', () => {
  test('it queues a job for the server and ends with 0', async () => {
    const app = await rig.app();
    const asked = minutes(rig, 2_000);
    const { code, stdout } = await command(rig, argumentsOf(asked));
    expect(code).toBe(0);
    const [, id = ''] =
      /^binance BTC\/USDT 1m: queued as (\S+) for the server that owns the store\.\n$/.exec(stdout) ?? [];
    await vi.waitFor(
      async () => expect((await app.inject(`/v1/backfills/${id}`)).json()).toMatchObject({ state: 'done' }),
      { timeout: 10_000, interval: 20 },
    );
    expect(await exported(app, asked)).toEqual(truth(rig, asked));
  });

  test('--wait waits for the end of the job', async () => {
    const app = await rig.app();
    const asked = minutes(rig, 2_000);
    const { code, stdout } = await command(rig, [...argumentsOf(asked), '--wait']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/queued as .*\n(.*\n)*binance BTC\/USDT 1m: done, 2 requests, 2000 candles\.\n$/);
    expect(await exported(app, asked)).toEqual(truth(rig, asked));
  });

  test('a job that somebody cancels ends the wait with 1', async () => {
    const app = await rig.app({ ENABLED_EXCHANGES: 'kraken' });
    const { ended, program } = startCommand(rig, [...argumentsOf(minutes(rig, 2_000)), '--wait']);
    await vi.waitFor(() => expect(program.stdout.text).toContain('0.0 %'), { timeout: 10_000, interval: 10 });
    const [, id = ''] = /queued as (\S+)/.exec(program.stdout.text) ?? [];
    await app.inject({ method: 'DELETE', url: `/v1/backfills/${id}` });
    expect(await ended).toMatchObject({ code: 1, stdout: expect.stringContaining('cancelled, 0 requests') });
  });
});

test('on a PostgreSQL it works by itself', async () => {
  const database = await createTestDatabase();
  if (database === null) throw new Error('These tests need a PostgreSQL.');
  try {
    const asked = minutes(rig, 2_000);
    const run = () => command(rig, argumentsOf(asked), { env: { STORE_URL: database.url } });
    expect((await run()).stdout).toContain('done, 2 requests, 2000 candles.\n');
    const sent = rig.candleRequests();
    expect((await run()).stdout).toContain('done, 0 requests, 2000 candles.\n');
    expect(rig.candleRequests()).toBe(sent);
  } finally {
    await database.drop();
  }
});

describe('what can not be done', () => {
  test.each([
    [
      ['backfill'],
      '--exchange is missing.\n--symbol is missing.\n--interval is missing.\n--from is missing: see `mcp-crypto-data-server --help`.\n',
    ],
    [['backfill', 'binance', 'BTC/USDT', 'more'], "Unexpected argument 'more': see `"],
    [['backfill', 'binance', '--exchange', 'binance'], 'The exchange is given twice: see `'],
    [
      ['backfill', 'binance', 'BTC/USDT', '--interval', '1m', '--from', 'today'],
      '--from: must be milliseconds',
    ],
    [
      ['backfill', 'binance', 'BTC/USDT', '--interval', '1m', '--from', '2024-01-02', '--to', '2024-01-02'],
      '--from: must lie before --to: see `',
    ],
    [['backfill', 'binanc', 'BTC/USDT', '--interval', '1m', '--from', '2024-01-02'], 'Did you mean binance'],
    [['backfill', 'bybit', 'BTC/USDT', '--interval', '1m', '--from', '2024-01-02'], 'is not enabled'],
    [
      ['backfill', 'binance', 'BTC/USDT', '--interval', '7m', '--from', '2024-01-02'],
      'binance offers 1s, 1m',
    ],
  ])('%j is wrong usage: 64', async (args, words) => {
    const { code, stderr, stdout } = await command(rig, args);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toContain(words);
  });

  test.each([
    ['no store', { STORE_URL: 'none' }, 'STORE_URL: names no store'],
    ['no URL of a store', { STORE_URL: 'candles.db' }, 'STORE_URL: must be sqlite:<file>'],
  ])('%s are bad settings: 78', async (_what, env, words) => {
    const { code, stderr } = await command(rig, argumentsOf(minutes(rig, 10)), { env });
    expect(code).toBe(78);
    expect(stderr).toContain(words);
  });

  test('real candles are not put into the store of a sandbox: 78', async () => {
    await command(rig, argumentsOf(minutes(rig, 10)));
    const { code, stderr } = await command(rig, argumentsOf(minutes(rig, 10)), {
      env: { SANDBOX: 'false', LOG_LEVEL: 'DEBUG' },
    });
    expect(code).toBe(78);
    expect(stderr).toContain('sandbox');
  });

  test('a store that can not be opened: 1', async () => {
    const file = join(rig.folder, 'file');
    writeFileSync(file, '');
    const env = { STORE_URL: `sqlite:${join(file, 'candles.db')}` };
    const { code, stderr } = await command(rig, argumentsOf(minutes(rig, 10)), { env });
    expect(code).toBe(1);
    expect(stderr).toContain('The folder of the store can not be made.\n');
  });
});
