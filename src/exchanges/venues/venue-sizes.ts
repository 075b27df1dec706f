/**
 * How much venues give per call, where CCXT's tables don't say: depths of order books and numbers of trades. From the
 * venues' documentation and the comments in CCXT's classes; venues that are not here are asked cautiously.
 */
import type { ExchangeId } from '../../schemas/common.js';
import { member } from '../ccxt/ccxt-exchange.js';

export interface CallSizes {
  /**
   * Depths that the venue takes, ascending; the next larger is asked for. Infinity: none is sent, which gives the most.
   * null: none is ever sent (all are cut to size).
   */
  readonly bookDepths: readonly number[] | null;
  /** Trades per call at most. */
  readonly maxTrades: number;
}

/** What almost every venue takes. */
export const CAUTIOUS_SIZES: CallSizes = { bookDepths: null, maxTrades: 100 };

interface SizesByType {
  readonly spot: Partial<CallSizes>;
  /** Where derivatives differ. */
  readonly contracts?: Partial<CallSizes>;
}

const UP_TO_1000 = [10, 50, 100, 500, 1000];

const BINANCE: SizesByType = { spot: { bookDepths: [5, 10, 20, 50, 100, 500, 1000], maxTrades: 1000 } };
const BITGET: SizesByType = {
  spot: { bookDepths: [15, 50, 100, 150], maxTrades: 1000 },
  // An enumeration: 1, 5, 15, 50 or "max"; 100 without.
  contracts: { bookDepths: [5, 15, 50, Infinity] },
};
const BYBIT: SizesByType = {
  spot: { bookDepths: [50, 200], maxTrades: 60 },
  contracts: { bookDepths: [50, 200, 500], maxTrades: 1000 },
};
const GATE: SizesByType = {
  spot: { bookDepths: UP_TO_1000, maxTrades: 1000 },
  contracts: { bookDepths: [10, 50, 100, 300] },
};
const KUCOIN: SizesByType = {
  // Nothing but these; deeper ones of spot markets need a key.
  spot: { bookDepths: [20, 100] },
  contracts: { bookDepths: [20, 100, Infinity] },
};
// Beyond 400 CCXT takes the call for whole books.
const OKX: SizesByType = { spot: { bookDepths: [50, 100, 400, 1000], maxTrades: 500 } };

const SIZES: ReadonlyMap<ExchangeId, SizesByType> = new Map([
  ['binance', BINANCE],
  ['binancecoinm', BINANCE],
  ['binanceus', BINANCE],
  ['binanceusdm', BINANCE],
  // Not 250, which its documentation has and CCXT does not know.
  ['bitfinex', { spot: { bookDepths: [1, 25, 100], maxTrades: 1000 } }],
  ['bitget', BITGET],
  // It takes neither limit and gives everything: the whole book, the trades of an hour.
  ['bitstamp', { spot: { maxTrades: 1000 } }],
  ['bybit', BYBIT],
  ['bybiteu', BYBIT],
  ['bybitid', BYBIT],
  // CCXT sends no depth; its "level 2" is the whole book.
  ['coinbaseexchange', { spot: { maxTrades: 1000 } }],
  ['cryptocom', { spot: { bookDepths: [10, 50], maxTrades: 150 } }],
  ['gate', GATE],
  ['gateeu', GATE],
  ['gemini', { spot: { bookDepths: UP_TO_1000, maxTrades: 500 } }],
  // CCXT refuses any other depth itself, and sends none for contracts.
  ['htx', { spot: { bookDepths: [5, 10, 20, 150], maxTrades: 1000 } }],
  ['kraken', { spot: { bookDepths: [10, 25, 100, 500], maxTrades: 1000 } }],
  ['kucoin', KUCOIN],
  ['kucoinfutures', KUCOIN],
  ['mexc', { spot: { bookDepths: UP_TO_1000, maxTrades: 1000 }, contracts: { maxTrades: 100 } }],
  ['myokx', OKX],
  ['okx', OKX],
  ['okxus', OKX],
  // Thirty levels at most, whatever is asked for.
  ['upbit', { spot: { maxTrades: 500 } }],
]);

export const callSizes = (exchange: ExchangeId, contract: boolean): CallSizes => {
  const sizes = SIZES.get(exchange);
  return { ...CAUTIOUS_SIZES, ...sizes?.spot, ...(contract ? sizes?.contracts : undefined) };
};

/** Depth to ask the venue for so that `limit` levels come back; undefined: ask without one. */
export const askedDepth = ({ bookDepths }: CallSizes, limit: number): number | undefined => {
  const depth = bookDepths?.find((taken) => taken >= limit) ?? bookDepths?.at(-1);
  return depth === Infinity ? undefined : depth;
};

/** Most venues that keep more give 100 to 1000 candles a call; the bound keeps a wrong table from asking too much. */
const MAX_CANDLE_PAGE = 1000;

const usable = (limit: unknown): limit is number =>
  typeof limit === 'number' && Number.isInteger(limit) && limit > 0;

const SPOT_FIRST = ['spot', 'default', 'swap', 'future'];
const CONTRACTS_FIRST = ['swap', 'future', 'default', 'spot'];

/**
 * `features.<type>.fetchOHLCV.limit` of CCXT's own tables, where it says something usable; contracts have it by
 * `linear` and `inverse`, of which the smaller counts.
 */
export const candlePageOf = (features: unknown, contract: boolean): number | undefined => {
  for (const type of contract ? CONTRACTS_FIRST : SPOT_FIRST) {
    const table = member(features, type);
    const limits = [table, member(table, 'linear'), member(table, 'inverse')]
      .map((entry) => member(member(entry, 'fetchOHLCV'), 'limit'))
      .filter(usable);
    if (limits.length > 0) return Math.min(...limits, MAX_CANDLE_PAGE);
  }
  return undefined;
};
