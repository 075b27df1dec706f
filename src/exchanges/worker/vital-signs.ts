/** Whether a worker thread lives, by its heartbeats and by what it says of its memory. Counts beats, reads no clock. */
import type { MarketsState } from '../exchange-client.js';
import type { WorkerReport } from './protocol.js';

/** Unanswered heartbeats after which a thread counts as hung. Beats, not wall time: a stall of ours is no fault of its. */
export const MAX_MISSED = 6;
/** Unanswered heartbeats after which a successor is made ready, in case. */
export const SUSPECT_AFTER = 2;
/** The same while it starts or loads markets, which blocks it for as long as a slow machine takes. */
export const MAX_MISSED_LOADING = 60;
/** Memory (heap and external) over which a worker is replaced, when two reports in a row say so. */
export const MAX_WORKER_BYTES = 400 * 1024 * 1024;

const HAS_MARKETS: ReadonlySet<MarketsState> = new Set(['loaded', 'refresh_failed']);
export const hasMarkets = (markets: MarketsState): boolean => HAS_MARKETS.has(markets);

export class VitalSigns {
  #missed = 0;
  #overMemory = 0;
  #report: WorkerReport | null = null;

  /** The latest report of this thread; null before its first. */
  get report(): WorkerReport | null {
    return this.#report;
  }

  /** At each beat: ask for a report, wait for the one that was asked for, doubt that it comes, or give the thread up. */
  beat(isWaitedFor: boolean): 'ask' | 'wait' | 'suspect' | 'hung' {
    const isLoading = this.#isLoading(isWaitedFor);
    if (this.#missed >= (isLoading ? MAX_MISSED_LOADING : MAX_MISSED)) return 'hung';
    this.#missed += 1;
    if (this.#missed === 1) return 'ask';
    return this.#missed > SUSPECT_AFTER && !isLoading ? 'suspect' : 'wait';
  }

  answered(report: WorkerReport): 'well' | 'outgrown' {
    this.#missed = 0;
    this.#report = report;
    this.#overMemory = report.memoryBytes > MAX_WORKER_BYTES ? this.#overMemory + 1 : 0;
    return this.#overMemory >= 2 ? 'outgrown' : 'well';
  }

  /** Blocked for a good reason, perhaps: it starts, or it loads or refreshes markets, or somebody waits for those that are not there. */
  #isLoading(isWaitedFor: boolean): boolean {
    if (this.#report === null) return true;
    return this.#report.health.some(
      ({ markets, marketsLoading }) =>
        markets === 'loading' || marketsLoading === true || (isWaitedFor && !HAS_MARKETS.has(markets)),
    );
  }
}
