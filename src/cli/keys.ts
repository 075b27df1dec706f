/** The command `keys`: makes, shows, rotates, revokes and verifies keys, in the store that servers share. */
import { text as readAll } from 'node:stream/consumers';
import { hashOf, idOf, isKey } from '../access/key-format.js';
import { createKeys } from '../access/keys-in-store.js';
import type { Keys } from '../access/keys.js';
import { DEFAULT_PLAN } from '../access/plan.js';
import { DEFAULT_SCOPES, isScope } from '../access/principal.js';
import type { AccessStore, KeyRow } from '../access/store/store.js';
import { EXIT } from '../lib/exit-codes.js';
import { rotateBody, SCOPES, type Scope } from '../schemas/access.js';
import { CLI_ACTOR, withAccessStore } from './access-session.js';
import { UsageError, type Command, type CommandInput } from './command.js';
import { table, write } from './output.js';

/** Keys read from the store at a time. */
const PAGE = 500;
/** Longer input than a key with a line's end holds no key. */
const MAX_INPUT = 1_000;
const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const keysOf = (store: AccessStore): Keys =>
  createKeys({
    store: () => store,
    // Servers find out by themselves.
    refresh: () => Promise.resolve(),
    tellOthers: () => Promise.resolve(1),
    now: Date.now,
  });

const textOf = (option: string, value: unknown): string => {
  if (typeof value === 'string' && value.trim() !== '') return value.trim();
  throw new UsageError(`--${option} is missing.`);
};

const scopesOf = (value: unknown): readonly Scope[] => {
  if (value === undefined) return DEFAULT_SCOPES;
  const names = textOf('scopes', value)
    .split(',')
    .map((name) => name.trim());
  for (const name of names)
    if (!isScope(name))
      throw new UsageError(`--scopes ${JSON.stringify(name)} is none of ${SCOPES.join(', ')}.`);
  return names.filter(isScope);
};

/** `30d`, `12h`, or an instant in ISO 8601; ms since the epoch. */
const expiryOf = (value: unknown, now: number): number | null => {
  if (value === undefined) return null;
  const given = textOf('expires', value);
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(given) ?? [];
  if (count !== undefined && unit !== undefined && unit in UNITS_MS)
    return now + Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
  const instant = /^\d{4}-\d\d-\d\d/.test(given) ? Date.parse(given) : NaN;
  if (Number.isNaN(instant))
    throw new UsageError(
      `--expires ${JSON.stringify(given)} must be a time such as 30d, or an instant such as 2030-01-31.`,
    );
  if (instant <= now) throw new UsageError(`--expires ${JSON.stringify(given)} is in the past.`);
  return instant;
};

const overlapOf = (value: unknown): number => {
  const given = textOf('overlap', value);
  const read = rotateBody.safeParse({ overlap: /^\d{1,9}$/.test(given) ? Number(given) : NaN });
  if (read.success) return read.data.overlap;
  throw new UsageError(`--overlap ${JSON.stringify(given)} must be whole seconds from 0 to 7776000.`);
};

const instant = (at: number | null): string => (at === null ? '-' : new Date(at).toISOString());

const stateOf = ({ revokedAt, expiresAt, leakedAt }: KeyRow, now: number): string => {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt !== null && expiresAt <= now) return 'expired';
  return leakedAt === null ? 'good' : 'good, leaked';
};

const HEAD = ['id', 'state', 'plan', 'created', 'expires', 'scopes', 'name'];
const cellsOf = (row: KeyRow, now: number): string[] => [
  ...[row.id, stateOf(row, now), row.plan, instant(row.createdAt), instant(row.expiresAt)],
  ...[row.scopes.join(','), row.name],
];

const create = ({ program, values }: CommandInput): Promise<number> => {
  const wanted = {
    name: textOf('name', values['name']),
    scopes: scopesOf(values['scopes']),
    plan: values['plan'] === undefined ? DEFAULT_PLAN : textOf('plan', values['plan']),
    expiresAt: expiryOf(values['expires'], Date.now()),
  };
  return withAccessStore(program, async ({ store, print }) => {
    const { row, key } = await keysOf(store).create(wanted, CLI_ACTOR);
    await write(program.stderr, `Key ${row.id}: it is shown this once.\n`);
    await print(key);
    return EXIT.ok;
  });
};

const list = ({ program }: CommandInput): Promise<number> =>
  withAccessStore(program, async ({ store, print }) => {
    const rows: KeyRow[] = [];
    for (let page = await store.keys({ limit: PAGE, after: null }); page.length > 0;) {
      rows.push(...page);
      page = await store.keys({ limit: PAGE, after: page.at(-1)?.id ?? null });
    }
    const now = Date.now();
    if (rows.length > 0) await print(table([HEAD, ...rows.map((row) => cellsOf(row, now))]));
    return EXIT.ok;
  });

const unknown = async ({ program }: CommandInput, id: string): Promise<number> => {
  await write(program.stderr, `There is no key ${JSON.stringify(id)}.\n`);
  return EXIT.failed;
};

