/** What a plan limits. A plan is one object that every caller of it holds: a change of it acts at once. */
import { z } from 'zod';

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

const count = z.int().min(1).max(1_000_000_000_000).nullish();

/** As the store, the admin API and the command line have a plan; what is absent is unlimited. */
export const planMembers = z.strictObject({
  requests: count,
  window: z.int().min(1).max(86_400).nullish(),
  day: count,
  month: count,
  streams: count,
  subscriptions: count,
  symbols: count,
  exchanges: z.array(z.string().min(1).max(64)).min(1).max(500).nullish(),
  ohlcv_max: count,
  backfill: z.boolean().nullish(),
  graphql_cost: count,
});

export const limitsOf = (members: z.output<typeof planMembers>): PlanLimits => ({
  requests: members.requests ?? null,
  window: members.window ?? UNLIMITED.window,
  day: members.day ?? null,
  month: members.month ?? null,
  streams: members.streams ?? null,
  subscriptions: members.subscriptions ?? null,
  symbols: members.symbols ?? null,
  exchanges: members.exchanges ?? null,
  ohlcvMax: members.ohlcv_max ?? null,
  backfill: members.backfill ?? true,
  graphqlCost: members.graphql_cost ?? null,
});
