/**
 * When a page may be asked of an exchange for the store's own sake, by a backfill or a verification: one at a time, not in a
 * cool-down, and within BACKFILL_BUDGET_SHARE of the exchange's budget.
 */
import { AppError } from '../../errors.js';
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import { sleep } from '../../lib/deadline.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';

export interface Wait {
  readonly ms: Millis;
  /** The value of `waiting_for`. */
  readonly reason: string;
}

export interface BackfillBudget {
  /** Time until the next page may be asked for, and the reason; null: now. */
  waitOf(exchange: ExchangeId): Wait | null;
  /**
   * Runs `fetch`, which sends one request, after the pages before it and within the share. Rejects as `fetch` does, or with
   * the reason of `signal`, also while it waits.
   */
  page<T>(exchange: ExchangeId, signal: AbortSignal, fetch: () => Promise<T>): Promise<T>;
  /** Its circuit is open: a request leaves only where it is time to probe the exchange. */
  isCircuitOpen(exchange: ExchangeId): boolean;
  /** Pages that may be asked for in a window. */
  share(exchange: ExchangeId): { readonly requests: number; readonly windowMs: Millis };
}

export interface BackfillBudgetDeps {
  readonly exchanges: Pick<ExchangeClient, 'health'>;
  /** Of each exchange's budget, above 0 to 1. */
  readonly budgetShare: number;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export const createBackfillBudget = (deps: BackfillBudgetDeps): BackfillBudget => {
  const { exchanges, budgetShare, now, monotonic } = deps;
  /** When the pages of the last window were answered: never before they left. */
  const answered = new Map<ExchangeId, Millis[]>();
  /** Settles with the last page that was asked for. */
  const turns = new Map<ExchangeId, Promise<unknown>>();
  const healthOf = (exchange: ExchangeId) => exchanges.health().find((one) => one.exchange === exchange);

  const share: BackfillBudget['share'] = (exchange) => {
    const budget = healthOf(exchange)?.budget;
    if (budget === undefined) return { requests: 1, windowMs: 60_000 };
    return { requests: Math.max(1, Math.floor(budget.limit * budgetShare)), windowMs: budget.windowMs };
  };

  /** Until a page more fits into the share; at most 0: now. */
  const untilShare = (exchange: ExchangeId): Millis => {
    const { requests, windowMs } = share(exchange);
    const recent = (answered.get(exchange) ?? []).filter((at) => monotonic() - at < windowMs);
    answered.set(exchange, recent);
    const oldest = recent[recent.length - requests];
    return oldest === undefined ? 0 : oldest + windowMs - monotonic();
  };

  const count = (exchange: ExchangeId): void => {
    answered.set(exchange, [...(answered.get(exchange) ?? []), monotonic()]);
  };

  const fetchOne = async <T>(
    exchange: ExchangeId,
    signal: AbortSignal,
    fetch: () => Promise<T>,
  ): Promise<T> => {
    for (let ms = untilShare(exchange); ms > 0; ms = untilShare(exchange)) await sleep(ms, signal);
    signal.throwIfAborted();
    try {
      const value = await fetch();
      count(exchange);
      return value;
    } catch (thrown) {
      // That one was refused by this server's own limits before it left.
      if (AppError.from(thrown).code !== 'upstream_budget_exhausted') count(exchange);
      throw thrown;
    }
  };

  return {
    share,
    isCircuitOpen: (exchange) => healthOf(exchange)?.circuit === 'open',
    waitOf(exchange) {
      const health = healthOf(exchange);
      if (health === undefined) return null;
      const coolDown = (health.coolDownUntil ?? 0) - now();
      if (coolDown > 0) return { ms: coolDown, reason: 'cool_down' };
      const ms = untilShare(exchange);
      return ms > 0 ? { ms, reason: 'budget' } : null;
    },
    page(exchange, signal, fetch) {
      const turn = (turns.get(exchange) ?? Promise.resolve()).then(() => fetchOne(exchange, signal, fetch));
      const end = turn.catch(() => undefined);
      turns.set(exchange, end);
      return turn;
    },
  };
};
