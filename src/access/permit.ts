/** What a plan lets its caller ask for, whatever the transport: exchanges, candles a call, backfills. */
import { AppError } from '../errors.js';
import type { PlanLimits } from './plan.js';
import type { Principal } from './principal.js';

export interface Permit {
  /** Throws `plan_forbids`. `exchange` is a CCXT id. */
  requireExchange(exchange: string): void;
  /** How many candles the caller gets who asked for `limit`; `fallback` without one. Throws `plan_forbids`. */
  candles(limit: number | undefined, fallback: number): number;
  /** Whether the very answer that others got may be given: of `exchange`, and of `candles` where it holds some. */
  allows(exchange: string, candles: number | null): boolean;
  /** Of one GraphQL operation, in units. Throws `plan_forbids`. */
  requireCost(cost: number): void;
  /** Throws `plan_forbids`. */
  requireBackfill(): void;
  /** Whether history may be fetched for this caller behind its answers. */
  readonly mayBackfill: boolean;
}

/** Where access is off. */
export const PERMITS_ALL: Permit = {
  requireExchange: () => undefined,
  candles: (limit, fallback) => limit ?? fallback,
  allows: () => true,
  requireCost: () => undefined,
  requireBackfill: () => undefined,
  mayBackfill: true,
};

/** Candles of which each begun lot costs a unit. */
const CANDLES_A_UNIT = 500;

/** What a question for `limit` candles costs. */
export const candleUnits = (limit: number): number => Math.max(1, Math.ceil(limit / CANDLES_A_UNIT));

const forbidden = (detail: string, parameter?: string): AppError =>
  new AppError(
    'plan_forbids',
    detail,
    parameter === undefined ? {} : { errors: [{ parameter, reason: 'is more than the plan allows' }] },
  );

/** `exchangeIdOf`: the CCXT id behind a name that a plan may hold. */
export const createPermits = (
  exchangeIdOf: (name: string) => string,
): ((principal: Pick<Principal, 'plan'>) => Permit) => {
  /** CCXT ids of the exchanges that limits name. */
  const allowed = new WeakMap<PlanLimits, ReadonlySet<string>>();
  const exchangesOf = (limits: PlanLimits, names: readonly string[]): ReadonlySet<string> => {
    const known = allowed.get(limits);
    if (known !== undefined) return known;
    const ids = new Set(names.map(exchangeIdOf));
    allowed.set(limits, ids);
    return ids;
  };

  const includes = (limits: PlanLimits, exchange: string): boolean =>
    limits.exchanges === null || exchangesOf(limits, limits.exchanges).has(exchange);

  // The plan is read anew at each question: it may change while a connection is open.
  const made = new WeakMap<object, Permit>();
  const permitOf = (principal: Pick<Principal, 'plan'>): Permit => ({
    requireExchange(exchange) {
      if (includes(principal.plan.limits, exchange)) return;
      throw forbidden(`The plan does not include the exchange ${exchange}.`);
    },
    candles(limit, fallback) {
      const { ohlcvMax } = principal.plan.limits;
      if (ohlcvMax === null) return limit ?? fallback;
      if (limit === undefined) return Math.min(fallback, ohlcvMax);
      if (limit > ohlcvMax) throw forbidden(`The plan allows at most ${ohlcvMax} candles a call.`, 'limit');
      return limit;
    },
    allows: (exchange, candles) => {
      const { limits } = principal.plan;
      return includes(limits, exchange) && (candles ?? 0) <= (limits.ohlcvMax ?? Infinity);
    },
    requireCost(cost) {
      const { graphqlCost } = principal.plan.limits;
      if (graphqlCost !== null && cost > graphqlCost)
        throw forbidden(`The operation costs ${cost} units; the plan allows at most ${graphqlCost}.`);
    },
    requireBackfill() {
      if (!principal.plan.limits.backfill) throw forbidden('The plan does not include backfills.');
    },
    get mayBackfill() {
      return principal.plan.limits.backfill;
    },
  });
  return (principal) => {
    const known = made.get(principal);
    if (known !== undefined) return known;
    const permit = permitOf(principal);
    made.set(principal, permit);
    return permit;
  };
};
