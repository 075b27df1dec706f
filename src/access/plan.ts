/** What a plan limits. A plan is one object that every caller of it holds: a change of it acts at once. */

/** null: unlimited. */
export interface PlanLimits {
  /** Requests a window. */
  readonly requests: number | null;
  /** Length of that window, in seconds. */
  readonly window: number;
  /** Units a day and a month, by UTC. */
  readonly day: number | null;
  readonly month: number | null;
  /** Open at once. */
  readonly streams: number | null;
  readonly subscriptions: number | null;
  /** Distinct symbols live at once. */
  readonly symbols: number | null;
  /** Names that may be asked for. */
  readonly exchanges: readonly string[] | null;
  /** Candles a call. */
  readonly ohlcvMax: number | null;
  /** Whether history may be fetched for this caller. */
  readonly backfill: boolean;
  /** Cost of one operation. */
  readonly graphqlCost: number | null;
}

export const UNLIMITED: PlanLimits = Object.freeze({
  requests: null,
  window: 60,
  day: null,
  month: null,
  streams: null,
  subscriptions: null,
  symbols: null,
  exchanges: null,
  ohlcvMax: null,
  backfill: true,
  graphqlCost: null,
});

export interface Plan {
  readonly name: string;
  /** Replaced as a whole when the plan is changed. */
  limits: PlanLimits;
}

/** Everybody's plan where nothing else is said; unlimited until it is set. */
export const DEFAULT_PLAN = 'default';
