/** Who asks over UDF and what it may, and what answers are made of. */
import type { ManyTickers, MarketData } from '../../market-data/market-data-api.js';

export interface UdfDeps {
  readonly marketData: MarketData & ManyTickers;
  /** Names as they are enabled. */
  readonly enabled: readonly string[];
  readonly sandbox: boolean;
  readonly now: () => number;
}

/** Who asks, and what it may. */
export interface UdfCaller {
  readonly client: string;
  readonly signal: AbortSignal;
  /** Throws `plan_forbids`. `exchange` is a CCXT id. */
  readonly requireExchange: (exchange: string) => void;
  readonly candles: (wanted: number) => number;
  /** Sets aside what so many candles cost. Throws `quota_exceeded`. */
  readonly reserve: (candles: number) => void;
  /** The answer holds so many candles. */
  readonly gave: (candles: number) => void;
  /** The request counts as one for each symbol. Throws what refuses them. */
  readonly countSymbols: (symbols: number) => void;
  readonly mayBackfill: boolean;
}
