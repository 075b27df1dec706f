/** Counts what became of requests, for the metrics. */
import type { MarketKind } from '../schemas/market.js';
import type { CacheState } from './market-data-api.js';

/** Answers by kind and X-Cache, those that CoinMarketCap gave, and failures; since the start. */
export interface AnswerCounts {
  readonly answers: Readonly<Record<MarketKind, Readonly<Record<CacheState, number>>>>;
  readonly fallbacks: number;
  readonly failures: number;
}

export interface AnswerCounter {
  answered(kind: MarketKind, cache: CacheState): void;
  /** CoinMarketCap stood in. */
  stoodIn(): void;
  failed(): void;
  counts(): AnswerCounts;
}

const zeroes = (): Record<CacheState, number> => ({ HIT: 0, MISS: 0, STALE: 0, LIVE: 0, STORE: 0 });

export const createAnswerCounter = (): AnswerCounter => {
  const answers = { ticker: zeroes(), ohlcv: zeroes(), orderbook: zeroes(), trades: zeroes() };
  let fallbacks = 0;
  let failures = 0;
  return {
    answered: (kind, cache) => {
      answers[kind][cache] += 1;
    },
    stoodIn: () => {
      fallbacks += 1;
    },
    failed: () => {
      failures += 1;
    },
    counts: () => ({ answers, fallbacks, failures }),
  };
};
