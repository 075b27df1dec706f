/** Fetches the history of a series: by itself where no server owns the store, else as a job for that server. */
import { AppError } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';
import { backfillBody } from '../schemas/query.js';
import { estimateBackfill } from '../ledger/backfill/estimate.js';
import type { SeriesName } from '../ledger/settle.js';
import { StoreError } from '../ledger/store-error.js';
import { OPEN_STATES, type Job } from '../ledger/store.js';
import { sleep } from '../lib/deadline.js';
import { EXIT } from '../lib/exit-codes.js';
import { UsageError, type Command } from './command.js';
import { progressLine } from './output.js';
import { readSeries, SERIES_HELP, SERIES_OPTIONS } from './series-arguments.js';
import { withStore, type StoreSession } from './store-session.js';

const LOOK_EVERY_MS = 200;

interface Asked {
  readonly name: SeriesName & { readonly exchange: ExchangeId };
  readonly from: number;
  readonly to: number | undefined;
}

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
const titleOf = ({ exchange, symbol, interval }: SeriesName): string => `${exchange} ${symbol} ${interval}`;

const countsOf = ({ pages, candles }: Job): string =>
  `${plural(pages, 'request')}, ${plural(candles, 'candle')}`;

const progressOf = (job: Job): string => {
  const left = job.etaSeconds === null ? '' : `, ${plural(Math.ceil(job.etaSeconds / 60), 'minute')} left`;
  const waits = job.waitingFor === null ? '' : `, waiting: ${job.waitingFor}`;
  return `${job.percent.toFixed(1)} %, ${countsOf(job)}${left}${waits}`;
};

const dryRun = async ({ config, services, store, print }: StoreSession, asked: Asked): Promise<number> => {
  const { exchanges, now, monotonic } = services;
  const { settleMs } = config.store;
  const deps = { exchanges, store, settleMs, budgetShare: config.backfill.budgetShare, now, monotonic };
  const { from, to, requests, minutes, candles, percent } = await estimateBackfill(deps, asked.name, asked);
  const range = [from, to].map((at) => new Date(at).toISOString());
  await print(
    `${titleOf(asked.name)}, ${range.join(' to ')}: ${percent.toFixed(1)} % known (${plural(candles, 'candle')}); ` +
      `${plural(requests, 'request')}, about ${plural(minutes, 'minute')}.`,
  );
  return EXIT.ok;
};

/** No other process works on this file, so open jobs that the new one contains (left by Ctrl-C) are cancelled. */
const endContained = async ({ handle, store, ledger }: StoreSession, job: Job): Promise<void> => {
  if (handle.shared || !handle.status().writable || job.to === null) return;
  const title = titleOf(job);
  for (const other of await store.openJobs()) {
    const within = other.to !== null && job.from <= other.from && other.to <= job.to;
    if (other.id !== job.id && other.origin === 'api' && titleOf(other) === title && within)
      await ledger.cancelJob(other.id);
  }
};

/** Prints the progress of the job until it ends. */
const follow = async (session: StoreSession, { id, ...series }: Job): Promise<number> => {
  const { ledger, services, program, signal } = session;
  const line = progressLine(program.stdout, { title: titleOf(series), monotonic: services.monotonic });
  for (;;) {
    const job = await ledger.job(id);
    if (job === null) throw new AppError('not_found', 'The job is not in the store any more.');
    if (!OPEN_STATES.includes(job.state)) {
      const why = job.error === null ? '' : ` (${job.error})`;
      await line.end(`${job.state}${why}, ${countsOf(job)}.`);
      return job.state === 'done' ? EXIT.ok : EXIT.failed;
    }
    await line.show(job.percent, progressOf(job));
    await sleep(LOOK_EVERY_MS, signal);
  }
};

const fetchHistory = async (session: StoreSession, asked: Asked, wait: boolean): Promise<number> => {
  const { ledger, handle, print } = session;
  const { state, detail, writable } = handle.status();
  if (state !== 'ok' && !writable) throw new StoreError('unavailable', detail);
  const job = await ledger.addJob(asked.name, asked);
  if (!writable) {
    await print(`${titleOf(job)}: queued as ${job.id} for the server that owns the store.`);
    if (!wait) return EXIT.ok;
  }
  await endContained(session, job);
  // If the server ends before the job does, this process continues the job.
  ledger.startJob(job.id);
  return follow(session, job);
};

export const backfill: Command = {
  help: `Usage: mcp-crypto-data-server backfill <exchange> <symbol> --interval TEXT --from TIME [options]

Fetches what the candle store does not know of a range, newest first. Ctrl-C pauses; the same command goes on where it
stopped. Beside a server that owns the store it queues a job for that server.

Options:
${SERIES_HELP}; default: the latest settled candle
  --dry-run         print how many requests and minutes it would take, and ask for no candle
  --wait            beside a server: wait until its job has ended
`,
  options: { ...SERIES_OPTIONS, 'dry-run': { type: 'boolean' }, wait: { type: 'boolean' } },
  takesPositionals: true,
  run(input) {
    const { exchange: called, symbol, interval, from, to } = readSeries(backfillBody, input);
    if (to !== undefined && from >= to) throw new UsageError('--from: must lie before --to.');
    const { values, program } = input;
    const interrupted = 'Paused: the same command goes on where it stopped.';
    return withStore(program, { interrupted }, (session) => {
      const { exchange } = session.services.names.resolve(called);
      const asked = { name: { exchange, symbol, interval }, from, to };
      return values['dry-run'] === true
        ? dryRun(session, asked)
        : fetchHistory(session, asked, values['wait'] === true);
    });
  },
};
