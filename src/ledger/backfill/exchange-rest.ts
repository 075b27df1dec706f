/** When a backfill may ask an exchange: not in a cool-down, not while its circuit is open, within a share of its budget. */
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';

/** After a fault without a time of its own. */
export const PAUSE_MS: Millis = 5_000;

export interface Wait {
  readonly ms: Millis;
  /** As `waiting_for` tells it. */
  readonly reason: string;
}

export interface ExchangeRest {
  /** How long the exchange has to be left alone; null: it may be asked. */
  of(exchange: ExchangeId): Wait | null;
  /** A request leaves now. */
  sent(exchange: ExchangeId): void;
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
    of(exchange) {
      const health = healthOf(exchange);
      if (health === undefined) return null;
      const coolDown = (health.coolDownUntil ?? 0) - now();
      if (coolDown > 0) return { ms: coolDown, reason: 'cool_down' };
      if (health.circuit === 'open') return { ms: PAUSE_MS, reason: 'circuit_open' };
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
