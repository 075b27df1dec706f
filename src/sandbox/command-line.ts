// The sandbox as a program: its flags, its exit codes, its end by a signal.
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { startSandbox, type SandboxOptions } from './sandbox.js';

const USAGE = `usage: node dist/sandbox/main.js [--port 9900] [--host 127.0.0.1] [--seed 1] [--markets <per venue>]
       [--ticks <per second and market, 2>] [--in-step]
       [--latency <ms, 0>] [--jitter <ms, 0>] [--weight-limit <per minute, 6000; 0 is off>]
`;

/** Exit code of a wrong command line (EX_USAGE of sysexits.h). */
const BAD_USAGE = 64;
const FAILED = 1;

const DEFAULT_PORT = 9900;

/** Flags that take a number, with the least and the greatest one. */
const NUMBERS = {
  port: [0, 65_535],
  seed: [0, 2 ** 31],
  markets: [1, 10_000],
  ticks: [0, 100],
  latency: [0, 60_000],
  jitter: [0, 60_000],
  'weight-limit': [0, Number.MAX_SAFE_INTEGER],
} as const;

const TEXT = { type: 'string' } as const;
const OPTIONS: NonNullable<ParseArgsConfig['options']> = {
  ...Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, TEXT])),
  host: TEXT,
  'in-step': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
};

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Absent: the sandbox's own default. */
function numberOf(values: Values, name: keyof typeof NUMBERS): number | undefined {
  const given = values[name];
  if (given === undefined) return undefined;
  const [least, most] = NUMBERS[name];
  const value = Number(given);
  if (given === '' || !(value >= least && value <= most)) {
    throw new TypeError(`--${name} must be a number from ${least} to ${most}, not "${String(given)}"`);
  }
  return value;
}

function sandboxOptions(values: Values): SandboxOptions {
  const { host } = values;
  const weightLimit = numberOf(values, 'weight-limit');
  const given = {
    port: numberOf(values, 'port') ?? DEFAULT_PORT,
    host,
    seed: numberOf(values, 'seed'),
    marketsPerVenue: numberOf(values, 'markets'),
    ticksPerSecond: numberOf(values, 'ticks'),
    inStep: values['in-step'],
    latencyMs: numberOf(values, 'latency'),
    jitterMs: numberOf(values, 'jitter'),
    weightLimit: weightLimit === 0 ? Infinity : weightLimit,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** What the program needs of its process. */
export interface SandboxProcess {
  /** What the user wrote after the program's name. */
  readonly args: readonly string[];
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  /** Calls `end` on SIGTERM and SIGINT. */
  readonly onSignal: (end: () => void) => void;
}

/** Resolves with the exit code: 0 after a signal, 1 where it cannot listen, 64 for a wrong command line. */
export async function runSandbox({ args, print, printError, onSignal }: SandboxProcess): Promise<number> {
  const fail = (error: unknown, code: number): number => {
    const cause = String(error).replace(/^\w*Error(?: \[\w+\])?: /, '');
    printError(code === BAD_USAGE ? `${cause}\n${USAGE}` : `sandbox: ${cause}\n`);
    return code;
  };
  let options: SandboxOptions;
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS, strict: true });
    if (values['help'] === true) {
      print(USAGE);
      return 0;
    }
    options = sandboxOptions(values);
  } catch (error) {
    return fail(error, BAD_USAGE);
  }
  try {
    const sandbox = await startSandbox(options);
    print(`sandbox: ${sandbox.url}/<venue host>/... and ${sandbox.wsUrl}/<venue host>/...\n`);
    print(`control: ${sandbox.url}/_control/state (docs/sandbox.md)\n`);
    await new Promise<void>(onSignal);
    await sandbox.close();
    return 0;
  } catch (error) {
    return fail(error, FAILED);
  }
}