const show = (input: CommandInput, id: string): Promise<number> =>
  withAccessStore(input.program, async ({ store, print }) => {
    const row = await store.key(id);
    if (row === null) return unknown(input, id);
    const lines = [
      ...[
        ['id', row.id],
        ['name', row.name],
        ['ends in', row.last4],
        ['state', stateOf(row, Date.now())],
      ],
      ...[
        ['scopes', row.scopes.join(',')],
        ['plan', row.plan],
        ['created', instant(row.createdAt)],
      ],
      ...[
        ['expires', instant(row.expiresAt)],
        ['revoked', instant(row.revokedAt)],
      ],
      ...[
        ['rotated to', row.rotatedTo ?? '-'],
        ['leaked', instant(row.leakedAt)],
      ],
    ];
    for (const [name = '', value = ''] of lines) await print(`${name.padEnd(11)}${value}`);
    return EXIT.ok;
  });

const rotate = (input: CommandInput, id: string): Promise<number> => {
  const overlap = overlapOf(input.values['overlap']);
  return withAccessStore(input.program, async ({ store, print }) => {
    if ((await store.key(id)) === null) return unknown(input, id);
    const issued = await keysOf(store).rotate(id, overlap * 1000, CLI_ACTOR);
    if (issued === null) {
      await write(input.program.stderr, `The key ${id} is revoked or rotated already.\n`);
      return EXIT.failed;
    }
    await write(input.program.stderr, `Key ${issued.row.id} replaces ${id}: it is shown this once.\n`);
    await print(issued.key);
    return EXIT.ok;
  });
};

const revoke = (input: CommandInput, id: string): Promise<number> =>
  withAccessStore(input.program, async ({ store, print }) => {
    const revoked = await keysOf(store).revoke(id, CLI_ACTOR);
    if (revoked === null) return unknown(input, id);
    await print(`${id}  revoked ${instant(revoked.row.revokedAt)}`);
    return EXIT.ok;
  });

/** From standard input, so that the key stands neither in the list of processes nor in the shell's history. */
const verify = (input: CommandInput): Promise<number> =>
  withAccessStore(input.program, async ({ store, print }) => {
    const key = (await readAll(input.program.stdin)).slice(0, MAX_INPUT).trim();
    const row = isKey(key) ? await store.key(idOf(key)) : null;
    const state = row?.hash === hashOf(key) ? stateOf(row, Date.now()) : 'not a key of this store';
    await print(row?.hash === hashOf(key) ? `${row.id}  ${state}` : state);
    return state.startsWith('good') ? EXIT.ok : EXIT.failed;
  });

interface Action {
  readonly usage: string;
  readonly takesId: boolean;
  /** Options besides the id. */
  readonly options: readonly string[];
  readonly run: (input: CommandInput, id: string) => Promise<number>;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  create: {
    usage: 'create --name TEXT [--scopes a,b] [--plan NAME] [--expires 30d]',
    takesId: false,
    options: ['name', 'scopes', 'plan', 'expires'],
    run: create,
  },
  list: { usage: 'list', takesId: false, options: [], run: list },
  show: { usage: 'show ID', takesId: true, options: [], run: show },
  rotate: { usage: 'rotate ID --overlap SECONDS', takesId: true, options: ['overlap'], run: rotate },
  revoke: { usage: 'revoke ID', takesId: true, options: [], run: revoke },
  verify: { usage: 'verify < FILE', takesId: false, options: [], run: verify },
};

export const keys: Command = {
  help: `Usage: mcp-crypto-data-server keys <what> [options]

Makes and looks after the keys of AUTH_STORE. Running servers know of a change within AUTH_SYNC_INTERVAL.

What:
${Object.values(ACTIONS)
  .map(({ usage }) => `  ${usage}`)
  .join('\n')}

create and rotate print the key on standard output, once. verify reads a key from standard input; exit code 0: it is
good, 1: it is not.

Options:
  --name TEXT        what the key is for
  --scopes a,b       of ${SCOPES.join(', ')}
                     (default ${DEFAULT_SCOPES.join(',')})
  --plan NAME        what it may use (default ${DEFAULT_PLAN}); \`plans set\` makes one
  --expires TIME     30d, 12h, or an instant such as 2030-01-31 (default: never)
  --overlap SECONDS  how long the old key is still good; 0 after a leak
`,
  options: {
    name: { type: 'string' },
    scopes: { type: 'string' },
    plan: { type: 'string' },
    expires: { type: 'string' },
    overlap: { type: 'string' },
  },
  takesPositionals: true,
  run(input) {
    const [what = '', id, ...more] = input.positionals;
    const action = Object.hasOwn(ACTIONS, what) ? ACTIONS[what] : undefined;
    if (action === undefined) throw new UsageError(`keys takes one of ${Object.keys(ACTIONS).join(', ')}.`);
    if (more.length > 0 || (id !== undefined) !== action.takesId)
      throw new UsageError(`Usage: keys ${action.usage}`);
    for (const option of Object.keys(input.values))
      if (!action.options.includes(option)) throw new UsageError(`keys ${what} takes no --${option}.`);
    return action.run(input, id ?? '');
  },
};
