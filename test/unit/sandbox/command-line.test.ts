// The sandbox as a program: its flags and its exit codes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { runSandbox } from '../../../src/sandbox/command-line.js';

/** Runs it until it has said where it is, or has ended. */
const start = (...args: string[]) => {
  const told = { out: '', err: '' };
  let stop: (() => void) | undefined;
  const code = runSandbox({
    args,
    print: (text) => (told.out += text),
    printError: (text) => (told.err += text),
    onSignal: (end) => (stop = end),
  });
  const url = async (): Promise<string> => {
    await expect.poll(() => told.out, { interval: 5 }).toContain('_control/state');
    return /http:\/\/[^/]+/.exec(told.out)?.[0] ?? '';
  };
  return { told, code, url, end: () => stop?.() };
};

const get = async (url: string): Promise<unknown> => (await fetch(url)).json();

test('serves what its flags say until a signal, and ends with 0', async () => {
  const flags = '--port 0 --host 127.0.0.1 --seed 7 --markets 20 --ticks 5 --in-step --latency 1 --jitter 1';
  const { code, url, end, told } = start(...flags.split(' '), '--weight-limit', '0');
  const base = await url();
  expect(told.out).toBe(
    `sandbox: ${base}/<venue host>/... and ${base.replace('http', 'ws')}/<venue host>/...\n` +
      `control: ${base}/_control/state (docs/sandbox.md)\n`,
  );
  expect(await get(`${base}/_control/truth/markets?venue=kraken`)).toMatchObject({ symbols: { length: 20 } });
  const answer = await fetch(`${base}/api.binance.com/api/v3/ping`);
  expect(answer.headers.get('x-mbx-used-weight-1m')).toBe('0');
  end();
  expect(await code).toBe(0);
  await expect(fetch(base)).rejects.toThrow();
});

test('counts request weights unless they are off', async () => {
  const { code, url, end } = start('--port', '0', '--weight-limit', '100');
  const answer = await fetch(`${await url()}/api.binance.com/api/v3/ping`);
  expect(answer.headers.get('x-mbx-used-weight-1m')).toBe('1');
  end();
  expect(await code).toBe(0);
});

test.each([
  [['--ticks', 'many'], '--ticks must be a number from 0 to 100, not "many"'],
  [['--ticks', '101'], '--ticks must be a number from 0 to 100, not "101"'],
  [['--markets', ''], '--markets must be a number from 1 to 10000, not ""'],
  [['--weather'], "Unknown option '--weather'"],
  [['now'], "Unexpected argument 'now'"],
])('%j is refused with 64 and the usage', async (args, fault) => {
  const { code, told } = start(...args);
  expect(await code).toBe(64);
  expect(told.err.startsWith(fault)).toBe(true);
  expect(told.err).toContain('usage: node dist/sandbox/main.js [--port 9900]');
  expect(told.out).toBe('');
});

test.each(['--help', '-h'])('%s prints the usage and ends with 0', async (flag) => {
  const { code, told } = start(flag);
  expect(await code).toBe(0);
  expect(told.out).toContain('usage: node dist/sandbox/main.js [--port 9900]');
});

test('a port that is taken ends it with 1; the default is 9900', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const { code, told } = start('--port', String(port));
  expect(await code).toBe(1);
  expect(told.err).toBe(`sandbox: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`);
  taken.close();
  // An address of no machine: whether 9900 is free here does not matter.
  const nowhere = start('--host', '192.0.2.1');
  expect(await nowhere.code).toBe(1);
  expect(nowhere.told.err).toContain('192.0.2.1:9900');
});

test('as a process it says where it is, serves, and ends with 0 on SIGTERM', async () => {
  const args = ['--import', 'tsx', 'src/sandbox/main.ts', '--port', '0'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await expect.poll(() => out, { interval: 20, timeout: 15_000 }).toContain('_control/state');
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0] ?? '';
  expect((await fetch(`${url}/api.kraken.com/0/public/Time`)).status).toBe(200);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
}, 20_000);
