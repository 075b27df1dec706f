/** What the market-data service asks of CoinMarketCap. Implemented by coinmarketcap-client.ts. */
import type { Candle } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';

interface CoinMarketCapCall {
  /** Instant by which the call has settled. */
  readonly deadline: Millis;
}

export interface CoinMarketCapQuote {
  /** Price of one unit of `base` in `convert`. */
  readonly last: number;
  /** CoinMarketCap's own time of the quote. */
  readonly timestamp: Millis;
  readonly receivedAt: Millis;
  /** CoinMarketCap's object for this currency, with the quote. */
  readonly raw: unknown;
}

export interface CoinMarketCapCandles {
  /** Oldest first. `volume` is null: CoinMarketCap tells volume in the quote currency. */
  readonly candles: readonly Candle[];
  readonly receivedAt: Millis;
}

export interface CoinMarketCapStats {
  readonly requests: number;
  /** Of those requests, the ones that have ended; each in one way. */
  readonly succeeded: number;
  readonly failures: number;
  /** Quotes answered from those of the last minute. */
  readonly reused: number;
  /** No request leaves before this instant; null when none is held back. */
  readonly pausedUntil: Millis | null;
  /** false once the plan has refused historical data. */
  readonly historical: boolean;
}

export interface CoinMarketCapClient {
  /** Latest quote of `base` in `convert`, both currency codes. Rejects with an AppError. */
  quote(
    request: { readonly base: string; readonly convert: string },
    call: CoinMarketCapCall,
  ): Promise<CoinMarketCapQuote>;
  /** Whether `candles` may be asked for this interval: the plan has not refused it, and it is hourly or daily. */
  offersCandles(interval: string): boolean;
  /** Historical candles. Rejects with an AppError. */
  candles(
    request: {
      readonly base: string;
      readonly convert: string;
      readonly interval: string;
      readonly since?: Millis | undefined;
      readonly limit: number;
    },
    call: CoinMarketCapCall,
  ): Promise<CoinMarketCapCandles>;
  stats(): CoinMarketCapStats;
  close(): Promise<void>;
}
