/** Figures that are read from the store at intervals, so that metrics and readiness are served from memory. */
import type { ExchangeId, Millis } from '../schemas/common.js';
import { missing } from './coverage.js';
import { countIn } from './known-view.js';
import type { StorageSpace } from './storage-space.js';
import { locateSeries } from './series-range.js';
import type { StoreHandle } from './store-status.js';
import type { CandleStore, JobCount } from './store.js';
import type { WantedSeries } from './upkeep.js';

const MEASURE_WANTED_EVERY_MS: Millis = 60_000;

/** For the series of one exchange that BACKFILL keeps complete. */
export interface WantedState {
  readonly exchange: ExchangeId;
  /** Unknown periods of all these series together. */
  readonly unknownPeriods: number;
  /** Length of the unbroken unknown range that ends at the newest settled period; the longest of these series. */
  readonly behindMs: Millis;
}

export interface MeasuresDeps {
  readonly handle: StoreHandle;
  readonly space: StorageSpace;
  readonly wanted: readonly WantedSeries[];
  readonly settleMs: Millis;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface Measures {
  /** Rejects as the store does. */
  measure(): Promise<void>;
  jobs(): readonly JobCount[];
  wanted(): readonly WantedState[];
}

export const createMeasures = (deps: MeasuresDeps): Measures => {
  const { handle, space, wanted, settleMs, now, monotonic } = deps;
  let jobs: readonly JobCount[] = [];
  let states: readonly WantedState[] = [];
  let wantedAt = -Infinity;

  const stateOf = async (store: CandleStore, { from, ...name }: WantedSeries): Promise<WantedState> => {
    const asked = { from, to: undefined };
    const { span, coverage, interval } = await locateSeries(store, name, {
      asked,
      settledBy: now() - settleMs,
    });
    const open = missing(span, coverage, now());
    const last = open.at(-1);
    return {
      exchange: name.exchange,
      unknownPeriods: open.reduce((sum, part) => sum + countIn(interval, part), 0),
      behindMs: last?.to === span.to ? span.to - last.from : 0,
    };
  };

  const measureWanted = async (store: CandleStore): Promise<void> => {
    const byExchange = new Map<ExchangeId, WantedState>();
    for (const series of wanted) {
      const state = await stateOf(store, series);
      const before = byExchange.get(state.exchange);
      byExchange.set(state.exchange, {
        exchange: state.exchange,
        unknownPeriods: state.unknownPeriods + (before?.unknownPeriods ?? 0),
        behindMs: Math.max(state.behindMs, before?.behindMs ?? 0),
      });
    }
    states = [...byExchange.values()];
  };

  return {
    async measure() {
      const store = handle.store();
      if (store === null) return;
      await space.level(store);
      jobs = await store.jobCounts();
      if (monotonic() - wantedAt < MEASURE_WANTED_EVERY_MS) return;
      wantedAt = monotonic();
      await measureWanted(store);
    },
    jobs: () => jobs,
    wanted: () => states,
  };
};
