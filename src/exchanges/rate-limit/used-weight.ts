/** Venues that say how much of their limit is used: the one place that knows their headers and limits. */
import type { ExchangeId, Millis } from '../../schemas/common.js';

interface WeightRule {
  /** Lower case. */
  readonly header: string;
  readonly limit: number;
  /** The venue's counter starts anew at every multiple of this. */
  readonly windowMs: Millis;
}

/** Binance's request weight per minute and address, https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits */
const binance = (limit: number): WeightRule => ({ header: 'x-mbx-used-weight-1m', limit, windowMs: 60_000 });

const RULES: ReadonlyMap<ExchangeId, WeightRule> = new Map([
  ['binance', binance(6000)],
  ['binanceus', binance(1200)],
  ['binanceusdm', binance(2400)],
  ['binancecoinm', binance(2400)],
]);

/** Fractions of the limit from which polls, then all requests, wait for the venue's next window. */
const POLL_BRAKE = 0.7;
const BRAKE = 0.9;
/** Our clock and the venue's may disagree about where a window starts. */
const CLOCK_MARGIN_MS = 500;

/** Until when requests had better wait because the venue's own counter is nearly full; null where it is not. */
export const brakeFor = (
  exchange: ExchangeId,
  headers: Readonly<Record<string, string>>,
  now: Millis,
): { readonly polls: Millis; readonly callers: Millis | null } | null => {
  const rule = RULES.get(exchange);
  const used = Number(rule === undefined ? NaN : headers[rule.header]);
  if (rule === undefined || !(used >= rule.limit * POLL_BRAKE)) return null;
  const next = (Math.floor(now / rule.windowMs) + 1) * rule.windowMs + CLOCK_MARGIN_MS;
  return { polls: next, callers: used >= rule.limit * BRAKE ? next : null };
};
