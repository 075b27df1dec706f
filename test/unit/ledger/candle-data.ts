/** Candles and pages that tests of the ledger write. */
import type { PageEvidence } from '../../../src/ledger/settle.js';

export const MINUTE = 60_000;
/** 2023-11-14T22:13:20.000Z, rounded down to the minute. */
export const T0 = 1_700_000_000_000 - (1_700_000_000_000 % MINUTE);
export const DAY = 1440 * MINUTE;

export const candleAt = (index: number, close = 100 + index) => ({
  timestamp: T0 + index * MINUTE,
  open: close - 0.25,
  high: close + 1.1,
  low: close - 1.3,
  close,
  volume: index % 7 === 0 ? null : index * 0.1,
});

export const pageOf = (
  given: Partial<PageEvidence> & { readonly first?: number; readonly count?: number },
): PageEvidence => {
  const { first = 0, count = 5, ...page } = given;
  return {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1m',
    marketId: 'BTCUSDT',
    source: 'rest',
    kind: 'jump',
    omitsEmpty: false,
    since: T0 + first * MINUTE,
    limit: 1000,
    pageSize: 1000,
    askedAt: T0 + DAY,
    rows: Array.from({ length: count }, (_, index) => candleAt(first + index)),
    ...page,
  };
};

export const NAME = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m' } as const;
