/** `store verify`: fetches known candles again from the exchange; corrected candles are recorded as revisions. */
import { AppError } from '../errors.js';
import { traitsOf } from '../ledger/backfill/job-plan.js';
import { locateSeries } from '../ledger/series-range.js';
import type { SeriesName } from '../ledger/settle.js';
import { sleep } from '../lib/deadline.js';
import { EXIT } from '../lib/exit-codes.js';
import { addPeriods } from '../lib/intervals.js';
import { coverageQuery } from '../schemas/query.js';
import type { CommandInput } from './command.js';
import { progressLine } from './output.js';
import { readSeries } from './series-arguments.js';
import { requireWritable } from './store-maintenance.js';
import { withStore, type StoreSession } from './store-session.js';

const PAGE_TIMEOUT_MS = 30_000;
const ALL = Number.MAX_SAFE_INTEGER;

interface Page {
  readonly since: number;
  readonly limit: number;
}

/** Fetches one page, waiting for the request budget as often as necessary. */
const askAgain = async (
  { services, ledger, signal }: StoreSession,
  name: SeriesName,
  page: Page,
): Promise<void> => {
  const { exchanges, monotonic } = services;
  for (;;)
    try {
      const answer = await exchanges.fetch(
        { kind: 'ohlcv', ...name, ...page, evidence: true, onePage: true },
        { deadline: monotonic() + PAGE_TIMEOUT_MS, priority: 'backfill', attempts: 1, signal },
      );
      if (answer.evidence !== undefined) await ledger.record(name, answer.evidence);
      return;
    } catch (thrown) {
      const { code, retryAfterMs = 1_000 } = AppError.from(thrown);
      if (code !== 'upstream_budget_exhausted') throw thrown;
      await sleep(retryAfterMs, signal);
    }
};

export const verify = ({ program, ...input }: CommandInput): Promise<number> => {
  const { exchange: called, symbol, interval, from, to } = readSeries(coverageQuery, input, { skip: 1 });
  return withStore(program, { interrupted: 'Ended before it was done.' }, async (session) => {
    requireWritable(session);
    const { config, services, store } = session;
    const { names, exchanges, now, monotonic } = services;
    const { exchange } = names.resolve(called);
    const settledBy = now() - config.store.settleMs;
    const located = await locateSeries(
      store,
      { exchange, symbol, interval },
      { asked: { from, to }, settledBy },
    );
    const { name, series, span, coverage } = located;
    const title = `${exchange} ${name.symbol} ${interval}`;
    const line = progressLine(program.stdout, { title, monotonic });
    if (series === null) {
      await line.end('nothing is stored.');
      return EXIT.ok;
    }
    const { page } = await traitsOf(exchanges, name);
    const known = coverage.filter(({ state }) => state === 'known');
    const pages = known.flatMap((range) => {
      const found: Page[] = [];
      for (let since = range.from; since < range.to; since = addPeriods(located.interval, since, page))
        found.push({ since, limit: Math.min(page, Math.ceil((range.to - since) / located.interval.ms)) });
      return found;
    });
    const revisions = async (): Promise<number> => (await store.revisions(series.id, span, ALL)).length;
    const before = await revisions();
    for (const [index, one] of pages.entries()) {
      await line.show((index / pages.length) * 100, `${index} of ${pages.length} requests`);
      await askAgain(session, name, one);
    }
    await line.end(`${pages.length} requests, ${(await revisions()) - before} candles were corrected.`);
    return EXIT.ok;
  });
};
