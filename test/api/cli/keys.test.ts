/** The command `keys`: what it prints, changes and refuses, in a store that servers share. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isKey, makeKey } from '../../../src/access/key-format.js';
import { openAccessStore } from '../../../src/access/open-access.js';
import { runCommandLine } from '../../../src/cli/command-line.js';
import { FakeProgram } from '../../support/fake-program.js';
import { testFolder } from '../access/access-app.js';

let folder: ReturnType<typeof testFolder>;
beforeEach(() => {
  folder = testFolder();
});
afterEach(() => folder.end());

const keys = async (
  args: readonly string[],
  { env, stdin = '' }: { env?: Readonly<Record<string, string>>; stdin?: string } = {},
) => {
  const program = new FakeProgram(['keys', ...args], env ?? { AUTH_STORE: `sqlite:${folder.file}` });
  program.stdin.end(stdin);
  const code = await runCommandLine(program);
  return { code, stdout: program.stdout.text, stderr: program.stderr.text };
};

const rows = async () => {
  const store = await openAccessStore({ kind: 'sqlite', file: folder.file }, false);
  const found = { keys: await store.keys({ limit: 100, after: null }), audit: await store.audit(100) };
  await store.close();
  return found;
};

const created = async (...args: string[]): Promise<{ id: string; key: string }> => {
  const { code, stdout } = await keys(['create', '--name', 'one', ...args]);
  expect(code).toBe(0);
  const key = stdout.trim();
  return { key, id: key.slice(4, 16) };
};

test('create prints the key, and nothing else, on standard output', async () => {
  const { code, stdout, stderr } = await keys(['create', '--name', 'dashboard']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^cdk_\w{12}_\w{38}\n$/);
  expect(isKey(stdout.trim())).toBe(true);
  expect(stderr).toContain(stdout.slice(4, 16));
  const found = await rows();
  expect(found.keys).toMatchObject([
    {
      name: 'dashboard',
      plan: 'default',
      expiresAt: null,
      scopes: ['market:read', 'stream:read', 'history:read'],
    },
  ]);
  expect(found.audit).toMatchObject([{ actor: 'cli', action: 'key.create' }]);
  expect(JSON.stringify(found)).not.toContain(stdout.slice(17, 49));
});

test('create may grant any scope, a plan that is set, and an end', async () => {
  await runCommandLine(
    new FakeProgram(['plans', 'set', 'gold', '--day', '5'], { AUTH_STORE: `sqlite:${folder.file}` }),
  );
  await created('--scopes', 'admin, metrics:read', '--plan', 'gold', '--expires', '30d');
  await created('--expires', '2099-01-31');
  const found = (await rows()).keys;
  expect(found.map(({ scopes, plan }) => [scopes, plan])).toContainEqual([['admin', 'metrics:read'], 'gold']);
  const ends = found.map(({ expiresAt, createdAt }) => (expiresAt ?? 0) - createdAt);
  expect(ends.some((left) => Math.abs(left - 30 * 86_400_000) < 60_000)).toBe(true);
  expect(found.map(({ expiresAt }) => expiresAt)).toContain(Date.parse('2099-01-31'));
});

test('list and show tell what is known of keys, never a key', async () => {
  expect(await keys(['list'])).toEqual({ code: 0, stdout: '', stderr: '' });
  const { id, key } = await created();
  await created('--expires', '1h');
  const listed = await keys(['list']);
  expect(listed.stdout.split('\n')[0]).toMatch(/^id +state +plan +created +expires +scopes +name$/);
  expect(listed.stdout).toMatch(new RegExp(`^${id}  good +default .* one$`, 'm'));
  const shown = await keys(['show', id]);
  expect(shown.stdout).toMatch(new RegExp(`^id +${id}$`, 'm'));
  expect(shown.stdout).toMatch(new RegExp(`^ends in +${key.slice(-4)}$`, 'm'));
  expect(listed.stdout + shown.stdout).not.toContain(key.slice(17, 49));
});

test('rotate prints the new key, and lets the old one be good for the overlap', async () => {
  const { id, key } = await created();
  const { code, stdout } = await keys(['rotate', id, '--overlap', '60']);
  expect(code).toBe(0);
  expect(isKey(stdout.trim())).toBe(true);
  expect((await keys(['verify'], { stdin: `${key}\n` })).code).toBe(0);
  expect((await keys(['verify'], { stdin: stdout })).code).toBe(0);
  expect(await keys(['rotate', id, '--overlap', '0'])).toMatchObject({ code: 1, stdout: '' });
  const next = stdout.slice(4, 16);
  await keys(['rotate', next, '--overlap', '0']);
  expect(await keys(['verify'], { stdin: stdout })).toMatchObject({ code: 1, stdout: `${next}  expired\n` });
});

test('revoke ends a key for good, and says the same when it is asked again', async () => {
  const { id, key } = await created();
  expect(await keys(['verify'], { stdin: key })).toEqual({ code: 0, stdout: `${id}  good\n`, stderr: '' });
  const first = await keys(['revoke', id]);
  expect(first).toMatchObject({ code: 0 });
  expect(await keys(['revoke', id])).toEqual(first);
  expect(await keys(['verify'], { stdin: key })).toEqual({ code: 1, stdout: `${id}  revoked\n`, stderr: '' });
});

test.each([
  ['an unknown key', makeKey()],
  ['nothing', ''],
  ['no key', 'cdk_x'],
  ['too much', 'x'.repeat(5000)],
])('verify says 1 for %s', async (_name, stdin) => {
  await created();
  expect(await keys(['verify'], { stdin })).toEqual({
    code: 1,
    stdout: 'not a key of this store\n',
    stderr: '',
  });
});

describe('what is wrong is named, and ends with an exit code that is not 0:', () => {
  test.each([
    [['create'], 64, '--name is missing'],
    [['create', '--name', ' '], 64, '--name is missing'],
    [['create', '--name', 'a\u0000b'], 64, 'name'],
    [
      ['create', '--name', 'x', '--scopes', 'market:read,everything'],
      64,
      '"everything" is none of market:read',
    ],
    [['create', '--name', 'x', '--expires', 'soon'], 64, '"soon" must be a time such as 30d'],
    [['create', '--name', 'x', '--expires', '2001-01-01'], 64, 'in the past'],
    [['create', '--name', 'x', '--plan', 'gold'], 64, 'plan names no plan that is set: gold'],
    [['create', '--name', 'x', '--overlap', '1'], 64, 'takes no --overlap'],
    [['rotate', 'x'], 64, '--overlap is missing'],
    [['rotate', 'x', '--overlap', '7776001'], 64, 'from 0 to 7776000'],
    [['rotate', 'x', '--overlap', '1.5'], 64, '"1.5"'],
    [['rotate', 'nobody', '--overlap', '1'], 1, 'no key "nobody"'],
    [['show', 'nobody'], 1, 'no key "nobody"'],
    [['revoke', 'nobody'], 1, 'no key "nobody"'],
    [['show'], 64, 'Usage: keys show ID'],
    [['list', 'x'], 64, 'Usage: keys list'],
    [['drop'], 64, 'keys takes one of create, list'],
    [[], 64, 'keys takes one of create, list'],
  ])('%j', async (args, code, words) => {
    const ended = await keys(args);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(words);
  });

  test('no store', async () => {
    const ended = await keys(['list'], { env: { STORE_URL: 'none' } });
    expect(ended).toMatchObject({ code: 78 });
    expect(ended.stderr).toContain('AUTH_STORE');
  });
});
