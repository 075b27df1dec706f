/** Reads what the store knows of a request's range, with a short time limit. */
import type { ExchangeId, Millis, UnifiedSymbol } from '../schemas/common.js';
import type { OhlcvRequest } from '../exchanges/exchange-client.js';
import { settleWithin } from '../lib/deadline.js';
import { nextPeriodStart, parseInterval, periodStart } from '../lib/intervals.js';
import type { KnownView } from './known-view.js';
import { anchored } from './settle.js';
import { StoreError } from './store-error.js';
import type { StoreHandle } from './store-status.js';
import type { StoreTimes } from './store-times.js';
import type { CandleStore } from './store.js';

const MAX_SPELLINGS = 10_000;
const END_OF_TIME: Millis = Number.MAX_SAFE_INTEGER;

export interface StoreViewDeps {
  readonly handle: StoreHandle;
  readonly settleMs: Millis;
  readonly times: StoreTimes;
  readonly now: () => Millis;
}

/** null: nothing of the series is stored, or the store failed or took longer than `ms`. */
export type ReadView = (request: OhlcvRequest, ms: Millis) => Promise<KnownView | null>;

export const createStoreViews = ({ handle, settleMs, times, now }: StoreViewDeps): ReadView => {
  /** Caches only spellings that were found. */
  const spellings = new Map<string, UnifiedSymbol>();

  const spellingOf = async (
    store: CandleStore,
    exchange: ExchangeId,
    symbol: string,
  ): Promise<UnifiedSymbol | null> => {
    const key = `${exchange} ${symbol}`;
    const known = spellings.get(key);
    if (known !== undefined) return known;
    const found = await store.spelling(exchange, symbol);
    if (found !== null && spellings.size < MAX_SPELLINGS) spellings.set(key, found);
    return found;
  };

  const read = async (request: OhlcvRequest): Promise<KnownView | null> => {
    const store = handle.store();
    const parsed = parseInterval(request.interval);
    if (store === null || parsed === undefined) return null;
    const symbol = await spellingOf(store, request.exchange, request.symbol);
    if (symbol === null) return null;
    const at = now();
    const { exchange, interval: text, since, until, limit } = request;
    const name = { exchange, symbol, interval: text };
    const series = await store.series(name);
    if (series === null) return null;
    const interval = anchored(parsed, series.anchor);
    const newest = since === undefined;
    const to = until === undefined ? END_OF_TIME : nextPeriodStart(interval, until);
    const from = newest ? -END_OF_TIME : nextPeriodStart(interval, since);
    const stored = await store.read({ ...name, from, to, limit, newest });
    if (stored === null) return null;
    return {
      ...{ request, name, interval, stored, coverage: stored.coverage, fetched: [], tailAsked: false, at },
      settledEnd: periodStart(interval, at - settleMs),
    };
  };

  return async (request, ms) => {
    try {
      return await times.timed('read', () =>
        settleWithin(read(request), {
          ms,
          giveUp: () => new StoreError('unavailable', 'The store is slow.'),
        }),
      );
    } catch {
      return null;
    }
  };
};
