/** A sandbox and a CCXT client on it, sharing a clock that stands still unless it is moved. */
import { type AppError } from '../../../src/errors.js';
import { createCcxtClient, type CcxtClientOptions } from '../../../src/exchanges/ccxt/ccxt-client.js';
import type { CallOptions, MarketRequest } from '../../../src/exchanges/exchange-client.js';
import { ohlcv, orderBook, ticker, trades } from '../../../src/schemas/market.js';
import type { Ohlcv, OrderBook, Ticker, Trades } from '../../../src/schemas/market.js';
import { silentLog } from '../../../src/log/log.js';
import { startSandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.js';

/** A quarter into a minute, an hour and a day: every interval has an open candle. */
export const NOW = Date.UTC(2026, 0, 14, 6, 15, 15, 250);
export const VENUES = ['binance', 'kraken', 'coinbaseexchange'] as const;
export type VenueName = (typeof VENUES)[number];
export const symbolOf = (venue: VenueName): string => (venue === 'binance' ? 'BTC/USDT' : 'BTC/USD');

const SCHEMAS = { ticker, ohlcv, orderbook: orderBook, trades };
/** Any answer's members; the contract's schema of its kind has passed it. */
type AnyAnswer = Ticker & Ohlcv & OrderBook & Trades;

/** No pace: Kraken's is a second between two requests, and the clock of these tests stands still. */
const FAST = { rateLimit: 0 };
const FAST_EVERYWHERE = { binance: FAST, kraken: FAST, coinbaseexchange: FAST };

export const clientOptions = (sandboxUrl: string | null): CcxtClientOptions => ({
  exchanges: VENUES,
  exchangeOptions: FAST_EVERYWHERE,
  budget: { requests: 1000, windowMs: 60_000 },
  upstreamTimeoutMs: 5000,
  proxy: { https: '', http: '', no: '' },
  sandboxUrl,
  userAgent: 'venue-test/1',
  log: silentLog,
});

export const startVenues = async (
  client: Partial<CcxtClientOptions> = {},
  sandboxOptions: Partial<SandboxOptions> = {},
) => {
  let at = NOW;
  const now = (): number => at;
  const sandbox = await startSandbox({ now, weightLimit: Infinity, ...sandboxOptions });
  const venues = createCcxtClient({ ...clientOptions(sandbox.url), now, ...client });
  const soon = (): CallOptions => ({ deadline: now() + 20_000, priority: 'caller' });
  return {
    sandbox,
    venues,
    now,
    soon,
    moveTo: (instant: number) => {
      at = instant;
    },
    /** The parsed body of an answer. */
    ask: async (request: MarketRequest) => {
      const { body } = await venues.fetch(request, soon());
      const answer: unknown = JSON.parse(Buffer.from(body).toString());
      SCHEMAS[request.kind].parse(answer);
      return answer as AnyAnswer;
    },
    /** The error of a call that must fail. */
    refusal: async (request: MarketRequest, options = soon()): Promise<AppError> =>
      venues.fetch(request, options).then(
        () => Promise.reject(new Error('the call succeeded')),
        (error: unknown) => error as AppError,
      ),
    requests: () => sandbox.control.requestLog(),
    close: async () => {
      await venues.close();
      await sandbox.close();
    },
  };
};
export type Venues = Awaited<ReturnType<typeof startVenues>>;
