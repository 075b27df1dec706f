/** Venues that say how much of their limit is used: their headers and limits. What follows from them: rate-limit/cool-down.ts. */
import type { ExchangeId, Millis } from '../../schemas/common.js';

export interface WeightRule {
  /** Lower case. */
  readonly header: string;
  readonly limit: number;
  /** The venue's counter starts anew at every multiple of this. */
  readonly windowMs: Millis;
}

/** Binance's request weight per minute and address, https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits */
const binance = (limit: number): WeightRule => ({ header: 'x-mbx-used-weight-1m', limit, windowMs: 60_000 });

export const USED_WEIGHTS: ReadonlyMap<ExchangeId, WeightRule> = new Map([
  ['binance', binance(6000)],
  ['binanceus', binance(1200)],
  ['binanceusdm', binance(2400)],
  ['binancecoinm', binance(2400)],
]);
