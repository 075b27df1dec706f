// Each rule of .dependency-cruiser.js finds what it forbids; `npm run imports` applies them to the sources.
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { afterAll, expect, test } from 'vitest';
import rules from '../../.dependency-cruiser.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Sources that keep the rules, among them all that is imported below. */
const GOOD: Readonly<Record<string, string>> = {
  'src/cli.ts': "import { a } from './cli/serve.js'; export const b = a;",
  'src/cli/serve.ts': "import { app } from '../app/app.js'; export const a = app;",
  'src/app/app.ts': "import { a } from '../http/answer.js'; export const app = a;",
  'src/app/drivers.ts': "export const start = () => import('../sandbox/sandbox.js');",
  'src/http/answer.ts': "import { a } from '../cache/entry.js'; export { a };",
  'src/http/routes/one.ts': 'export const a = 1;',
  'src/cache/entry.ts': 'export const a = 1; export type A = number;',
  'src/config/config.ts': 'export const a = 1; export type Config = number;',
  'src/sandbox/sandbox.ts': "import { a } from './market.js'; export { a };",
  'src/sandbox/market.ts': 'export const a = 1;',
  'src/schemas/words.ts': "import { z } from 'zod'; export const a = z;",
  'src/lib/once.ts': "import { once } from 'node:events'; export const a = once;",
  'src/errors.ts': 'export const a = 1;',
  'src/exchanges/normalizer.ts': "import { a } from '../schemas/words.js'; export { a };",
  'src/exchanges/ccxt/loader.ts': "import ccxt from 'ccxt'; export const a = ccxt;",
  'src/http/settings-type.ts': "import type { Config } from '../config/config.js'; export type A = Config;",
  'src/streams/circle.ts': 'export type Circle = number;',
  'src/streams/other.ts': "import type { Circle } from './circle.js'; export type Other = Circle;",
  // A folder that no module is: found where it is imported.
  'src/stray/file.ts': 'export const a = 1;',
};
/** What breaks a rule, in a file of its own or in place of a good one. */
const BAD: readonly (readonly [rule: string, path: string, text: string])[] = [
  ['module-cache', 'src/cache/static.ts', "import { a } from '../http/answer.js'; export const b = a;"],
  ['module-cache', 'src/cache/again.ts', "export { a } from '../http/answer.js';"],
  ['module-cache', 'src/cache/dynamic.ts', "export const b = await import('../http/answer.js');"],
  ['module-cache', 'src/cache/template.ts', 'export const b = await import(`../http/answer.js`);'],
  ['module-cache', 'src/cache/type.ts', "export type B = import('../http/answer.js').A;"],
  [
    'module-cache',
    'src/cache/type-only.ts',
    "import type { A } from '../http/answer.js'; export type B = A;",
  ],
  [
    'module-streams',
    'src/streams/settings.ts',
    "import type { Config } from '../config/config.js'; export type B = Config;",
  ],
  ['module-sandbox', 'src/sandbox/words.ts', "import { a } from '../schemas/words.js'; export const b = a;"],
  ['module-schemas', 'src/schemas/once.ts', "import { a } from '../lib/once.js'; export const b = a;"],
  ['module-lib', 'src/lib/words.ts', "import { a } from '../errors.js'; export const b = a;"],
  ['module-errors.ts', 'src/errors.ts', "import { a } from './lib/once.js'; export const b = a;"],
  [
    'no-circle',
    'src/streams/circle.ts',
    "import type { Other } from './other.js'; export type Circle = Other;",
  ],
  ['known-module', 'src/http/elsewhere.ts', "import { a } from '../stray/file.js'; export const b = a;"],
  ['resolvable', 'src/http/gone.ts', "import { a } from './not-there.js'; export const b = a;"],
  ['no-dev-dependency', 'src/http/dev.ts', "import { test } from 'vitest'; export const b = test;"],
  ['package-ccxt', 'src/http/venue.ts', "import ccxt from 'ccxt'; export const b = ccxt;"],
  ['package-ioredis', 'src/http/redis.ts', "import { Redis } from 'ioredis'; export const b = Redis;"],
  ['package-pg', 'src/ledger/pg.ts', "import pg from 'pg'; export const b = pg;"],
  [
    'package-graphql-ws',
    'src/streams/ws.ts',
    "import { makeServer } from 'graphql-ws'; export const b = makeServer;",
  ],
  ['package-prom-client', 'src/http/prom.ts', "import { Gauge } from 'prom-client'; export const b = Gauge;"],
  [
    'package-fastify|fastify-plugin|@fastify',
    'src/streams/server.ts',
    "import fastify from 'fastify'; export const b = fastify;",
  ],
  [
    'package-fastify|fastify-plugin|@fastify',
    'src/mcp/swagger.ts',
    "import swagger from '@fastify/swagger'; export const b = swagger;",
  ],
  [
    'settings-as-types',
    'src/http/settings.ts',
    "import { a } from '../config/config.js'; export const b = a;",
  ],
  ['routes-apart', 'src/http/routes/two.ts', "import { a } from './one.js'; export const b = a;"],
  ['sandbox-by-drivers', 'src/app/services.ts', "export const b = () => import('../sandbox/sandbox.js');"],
  [
    'sandbox-when-wanted',
    'src/app/drivers.ts',
    "import { a } from '../sandbox/sandbox.js'; export const b = a;",
  ],
  [
    'graphql-when-wanted',
    'src/http/operations.ts',
    "import { execute } from 'graphql'; export const b = execute;",
  ],
  ['schemas-zod', 'src/schemas/events.ts', "import { once } from 'node:events'; export const b = once;"],
  ['lib-node', 'src/lib/zod.ts', "import { z } from 'zod'; export const b = z;"],
  ['errors-alone', 'src/errors.ts', "import { once } from 'node:events'; export const b = once;"],
  [
    'normalizer-pure',
    'src/exchanges/normalizer.ts',
    "import { readFileSync } from 'node:fs'; export const b = readFileSync;",
  ],
];

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** The rules that sources break, each with the file that breaks it. */
const brokenBy = async (sources: Readonly<Record<string, string>>): Promise<string[]> => {
  const folder = await mkdtemp(join(tmpdir(), 'imports-'));
  folders.push(folder);
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'));
  for (const [path, text] of Object.entries(sources)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const { options, ...ruleSet } = rules;
  const { output } = await cruise(['src'], { ...options, ruleSet, validate: true, baseDir: folder });
  return (output as ICruiseResult).summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`);
};

test('sources that keep the rules pass', async () => {
  expect(await brokenBy(GOOD)).toEqual([]);
});

test('each rule finds what it forbids, in every form of import', async () => {
  // Files in place of one another are looked at one after the other.
  const rounds: Record<string, string>[] = [];
  for (const [, path, text] of BAD) {
    let round = rounds.find((sources) => !(path in sources));
    if (round === undefined) rounds.push((round = {}));
    round[path] = text;
  }
  const found = (await Promise.all(rounds.map((bad) => brokenBy({ ...GOOD, ...bad })))).flat();
  const wanted = BAD.map(([rule, path]) => `${rule}: ${path}`);
  expect(
    wanted.filter((line) => !found.includes(line)),
    found.join('\n'),
  ).toEqual([]);
});
