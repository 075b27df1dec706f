/**
 * Health of a worker thread on the serving thread's side: whether it lives, by its heartbeats and its memory; when one that
 * died gets its successor; and what it last reported of its exchanges. Reads no clock.
 */
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { ExchangeHealth, MarketsState } from '../exchange-client.js';
import { coolDownError } from '../rate-limit/cool-down.js';
import type { GateState } from '../rate-limit/upstream-gate.js';
import type { WorkerReport } from './protocol.js';

/** Unanswered heartbeats after which a thread counts as hung. Beats, not wall time: a stall of ours is no fault of its. */
export const MAX_MISSED = 6;
/** The same while it starts or loads markets, which blocks it for as long as a slow machine takes. */
export const MAX_MISSED_LOADING = 60;
/** Memory (heap and external, without garbage) over which a worker of one exchange is replaced, when two reports in a row say so. */
export const MAX_WORKER_BYTES = 400 * 1024 * 1024;
/** As much more for each further one: the markets of a large one alone take 35 MB. */
export const MAX_EXCHANGE_BYTES = 50 * 1024 * 1024;

export const maxWorkerBytes = (exchanges: number): number =>
  MAX_WORKER_BYTES + MAX_EXCHANGE_BYTES * Math.max(0, exchanges - 1);

const HAS_MARKETS: ReadonlySet<MarketsState> = new Set(['loaded', 'refresh_failed']);
export const hasMarkets = (markets: MarketsState): boolean => HAS_MARKETS.has(markets);

export class Heartbeat {
  #missed = 0;
  #overMemory = 0;
  #report: WorkerReport | null = null;
  readonly #maxBytes: number;

  /** `exchanges`: how many the thread has. */
  constructor(exchanges: number) {
    this.#maxBytes = maxWorkerBytes(exchanges);
  }

  /** The latest report of this thread; null before its first. */
  get report(): WorkerReport | null {
    return this.#report;
  }

  /** At each beat: ask for a report, wait for the one that was asked for, or give the thread up. */
  beat(isWaitedFor: boolean): 'ask' | 'wait' | 'hung' {
    if (this.#missed >= (this.#isLoading(isWaitedFor) ? MAX_MISSED_LOADING : MAX_MISSED)) return 'hung';
    this.#missed += 1;
    return this.#missed === 1 ? 'ask' : 'wait';
  }

  answered(report: WorkerReport): 'healthy' | 'outgrown' {
    this.#missed = 0;
    this.#report = report;
    this.#overMemory = report.memoryBytes > this.#maxBytes ? this.#overMemory + 1 : 0;
    return this.#overMemory >= 2 ? 'outgrown' : 'healthy';
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

const FIRST_WAIT_MS = 100;
export const MAX_WAIT_MS = 30_000;
/** A worker that ran this long died of something new. */
export const STABLE_AFTER_MS = 20_000;

/** The wait before a successor starts: none the first time, ever longer where they keep dying. */
export class RestartBackoff {
  #deaths = 0;
  #runningSince: Millis | null = null;

  started(now: Millis): void {
    this.#runningSince = now;
  }

  /** The wait before the next start, in ms. */
  next(now: Millis): Millis {
    if (this.#runningSince !== null && now - this.#runningSince >= STABLE_AFTER_MS) this.#deaths = 0;
    this.#runningSince = null;
    const wait = this.#deaths === 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (this.#deaths - 1), MAX_WAIT_MS);
    this.#deaths += 1;
    return wait;
  }
}

interface Mirrored {
  readonly exchange: ExchangeId;
  /** undefined: this worker has not reported yet, so it has loaded nothing. */
  readonly reported: ExchangeHealth | undefined;
  /** Outlives its worker. */
  readonly gate: GateState | undefined;
  readonly budget: { readonly requests: number; readonly windowMs: Millis };
  readonly worker: ExchangeHealth['worker'];
  readonly workerSince: Millis;
  readonly workerRestarts: number;
  /** By the wall clock, as are the times of what was reported. */
  readonly now: Millis;
  /** By the gate's clock. */
  readonly monotonic: Millis;
}

/** An exchange's health, from what its worker last reported and from its gate's state, which outlives the worker. */
export const mirroredHealth = ({
  exchange,
  reported,
  gate,
  budget,
  worker,
  workerSince,
  workerRestarts,
  now,
  monotonic,
}: Mirrored): ExchangeHealth => {
  const ofGate = gate?.coolDownUntil ?? null;
  const coolDownUntil = Math.max(
    ofGate === null ? 0 : Math.round(ofGate - monotonic + now),
    reported?.coolDownUntil ?? 0,
  );
  const cooling = coolDownUntil > now;
  return {
    exchange,
    markets: reported?.markets ?? 'not_loaded',
    marketsLoadedAt: reported?.marketsLoadedAt ?? null,
    coolDownUntil: cooling ? coolDownUntil : null,
    circuit: 'closed',
    budget: reported?.budget ??
      gate?.budget ?? { limit: budget.requests, remaining: budget.requests, windowMs: budget.windowMs },
    worker,
    workerRestarts,
    lastError: reported?.lastError ?? (cooling && gate !== undefined ? coolDownError(gate) : null),
    since: Math.max(reported?.since ?? 0, workerSince),
  };
};
