/** When a backfill may send a request to an exchange: not in a cool-down, and within its share of the budget. */
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';

export interface Wait {
  readonly ms: Millis;
  /** As `waiting_for` tells it. */
  readonly reason: string;
}

export interface ExchangeRest {
  /** Time until the next request may leave, and the reason; null: now. */
  of(exchange: ExchangeId): Wait | null;
  /** A request has left. */
  sent(exchange: ExchangeId): void;
  /** Its circuit is open: a request leaves only where it is time to probe the exchange. */
  isCircuitOpen(exchange: ExchangeId): boolean;
  /** Requests that backfills may send in a window. */
  share(exchange: ExchangeId): { readonly requests: number; readonly windowMs: Millis };
}

export interface ExchangeRestDeps {
  readonly exchanges: Pick<ExchangeClient, 'health'>;
  /** Of each exchange's budget, above 0 to 1. */
  readonly budgetShare: number;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export const createExchangeRest = (deps: ExchangeRestDeps): ExchangeRest => {
  const { exchanges, budgetShare, now, monotonic } = deps;
  /** When the requests of the last window left. */
  const sent = new Map<ExchangeId, Millis[]>();
  const healthOf = (exchange: ExchangeId) => exchanges.health().find((one) => one.exchange === exchange);

  const share: ExchangeRest['share'] = (exchange) => {
    const budget = healthOf(exchange)?.budget;
    if (budget === undefined) return { requests: 1, windowMs: 60_000 };
    return { requests: Math.max(1, Math.floor(budget.limit * budgetShare)), windowMs: budget.windowMs };
  };

  return {
    share,
    isCircuitOpen: (exchange) => healthOf(exchange)?.circuit === 'open',
    of(exchange) {
      const health = healthOf(exchange);
      if (health === undefined) return null;
      const coolDown = (health.coolDownUntil ?? 0) - now();
      if (coolDown > 0) return { ms: coolDown, reason: 'cool_down' };
      const { requests, windowMs } = share(exchange);
      const recent = (sent.get(exchange) ?? []).filter((at) => monotonic() - at < windowMs);
      sent.set(exchange, recent);
      const oldest = recent[recent.length - requests];
      return oldest === undefined ? null : { ms: oldest + windowMs - monotonic(), reason: 'budget' };
    },
    sent(exchange) {
      sent.set(exchange, [...(sent.get(exchange) ?? []), monotonic()]);
    },
  };
};
