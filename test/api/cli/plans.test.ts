/** The command `plans`: what it sets, lists and refuses, in a store that servers share. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAccessStore } from '../../../src/access/open-access.js';
import { runCommandLine } from '../../../src/cli/command-line.js';
import { FakeProgram } from '../../support/fake-program.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plans-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const fileOf = (): string => join(folder, 'access.db');
const plans = async (
  args: readonly string[],
  env: Readonly<Record<string, string>> = { AUTH_STORE: `sqlite:${fileOf()}` },
) => {
  const program = new FakeProgram(['plans', ...args], env);
  const code = await runCommandLine(program);
  return { code, stdout: program.stdout.text, stderr: program.stderr.text };
};

describe('plans set', () => {
  test('keeps every limit, and list shows it', async () => {
    const options = [
      '--requests',
      '2',
      '--window',
      '30',
      '--day',
      '100',
      '--month',
      '1000',
      '--streams',
      '3',
    ];
    const more = ['--subscriptions', '4', '--symbols', '5', '--exchanges', 'Binance, kraken'];
    const last = ['--ohlcv-max', '500', '--backfill', 'false', '--graphql-cost', '7'];
    const shown =
      'trial  requests=2 window=30 day=100 month=1000 streams=3 subscriptions=4 symbols=5 exchanges=binance,kraken ohlcv_max=500 backfill=false graphql_cost=7\n';
    expect(await plans(['set', 'trial', ...options, ...more, ...last])).toEqual({
      code: 0,
      stdout: shown,
      stderr: '',
    });
    expect((await plans(['list'])).stdout).toBe(`default  unlimited\n${shown}`);
  });

  test('replaces a plan as a whole, and is written down', async () => {
    await plans(['set', 'default', '--day', '1']);
    expect((await plans(['set', 'default', '--requests', '9'])).stdout).toBe(
      'default  requests=9 window=60\n',
    );
    expect((await plans(['list'])).stdout).toBe('default  requests=9 window=60\n');
    const store = await openAccessStore({ kind: 'sqlite', file: fileOf() }, false);
    const entries = await store.audit(10);
    await store.close();
    expect(entries.map(({ actor, action, target, detail }) => ({ actor, action, target, detail }))).toEqual([
      { actor: 'cli', action: 'plan.set', target: 'default', detail: '{"requests":9,"window":60}' },
      { actor: 'cli', action: 'plan.set', target: 'default', detail: '{"day":1}' },
    ]);
  });

  test.each([
    [['set', 'trial', '--requests', '0'], '--requests "0" must be a whole number of at least 1: see `'],
    [['set', 'trial', '--day', '-5'], "Option '--day' argument is ambiguous"],
    [['set', 'trial', '--day', '1e3'], '--day "1e3" must be a whole number of at least 1: see `'],
    [['set', 'trial', '--window', '100000'], 'window must be at most 86400'],
    [['set', 'trial', '--backfill', 'maybe'], '--backfill "maybe" must be true or false: see `'],
    [['set', 'trial', '--exchanges', 'binanse'], 'Did you mean binance'],
    [['set', 'trial', '--exchanges', ''], 'exchanges.0 must be a CCXT exchange id'],
    [['set', 'a b', '--day', '1'], 'must be 1 to 64 letters, digits, - and _'],
    [['set'], 'Usage: plans list, or plans set <name>'],
    [['list', 'x'], 'Usage: plans list, or plans set <name>'],
    [['set', 'trial', 'x'], 'Usage: plans list, or plans set <name>'],
    [['drop', 'trial'], 'Usage: plans list, or plans set <name>'],
    [['set', 'trial', '--hour', '1'], "Unknown option '--hour'"],
  ])('refuses %j, and sets nothing', async (args, fault) => {
    const ended = await plans(args);
    expect(ended.code).toBe(64);
    expect(ended.stderr).toContain(fault);
    expect((await plans(['list'])).stdout).toBe('default  unlimited\n');
  });

  test('names the setting where there is no store', async () => {
    const ended = await plans(['list'], { AUTH_STORE: 'none' });
    expect(ended).toMatchObject({ code: 78 });
    expect(ended.stderr).toContain('AUTH_STORE');
  });

  test('says what is wrong with a store that cannot be opened', async () => {
    const ended = await plans(['list'], { AUTH_STORE: `sqlite:${folder}` });
    expect(ended.code).toBe(1);
    expect(ended.stderr.length).toBeGreaterThan(10);
  });
});
