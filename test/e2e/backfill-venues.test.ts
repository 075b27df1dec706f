/**
 * A range of one-minute candles of each simulated exchange, fetched by one command of the built program at CCXT's own pace:
 * the export is the exchange's truth row by row, each hole has its reason, and a second run asks for nothing.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ExchangeId } from '../../src/sandbox/listings.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { extent } from '../support/extent.js';
import { TEST_STORES, type TestStore } from './test-stores.js';

const PROGRAM = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const MINUTE = 60_000;
const DAYS = extent({ short: 1, long: 30 });
const COUNT = DAYS * 1440;
/** In the long form PostgreSQL too. */
const STORES = TEST_STORES.slice(0, extent({ short: 1, long: TEST_STORES.length }));
/** Minutes that Kraken keeps. */
const KEPT = 720;

let sandbox: Sandbox;
let folder: string;
let store: TestStore;
beforeEach(async () => {
  sandbox = await startSandbox({ weightLimit: Infinity });
  folder = mkdtempSync(join(tmpdir(), 'candles-'));
});
afterEach(async () => {
  await store.close();
  await sandbox.close();
  rmSync(folder, { recursive: true });
});

const run = async (args: readonly (string | number)[]): Promise<{ code: unknown; text: string }> => {
  const child = spawn(process.execPath, [PROGRAM, ...args.map(String)], {
    env: {
      PATH: process.env['PATH'],
      SANDBOX: sandbox.url,
      STORE_URL: store.url,
      REDIS_ENABLED: 'false',
      RATE_LIMIT_REQUESTS: '100000',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [unknown];
  return { code, text };
};

interface Gap {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

const GAP = /^no candles from (\S+) to (\S+): (\w+)$/gm;
const gapsIn = (text: string): Gap[] =>
  [...text.matchAll(GAP)].map(([, from = '', to = '', reason = '']) => ({
    from: Date.parse(from),
    to: Date.parse(to),
    reason,
  }));

/** Minutes of the range without a candle, neighbours of the same reason together. */
const holesOf = (
  { from, to, has }: { from: number; to: number; has: ReadonlySet<number> },
  reasonOf: (minute: number) => string,
): Gap[] => {
  const gaps: Gap[] = [];
  for (let minute = from; minute < to; minute += MINUTE) {
    if (has.has(minute)) continue;
    const [last, reason] = [gaps.at(-1), reasonOf(minute)];
    if (last?.to === minute && last.reason === reason)
      gaps[gaps.length - 1] = { ...last, to: minute + MINUTE };
    else gaps.push({ from: minute, to: minute + MINUTE, reason });
  }
  return gaps;
};

const to = Math.floor(Date.now() / MINUTE) * MINUTE - 120 * MINUTE;
const from = to - COUNT * MINUTE;

/** Runs the backfill twice and the export, and compares with what the exchange has of [since, to) but for `hole`. */
const proveRange = async (
  exchange: ExchangeId,
  symbol: string,
  {
    reasonOf,
    hole,
  }: { reasonOf: (minute: number, has: ReadonlySet<number>) => string; hole?: (minute: number) => boolean },
): Promise<{ requests: number; seconds: number; since: number }> => {
  const series = [exchange, symbol, '--interval', '1m', '--from', from, '--to', to];
  const beganAt = performance.now();
  expect(await run(['backfill', ...series])).toMatchObject({
    code: 0,
    text: expect.stringContaining(': done, '),
  });
  const seconds = (performance.now() - beganAt) / 1000;
  const requests = sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv').length;
  sandbox.control.resetLog();
  const again = await run(['backfill', ...series]);
  expect(again).toMatchObject({ code: 0, text: expect.stringContaining(': done, 0 requests, ') });
  expect(sandbox.control.requestLog()).toEqual([]);

  const file = join(folder, 'candles.csv');
  const { code, text } = await run(['store', 'export', ...series, '--format', 'csv', '--out', file]);
  expect(code).toBe(0);
  const lines = readFileSync(file, 'utf8').split('\r\n').slice(1, -1);
  const since = exchange === 'kraken' ? Number(lines[0]?.split(',')[0]) : from;
  const truth = sandbox.market
    .candles(exchange, symbol, { interval: '1m', from: since, to: to - MINUTE, now: Date.now() })
    .filter(({ timestamp }) => hole?.(timestamp) !== true);
  expect(lines).toEqual(
    truth.map(({ timestamp, open, high, low, close, volume }) =>
      [timestamp, open, high, low, close, volume, true].join(','),
    ),
  );
  const has = new Set(truth.map(({ timestamp }) => timestamp));
  expect(gapsIn(text)).toEqual(holesOf({ from, to, has }, (minute) => reasonOf(minute, has)));
  console.log(
    `${exchange} ${symbol}: ${lines.length} candles, ${requests} requests, ${seconds.toFixed(1)} s`,
  );
  return { requests, seconds, since };
};

describe.each(STORES)('on $kind', ({ open }) => {
  beforeEach(async () => {
    store = await open(folder);
  });

  test('Binance: whole pages, and a hole that the exchange has within one', async () => {
    const [first, end] = [to - 700 * MINUTE, to - 697 * MINUTE];
    sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_hole', from: first, to: end } });
    const { requests } = await proveRange('binance', 'BTC/USDT', {
      reasonOf: () => 'not_available_from_exchange',
      hole: (minute) => minute >= first && minute < end,
    });
    // One finds out when the market was listed.
    expect(requests).toBe(Math.ceil(COUNT / 1000) + 1);
  });

  test('Kraken: its latest 720 in one request, and nothing before', async () => {
    const { requests, since } = await proveRange('kraken', 'BTC/USD', {
      reasonOf: () => 'not_available_from_exchange',
    });
    expect(requests).toBe(1);
    expect(since).toBeGreaterThanOrEqual(to - (KEPT - 120) * MINUTE);
    expect(since).toBeLessThanOrEqual(Date.now() - (KEPT - 2) * MINUTE);
  });

  test('Coinbase: whole windows', async () => {
    const { requests } = await proveRange('coinbaseexchange', 'BTC/USD', { reasonOf: () => 'none' });
    expect(requests).toBe(Math.ceil(COUNT / 300));
  });

  test('a market of Coinbase that is seldom traded: minutes without trades, in doubt only where two windows meet', async () => {
    const WINDOW = 300 * MINUTE;
    await proveRange('coinbaseexchange', 'MUSE/USD', {
      reasonOf: (minute, has) => {
        const end = to - Math.floor((to - minute - 1) / WINDOW) * WINDOW;
        const start = Math.max(from, end - WINDOW);
        const times = [...has].filter((time) => time >= start && time < end);
        const isWithin = times.some((time) => time < minute) && times.some((time) => time > minute);
        return isWithin ? 'no_trades' : 'unconfirmed';
      },
    });
  });
});
