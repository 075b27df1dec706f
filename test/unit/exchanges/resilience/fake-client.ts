/** An ExchangeClient whose outcomes a test sets, one call after the other; it answers once they have run out. */
import { vi } from 'vitest';
import { AppError, type ErrorCode } from '../../../../src/errors.js';
import type {
  ExchangeClient,
  ExchangeHealth,
  MarketAnswer,
  MarketList,
} from '../../../../src/exchanges/exchange-client.js';

export const ANSWER: MarketAnswer = {
  body: new Uint8Array(),
  symbol: 'BTC/USDT',
  receivedAt: 1,
  closesAt: null,
};
const LIST: MarketList = { markets: [], loadedAt: 1 };

export const venueFault = (code: ErrorCode, retryAfterMs?: number, exchange = 'binance'): AppError =>
  new AppError(code, 'as it came from the venue', { retryAfterMs, upstream: { exchange, status: 503 } });

export const fakeClient = (...outcomes: (Error | Promise<MarketAnswer>)[]) => {
  const next = async <T>(value: T): Promise<T> => {
    const outcome = outcomes.shift();
    if (outcome instanceof Error) throw outcome;
    if (outcome !== undefined) await outcome;
    return value;
  };
  const health: ExchangeHealth = {
    exchange: 'binance',
    markets: 'loaded',
    marketsLoadedAt: 1,
    coolDownUntil: null,
    circuit: 'closed',
    budget: { limit: 1, remaining: 1, windowMs: 1 },
    worker: 'inline',
    workerRestarts: 0,
    lastError: null,
    since: 0,
  };
  const state = { health: [health, { ...health, exchange: 'kraken' }] as ExchangeHealth[] };
  const client = {
    describe: vi.fn(async () => Promise.reject(new Error('describe'))),
    fetch: vi.fn(async () => next(ANSWER)),
    markets: vi.fn(async () => next(LIST)),
    watch: vi.fn(() => ({ close: () => undefined })),
    health: vi.fn(() => state.health),
    close: vi.fn(async () => Promise.resolve()),
  } satisfies ExchangeClient;
  return { client, outcomes, state };
};
