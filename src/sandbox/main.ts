// `npm run sandbox`: the simulated venues as a process of their own.
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { startSandbox, type SandboxOptions } from './sandbox.js';

const USAGE = `usage: node dist/sandbox/main.js [--port 9900] [--host 127.0.0.1] [--seed 1] [--markets <per venue>]
       [--ticks <per second and market, 2>] [--in-step]
       [--latency <ms, 0>] [--jitter <ms, 0>] [--weight-limit <per minute, 6000; 0 is off>]`;

/** Exit code of a wrong command line (EX_USAGE of sysexits.h). */
const BAD_USAGE = 64;

const FLAGS = {
  port: [0, 65_535],
  seed: [0, 2 ** 31],
  markets: [1, 10_000],
  ticks: [0, 100],
  latency: [0, 60_000],
  jitter: [0, 60_000],
  'weight-limit': [0, Number.MAX_SAFE_INTEGER],
} as const;

/** @throws TypeError that names the bad flag */
function parseFlags(args: readonly string[]): SandboxOptions {
  const text = { type: 'string' } as const;
  const options: ParseArgsConfig['options'] = {
    ...Object.fromEntries([...Object.keys(FLAGS), 'host'].map((name) => [name, text])),
    'in-step': { type: 'boolean' },
  };
  const { values } = parseArgs({ args: [...args], options, strict: true });
  const number = (name: keyof typeof FLAGS): number | undefined => {
    const given = values[name];
    if (given === undefined) return undefined;
    const [least, most] = FLAGS[name];
    const value = Number(given);
    if (given === '' || !(value >= least && value <= most)) {
      throw new TypeError(`--${name} must be a number from ${least} to ${most}, not "${String(given)}"`);
    }
    return value;
  };
  const given = {
    port: number('port') ?? 9900,
    host: typeof values['host'] === 'string' ? values['host'] : undefined,
    seed: number('seed'),
    marketsPerVenue: number('markets'),
    ticksPerSecond: number('ticks'),
    inStep: values['in-step'] === true ? true : undefined,
    latencyMs: number('latency'),
    jitterMs: number('jitter'),
    weightLimit: number('weight-limit') === 0 ? Infinity : number('weight-limit'),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function main(): Promise<void> {
  let options: SandboxOptions;
  try {
    options = parseFlags(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exitCode = BAD_USAGE;
    return;
  }
  const sandbox = await startSandbox(options);
  console.log(`sandbox: ${sandbox.url}/<venue host>/... and ${sandbox.wsUrl}/<venue host>/...`);
  console.log(`control: ${sandbox.url}/_control/state (docs/sandbox.md)`);
  const stop = (): void => void sandbox.close();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

main().catch((error: unknown) => {
  console.error(`sandbox: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
