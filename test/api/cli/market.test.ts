/** `ticker`, `ohlcv`, `book` and `status`, against a running server and by themselves. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { runCommandLine } from '../../../src/cli/command-line.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { FakeProgram } from '../../support/fake-program.js';
import { startSandboxApp, type SandboxApp } from '../../support/sandbox-app.js';
import type { Ended, Running } from './cli-rig.js';

let sandbox: Sandbox;
let server: SandboxApp;
beforeAll(async () => {
  sandbox = await startSandbox({ marketsPerVenue: 30, weightLimit: Infinity });
  server = await startSandboxApp(sandbox, { TICKER_CACHE_TTL: '60', ORDERBOOK_CACHE_TTL: '60' });
});
afterAll(async () => {
  await server.app.close();
  await sandbox.close();
});

const running: Running[] = [];
afterEach(async () => {
  for (const { program, ended } of running.splice(0)) {
    program.signal('SIGINT');
    await ended;
  }
});
const start = (
  args: readonly string[],
  { env = {}, terminal = false }: { env?: Readonly<Record<string, string>>; terminal?: boolean } = {},
): Running => {
  const program = new FakeProgram(args, env);
  if (terminal) Object.assign(program.stdout, { isTTY: true });
  const ended = runCommandLine(program).then((code) => ({
    code,
    stdout: program.stdout.text,
    stderr: program.stderr.text,
  }));
  const command = { program, ended };
  running.push(command);
  return command;
};
const ask = (...args: string[]): Promise<Ended> => start([...args, '--url', server.url]).ended;
const rest = async (path: string): Promise<string> => (await server.app.inject(path)).body;
const linesOf = ({ program }: Running): string[] =>
  program.stdout.text.split('\n').filter((line) => line !== '');

test('--json is the API’s body', async () => {
  const MARKET = 'exchange=binance&symbol=BTC/USDT';
  // A stream of the same market would make the ticker another one at any time.
  expect(await ask('ticker', 'binance', 'BTC/USDT', '--json')).toEqual({
    code: 0,
    stdout: `${await rest(`/v1/markets/ticker?${MARKET}`)}\n`,
    stderr: '',
  });
  const book = await ask('book', '--exchange', 'binance', '--symbol', 'BTC/USDT', '--limit', '5', '--json');
  expect(book.stdout).toBe(`${await rest(`/v1/markets/orderbook?${MARKET}&limit=5`)}\n`);
  const { stdout } = await ask('status', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ sandbox: true, exchanges: [{ id: 'binance' }, {}, {}] });
});

test('--csv is the API’s table', async () => {
  const query = 'exchange=binance&symbol=BTC/USDT&interval=1h&limit=3&until=2026-01-02T00:00:00Z';
  const shown = await ask('ohlcv', 'binance', 'BTC/USDT', '--interval', '1h', '--limit', '3', '--csv');
  const [head = '', ...rows] = shown.stdout.split('\r\n');
  const csv = (await server.app.inject({ url: `/v1/markets/ohlcv?${query}&format=csv` })).body.split('\r\n');
  expect(head).toBe(csv[0]);
  expect(rows).toHaveLength(4);
  expect(rows.slice(0, 3).every((row) => row.split(',').length === 7)).toBe(true);
  expect(rows[2]).toMatch(/,false$/);
});

test('plain output is lines without colour off a terminal', async () => {
  const { code, stdout } = await ask('ticker', 'binance', 'BTC/USDT');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^binance BTC\/USDT {2}last [\d.]+ {2}bid [\d.]+ {2}ask [\d.]+ {2}\d{4}-.*Z\n\(simulated\)\n$/,
  );
  expect((await ask('status')).stdout).toContain('sandbox: simulated venues');
  const { stdout: book } = await ask('book', 'binance', 'BTC/USDT', '--limit', '2');
  expect(book.split('\n').filter((line) => line.startsWith('bid'))).toHaveLength(2);
});

test.each([
  ['ticker nowhere BTC/USDT', 'No exchange is called nowhere'],
  ['ticker binance NO/SUCH', 'binance has no NO/SUCH'],
  ['ohlcv binance BTC/USDT --limit 0', 'limit'],
  ['ticker binance NO/SUCH --watch', 'binance has no NO/SUCH'],
])('%s: one sentence, nothing on stdout, and a code that is not 0', async (line, words) => {
  const { code, stdout, stderr } = await ask(...line.split(' '));
  expect(code).not.toBe(0);
  expect(stdout).toBe('');
  expect(stderr).toContain(words);
  expect(stderr.trimEnd()).not.toContain('\n');
});

test.each([
  ['ticker binance', '--symbol is missing'],
  ['ticker binance BTC/USDT extra', "Unexpected argument 'extra'"],
  ['ticker binance BTC/USDT --interval 1m', 'takes no --interval'],
  ['ticker binance BTC/USDT --json --csv', 'exclude each other'],
  ['status --csv', 'has no CSV'],
])('%s is wrong usage', async (line, words) => {
  const { code, stdout, stderr } = await ask(...line.split(' '));
  expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
  expect(stderr).toContain(words);
});

test('a server that is not there is said so', async () => {
  const gone = await startSandboxApp(sandbox);
  await gone.app.close();
  for (const more of [[], ['--watch']]) {
    const { code, stdout, stderr } = await start([
      'ticker',
      'binance',
      'BTC/USDT',
      '--url',
      gone.url,
      ...more,
    ]).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).not.toBe('');
  }
});

test.each([
  ['ticker', 'kraken BTC/USD', / last [\d.]+ /],
  ['book', 'kraken BTC/USD', /^bid [\d.]+ \(/],
  ['ohlcv', 'binance ETH/USDT', / close [\d.]+ /],
])('%s --watch prints a line a change until Ctrl-C', async (name, market, pattern) => {
  const command = start([name, ...market.split(' '), '--watch', '--url', server.url]);
  await expect.poll(() => linesOf(command).length, { timeout: 20_000 }).toBeGreaterThan(2);
  command.program.signal('SIGINT');
  expect(await command.ended).toMatchObject({ code: 0, stderr: '' });
  const lines = linesOf(command);
  expect(lines.filter((line) => !pattern.test(line))).toEqual([]);
  expect(lines.some((line, index) => line === lines[index - 1])).toBe(false);
  expect(command.program.stdout.text).not.toContain('\u001B');
});

test('events as JSON are a line each; on a terminal a move has a colour', async () => {
  const json = start(['ticker', 'binance', 'BTC/USDT', '--watch', '--json', '--url', server.url]);
  const terminal = start(['ticker', 'binance', 'BTC/USDT', '--watch', '--url', server.url], {
    terminal: true,
  });
  await expect.poll(() => terminal.program.stdout.text, { timeout: 20_000 }).toContain('\u001B[3');
  await expect.poll(() => linesOf(json).length, { timeout: 20_000 }).toBeGreaterThan(1);
  expect(linesOf(json).map((line) => JSON.parse(line) as unknown)[0]).toMatchObject({ event_type: 'ticker' });
});

test('without --url it serves itself, and ends', async () => {
  const venues = { SANDBOX: sandbox.url, EXCHANGE_WORKERS: '0', REDIS_ENABLED: 'false' };
  // Of the server for others, which this one is not.
  const env = { ...venues, PORT: '1', STORE_URL: 'none', AUTH_MODE: 'required', METRICS_AUTH: 'true' };
  const { code, stdout, stderr } = await start(['ticker', 'binance', 'BTC/USDT', '--json'], { env }).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ exchange: 'binance', symbol: 'BTC/USDT' });
});

test('a key comes from the environment, and is never an argument', async () => {
  const { stderr, code } = await start(['ticker', 'binance', 'BTC/USDT', '--url', 'http://key@127.0.0.1:1'])
    .ended;
  expect(code).toBe(64);
  expect(stderr).toContain('without credentials');
});
