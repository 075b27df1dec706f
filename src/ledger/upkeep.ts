/** Periodic maintenance: tops up the series in BACKFILL, deletes candles past STORE_RETENTION, measures the store. */
import type { ExchangeId, Millis } from '../schemas/common.js';
import { periodStart } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import { missing } from './coverage.js';
import { locateSeries, seriesInterval, spellingKey } from './series-range.js';
import type { SeriesName } from './settle.js';
import type { StoreHandle } from './store-status.js';
import type { CandleStore } from './store.js';

const TOP_UP_EVERY_MS: Millis = 3_600_000;
const FORGET_EVERY_MS: Millis = 3_600_000;
const MEASURE_EVERY_MS: Millis = 10_000;
/** Ended jobs that are kept. */
const KEPT_JOBS = 1_000;

export interface WantedSeries extends SeriesName {
  readonly from: Millis;
}

export interface UpkeepDeps {
  readonly handle: StoreHandle;
  /** Every ten seconds; rejects as the store does. */
  readonly measure: () => Promise<void>;
  /** Series that are kept complete; exchanges by CCXT id. */
  readonly wanted: readonly WantedSeries[];
  readonly enabled: readonly ExchangeId[];
  readonly settleMs: Millis;
  /** How long candles are kept; 0: for ever. */
  readonly retentionMs: Millis;
  /** Jobs were added. */
  readonly onJobs: () => void;
  readonly log: Log;
  readonly now: () => Millis;
}

export interface Upkeep {
  start(): void;
  close(): void;
}

export const createUpkeep = (deps: UpkeepDeps): Upkeep => {
  const { handle, measure, wanted, enabled, settleMs, retentionMs, onJobs, log, now } = deps;
  let timers: NodeJS.Timeout[] = [];

  const writableStore = (): CandleStore | null => (handle.status().writable ? handle.store() : null);
  /** Start of the kept time. */
  const horizon = (): Millis => (retentionMs === 0 ? -Infinity : now() - retentionMs);

  const topUp = async (): Promise<void> => {
    const store = writableStore();
    if (store === null) return;
    const open = (await store.openJobs()).filter(({ origin }) => origin === 'setting');
    for (const { from: wantedFrom, ...name } of wanted) {
      if (!enabled.includes(name.exchange)) continue;
      const from = Math.max(wantedFrom, horizon());
      if (open.some((job) => spellingKey(job) === spellingKey(name) && job.from <= from)) continue;
      const settledBy = now() - settleMs;
      const { span, coverage } = await locateSeries(store, name, {
        asked: { from, to: undefined },
        settledBy,
      });
      if (missing(span, coverage, now()).length > 0)
        await store.addJob({ ...name, from: span.from, to: null, origin: 'setting' }, now());
    }
    await store.trimJobs(KEPT_JOBS);
    onJobs();
  };

  const forget = async (): Promise<void> => {
    const store = writableStore();
    if (retentionMs === 0 || store === null) return;
    for (const series of await store.allSeries())
      await store.deleteBefore(
        series,
        periodStart(seriesInterval(series.interval, series.anchor), horizon()),
      );
  };

  const quietly = (work: () => Promise<void>) => (): void => {
    work().catch((error: unknown) => log.debug({ err: error }, 'the upkeep of the store has to wait'));
  };

  return {
    start() {
      if (timers.length > 0) return;
      for (const { exchange, symbol, interval } of wanted)
        if (!enabled.includes(exchange))
          log.warn(
            { exchange, symbol, interval },
            'BACKFILL names an exchange that is not in ENABLED_EXCHANGES: nothing is fetched for it',
          );
      const tasks = [
        { work: topUp, everyMs: TOP_UP_EVERY_MS },
        { work: forget, everyMs: FORGET_EVERY_MS },
        { work: measure, everyMs: MEASURE_EVERY_MS },
      ];
      timers = tasks.map(({ work, everyMs }) => setInterval(quietly(work), everyMs).unref());
      for (const { work } of tasks) quietly(work)();
    },
    close() {
      for (const timer of timers) clearInterval(timer);
    },
  };
};
