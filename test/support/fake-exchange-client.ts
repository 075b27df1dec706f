/** A venue that does as the test says, with counts of what it was asked. */
import type {
  CallOptions,
  ExchangeClient,
  ExchangeHealth,
  MarketAnswer,
  MarketList,
  MarketRequest,
} from '../../src/exchanges/exchange-client.js';
import { likelySymbol } from '../../src/market-data/market-directory.js';
import { AppError } from '../../src/errors.js';

export interface FakeExchangeClient extends ExchangeClient {
  readonly fetched: { readonly request: MarketRequest; readonly options: CallOptions }[];
  /** How the next fetches end; replaced by tests. */
  answer: (request: MarketRequest, options: CallOptions) => Promise<MarketAnswer>;
  list: (options: CallOptions) => Promise<MarketList>;
  healthOf: Partial<ExchangeHealth>;
  listed: number;
}

/** `{"exchange":<id>,"symbol":…,…members}` as a venue's worker makes it. */
export const venueAnswer = (
  request: MarketRequest,
  at: number,
  { members = { last: 1 }, closesAt = null }: { members?: object; closesAt?: number | null } = {},
): MarketAnswer => ({
  // As the venue's list would spell it.
  body: Buffer.from(
    JSON.stringify({ exchange: request.exchange, symbol: likelySymbol(request.symbol), ...members }),
  ),
  symbol: likelySymbol(request.symbol),
  receivedAt: at,
  closesAt,
});

export const createFakeExchangeClient = (now: () => number): FakeExchangeClient => {
  const fake: FakeExchangeClient = {
    fetched: [],
    listed: 0,
    healthOf: {},
    answer: (request) => Promise.resolve(venueAnswer(request, now())),
    list: () => Promise.resolve({ markets: [], loadedAt: now() }),
    fetch(request, options) {
      if (request.kind === 'tickers')
        return Promise.reject(new AppError('not_supported_by_exchange', 'It has no such request.'));
      fake.fetched.push({ request, options });
      return fake.answer(request, options);
    },
    markets(_exchange, options) {
      fake.listed += 1;
      return fake.list(options);
    },
    describe: (exchange) =>
      Promise.resolve({
        exchange,
        name: exchange.toUpperCase(),
        capabilities: { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: 'websocket' },
        watchable: ['ticker'],
        intervals: ['1m', '1h'],
        bookIntegrity: 'sequence',
      }),
    watch() {
      throw new AppError('internal_error', 'no streams here');
    },
    health: () =>
      ['binance', 'kraken', 'coinbaseexchange'].map((exchange) => ({
        exchange,
        markets: 'loaded',
        marketsLoadedAt: 0,
        coolDownUntil: null,
        circuit: 'closed',
        budget: { limit: 100, remaining: 100, windowMs: 60_000 },
        worker: 'inline',
        workerRestarts: 0,
        lastError: null,
        since: 0,
        ...fake.healthOf,
      })),
    close: () => Promise.resolve(),
  };
  return fake;
};

/** From now on no fetch of `venue` is answered before the function returned is called. */
export const holdAnswers = (venue: FakeExchangeClient): (() => void) => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { answer } = venue;
  venue.answer = async (request, options) => {
    await gate;
    return answer(request, options);
  };
  return () => release();
};
