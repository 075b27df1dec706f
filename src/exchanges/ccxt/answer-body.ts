/**
 * The finished JSON of the contract, made once where the venue was asked. `exchange` is always the first member: the
 * serving thread swaps an alias in without parsing.
 */
import type { Candle, Gap, Trade } from '../../schemas/market.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { BookFigures, TickerFigures } from '../normalizer.js';

export interface AnswerHead {
  readonly exchange: ExchangeId;
  readonly symbol: UnifiedSymbol;
}

const encoder = new TextEncoder();
const finished = (value: Readonly<Record<string, unknown>>): Uint8Array =>
  encoder.encode(JSON.stringify(value));

export const tickerBody = (
  { exchange, symbol }: AnswerHead,
  { bid, ask, last, timestamp, raw }: TickerFigures,
): Uint8Array => finished({ exchange, symbol, bid, ask, last, timestamp, raw });

export const orderBookBody = (
  { exchange, symbol }: AnswerHead,
  { bids, asks, timestamp }: BookFigures,
): Uint8Array => finished({ exchange, symbol, bids, asks, timestamp });

export const tradesBody = ({ exchange, symbol }: AnswerHead, trades: readonly Trade[]): Uint8Array =>
  finished({ exchange, symbol, trades });

/** `gaps` and `next_since` are left out where there is none. */
export const ohlcvBody = (
  { exchange, symbol, interval }: AnswerHead & { readonly interval: string },
  {
    candles,
    gaps,
    nextSince,
  }: {
    readonly candles: readonly Candle[];
    readonly gaps: readonly Gap[];
    readonly nextSince: Millis | null;
  },
): Uint8Array =>
  finished({
    exchange,
    symbol,
    interval,
    candles,
    ...(gaps.length > 0 ? { gaps } : undefined),
    ...(nextSince === null ? undefined : { next_since: nextSince }),
  });
