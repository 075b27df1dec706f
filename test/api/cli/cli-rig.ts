/** Commands of the program in this process, over simulated venues and a store of the test. */
import { runCommandLine } from '../../../src/cli/command-line.js';
import { FakeProgram } from '../../support/fake-program.js';
import type { LedgerRig } from '../ledger/ledger-app.js';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly program: FakeProgram;
  readonly ended: Promise<Ended>;
}

const envOf = (rig: LedgerRig): Record<string, string> => ({
  SANDBOX: rig.sandbox.url,
  // A Redis of this machine would be shared with other tests, and every late answer of it told on stderr.
  REDIS_ENABLED: 'false',
  STORE_URL: rig.storeUrl,
  RATE_LIMIT_REQUESTS: '100000',
  MAX_RETRIES: '0',
  UPSTREAM_TIMEOUT: '5',
  EXCHANGE_OPTIONS: '{"binance":{"rateLimit":1},"kraken":{"rateLimit":1}}',
});

export const startCommand = (
  rig: LedgerRig,
  args: readonly (string | number)[],
  { env = {}, terminal = false }: { env?: Readonly<Record<string, string>>; terminal?: boolean } = {},
): Running => {
  const program = new FakeProgram(args.map(String), { ...envOf(rig), ...env });
  if (terminal) Object.assign(program.stdout, { isTTY: true, columns: 60 });
  const ended = runCommandLine(program).then((code) => ({
    code,
    stdout: program.stdout.text,
    stderr: program.stderr.text,
  }));
  return { program, ended };
};

export const command = (...given: Parameters<typeof startCommand>): Promise<Ended> =>
  startCommand(...given).ended;
