/** The command line: which command it names, with which options; help, version and exit codes. */
import { parseArgs } from 'node:util';
import type { ProgramProcess } from '../app/program-process.js';
import { ConfigError } from '../config/config.js';
import { VERSION } from '../config/version.js';
import { nearestNames } from '../lib/edit-distance.js';
import { EXIT } from '../lib/exit-codes.js';
import { UsageError, type Command } from './command.js';
import { write } from './output.js';

const PROGRAM = 'mcp-crypto-data-server';

export interface ListedCommand {
  /** One line for --help. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** Every command, by its name. */
const COMMANDS: Readonly<Record<string, ListedCommand>> = {
  serve: {
    summary: 'serve market data (the default); --stdio: MCP over standard input and output',
    load: async () => (await import('./serve.js')).serve,
  },
  ticker: {
    summary: 'print the price of a market; --watch: as it changes',
    load: async () => (await import('./market/commands.js')).ticker,
  },
  ohlcv: {
    summary: 'print candles of a market; --csv',
    load: async () => (await import('./market/commands.js')).ohlcv,
  },
  book: {
    summary: 'print the order book of a market; --watch: as it changes',
    load: async () => (await import('./market/commands.js')).book,
  },
  status: {
    summary: 'print how a server and its exchanges are',
    load: async () => (await import('./market/commands.js')).status,
  },
  backfill: {
    summary: 'fetch the history of a series into the candle store',
    load: async () => (await import('./backfill.js')).backfill,
  },
  store: {
    summary: 'look after the candle store: info, check, verify, backup, export, vacuum, copy',
    load: async () => (await import('./store.js')).store,
  },
  keys: {
    summary: 'make and look after keys: create, list, show, rotate, revoke, verify',
    load: async () => (await import('./keys.js')).keys,
  },
  plans: {
    summary: 'say how much keys may ask for: list, set',
    load: async () => (await import('./plans.js')).plans,
  },
};

/** The command that runs when no name is given. */
const DEFAULT_COMMAND = 'serve';

const COMMON_OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

const helpOf = (commands: Readonly<Record<string, ListedCommand>>): string => {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: ${PROGRAM} [command] [options]

Commands:
${lines.join('\n')}

Options:
  -h, --help     print this, or after a command what it takes
  -v, --version  print the version

Settings are environment variables: docs/configuration.md.
Exit codes: 0 done, 1 failed, 64 wrong usage, 78 unusable settings, 130 ended by Ctrl-C (a server: by the second one).
`;
};

const refuse = async ({ stderr }: ProgramProcess, fault: string): Promise<number> => {
  await write(stderr, `${fault.replace(/\.$/, '')}: see \`${PROGRAM} --help\`.\n`);
  return EXIT.badUsage;
};

const unknownCommand = (name: string, known: readonly string[]): string => {
  const [nearest] = nearestNames(name, known);
  const meant = nearest === undefined ? '' : ` (did you mean ${nearest}?)`;
  return `There is no command ${JSON.stringify(name)}${meant}.`;
};

/** The parsed arguments, or null and the fault. */
const parse = (command: Command, args: string[]) => {
  try {
    const options = { ...command.options, ...COMMON_OPTIONS };
    const { values, positionals } = parseArgs({ args, options, allowPositionals: command.takesPositionals });
    return { values, positionals, fault: null };
  } catch (error) {
    // The first sentence only: the advice of parseArgs that follows does not apply to this program.
    return { fault: `${String(error instanceof Error ? error.message : error).split('. ', 1)[0]}.` };
  }
};

/**
 * Runs the command that the arguments name. Resolves with the exit code of the process. Rejects with what the command
 * rejects with; bad settings and usage errors are printed and become exit codes.
 */
export const runCommandLine = async (
  program: ProgramProcess,
  commands: Readonly<Record<string, ListedCommand>> = COMMANDS,
): Promise<number> => {
  const args = program.argv.slice(2);
  const [first] = args;
  const isNamed = first !== undefined && !first.startsWith('-');
  const name = isNamed ? first : DEFAULT_COMMAND;
  const listed = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (listed === undefined) return refuse(program, unknownCommand(name, Object.keys(commands)));
  const command = await listed.load();
  const parsed = parse(command, isNamed ? args.slice(1) : args);
  if (parsed.fault !== null) return refuse(program, parsed.fault);
  const { values, positionals } = parsed;
  if (values.help === true) await write(program.stdout, isNamed ? command.help : helpOf(commands));
  else if (values.version === true) await write(program.stdout, `${VERSION}\n`);
  else
    try {
      return await command.run({ values, positionals, program });
    } catch (error) {
      if (error instanceof UsageError) return refuse(program, error.message);
      if (!(error instanceof ConfigError)) throw error;
      await write(program.stderr, `${error.message}\n`);
      return EXIT.badSettings;
    }
  return EXIT.ok;
};
