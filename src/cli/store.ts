/** The command `store`: one table of what can be done with a candle store. */
import { UsageError, type Command, type CommandInput } from './command.js';
import { SERIES_HELP, SERIES_OPTIONS } from './series-arguments.js';

export interface StoreAction {
  /** What follows its name, for --help. */
  readonly usage: string;
  readonly summary: string;
  /** Of the command's options, those that it takes. */
  readonly options: readonly string[];
  /** Arguments behind its name: at least, and at most. */
  readonly argumentCount: readonly [number, number];
  /** As Command.run. */
  readonly load: () => Promise<(input: CommandInput) => Promise<number>>;
}

const SERIES = ['exchange', 'symbol', 'interval', 'from', 'to'];

const ACTIONS: Readonly<Record<string, StoreAction>> = {
  info: {
    ...{
      usage: '',
      summary: 'list the series, and count what is stored',
      options: [],
      argumentCount: [0, 0],
    },
    load: async () => (await import('./store-maintenance.js')).info,
  },
  check: {
    ...{
      usage: '',
      summary: 'read everything; exit code 0: it is sound',
      options: [],
      argumentCount: [0, 0],
    },
    load: async () => (await import('./store-maintenance.js')).check,
  },
  verify: {
    ...{ usage: ' <exchange> <symbol> [--interval --from --to]', options: SERIES, argumentCount: [0, 2] },
    summary: 'ask the exchange again for a known range, and record what it has corrected',
    load: async () => (await import('./store-verify.js')).verify,
  },
  backup: {
    ...{
      usage: ' FILE',
      summary: 'copy the store into a new SQLite file',
      options: [],
      argumentCount: [1, 1],
    },
    load: async () => (await import('./store-copy.js')).backup,
  },
  export: {
    ...{ usage: ' <exchange> <symbol> [--interval --from --to --format] --out FILE', argumentCount: [0, 2] },
    summary: 'write settled candles into a CSV or Parquet file',
    options: [...SERIES, 'format', 'out'],
    load: async () => (await import('./store-export.js')).exportCandles,
  },
  vacuum: {
    ...{ usage: '', summary: 'give space that is free back to the disk', options: [], argumentCount: [0, 0] },
    load: async () => (await import('./store-maintenance.js')).vacuum,
  },
  copy: {
    ...{ usage: ' STORE_URL', options: [], argumentCount: [1, 1] },
    summary: 'copy the store into another one: sqlite:<file> or postgres://…; goes on where it stopped',
    load: async () => (await import('./store-copy.js')).copy,
  },
};

const list = Object.entries(ACTIONS)
  .map(([name, { usage, summary }]) => `  ${name}${usage}\n      ${summary}`)
  .join('\n');

/** @throws UsageError */
const actionOf = ({ values, positionals }: CommandInput): StoreAction => {
  const [name, ...rest] = positionals;
  const action = name !== undefined && Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (name === undefined || action === undefined)
    throw new UsageError(`store takes one of ${Object.keys(ACTIONS).join(', ')}.`);
  for (const option of Object.keys(values))
    if (!action.options.includes(option)) throw new UsageError(`store ${name} takes no --${option}.`);
  const [least, most] = action.argumentCount;
  if (rest.length < least || rest.length > most) throw new UsageError(`Usage: store ${name}${action.usage}`);
  return action;
};

export const store: Command = {
  help: `Usage: mcp-crypto-data-server store <what> [options]

Looks after the candle store of STORE_URL.

What:
${list}

Options:
${SERIES_HELP}
  --format TEXT     csv (the default) or parquet
  --out FILE        the file to write; one that is there is replaced
`,
  options: { ...SERIES_OPTIONS, format: { type: 'string' }, out: { type: 'string' } },
  takesPositionals: true,
  async run(input) {
    const run = await actionOf(input).load();
    return run(input);
  },
};
