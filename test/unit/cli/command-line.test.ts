import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Command, CommandInput } from '../../../src/cli/command.js';
import { runCommandLine } from '../../../src/cli/command-line.js';
import { ConfigError } from '../../../src/config/config.js';
import { FakeProgram } from '../../support/fake-program.js';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

const calls: CommandInput[] = [];
let outcome: () => Promise<number>;
afterEach(() => {
  calls.length = 0;
});

const serve: Command = {
  help: 'help of serve\n',
  options: { stdio: { type: 'boolean' } },
  takesPositionals: false,
  run(input) {
    calls.push(input);
    return outcome();
  },
};
const store: Command = {
  ...serve,
  help: 'help of store\n',
  options: { out: { type: 'string' } },
  takesPositionals: true,
};
const COMMANDS = {
  serve: { summary: 'serve market data', load: () => Promise.resolve(serve) },
  store: { summary: 'look after the store', load: () => Promise.resolve(store) },
};

const run = async (...args: string[]) => {
  const program = new FakeProgram(args);
  const code = await runCommandLine(program, COMMANDS);
  return { code, stdout: program.stdout.text, stderr: program.stderr.text };
};

describe('a command', () => {
  test('without a name is serve, with the options that follow', async () => {
    outcome = () => Promise.resolve(0);
    expect(await run('--stdio')).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(calls).toMatchObject([{ values: { stdio: true }, positionals: [] }]);
  });

  test('gets its own arguments, and ends the process with its code', async () => {
    outcome = () => Promise.resolve(1);
    expect(await run('store', 'export', '--out', 'file.csv')).toEqual({ code: 1, stdout: '', stderr: '' });
    expect(calls).toMatchObject([{ values: { out: 'file.csv' }, positionals: ['export'] }]);
  });

  test('with unusable settings ends with 78 and names the faults', async () => {
    outcome = () => Promise.reject(new ConfigError(['PORT: must be a whole number, not "http"']));
    expect(await run()).toEqual({
      code: 78,
      stdout: '',
      stderr: 'The settings are not usable:\n  - PORT: must be a whole number, not "http"\n',
    });
  });

  test('that fails otherwise fails as it is', async () => {
    const fault = new Error('broken');
    outcome = () => Promise.reject(fault);
    await expect(run()).rejects.toBe(fault);
  });
});

test.each([
  [['sevre'], 'There is no command "sevre" (did you mean serve?).'],
  [['constructor'], 'There is no command "constructor".'],
  [['--stdoi'], "Unknown option '--stdoi'."],
  [['serve', 'now'], "Unexpected argument 'now'."],
  [['store', '--out'], "Option '--out <value>' argument missing."],
])('%j is refused with 64 and runs nothing', async (args, fault) => {
  expect(await run(...args)).toEqual({
    code: 64,
    stdout: '',
    stderr: `${fault.replace(/\.$/, '')}: see \`mcp-crypto-data-server --help\`.\n`,
  });
  expect(calls).toEqual([]);
});

describe('help and version', () => {
  test.each(['--help', '-h'])('%s lists the commands', async (flag) => {
    const { code, stdout } = await run(flag);
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: mcp-crypto-data-server [command] [options]\n');
    expect(stdout).toContain('  serve  serve market data\n  store  look after the store\n');
    expect(calls).toEqual([]);
  });

  test('after a command, its own help', async () => {
    expect(await run('store', '--help')).toMatchObject({ code: 0, stdout: 'help of store\n' });
  });

  test.each([['--version'], ['-v'], ['store', '-v']])('%s %s print the version', async (...args) => {
    expect(await run(...args)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

test('every command of the program is listed, can be loaded and tells what it takes', async () => {
  const all = new FakeProgram(['--help']);
  expect(await runCommandLine(all)).toBe(0);
  const [, list = ''] = /Commands:\n((?: {2}\w+ .*\n)+)/.exec(all.stdout.text) ?? [];
  const names = [...list.matchAll(/^ {2}(\w+)/gm)].map(([, name = '']) => name);
  expect(names).toContain('serve');
  for (const name of names) {
    const one = new FakeProgram([name, '--help']);
    expect(await runCommandLine(one)).toBe(0);
    expect(one.stdout.text).toContain(`Usage: mcp-crypto-data-server ${name === 'serve' ? '[serve]' : name}`);
  }
});

test('serve tells every bad setting, and that an exchange is unknown to CCXT', async () => {
  const program = new FakeProgram([], { PORT: 'http', ENABLED_EXCHANGES: 'binance,nowhere' });
  expect(await runCommandLine(program)).toBe(78);
  expect(program.stderr.text).toContain('  - PORT: must be a whole number, not "http"\n');
  expect(program.stderr.text).toContain('nowhere is not an exchange that CCXT knows');
});
