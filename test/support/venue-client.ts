/** The CCXT client on a fake venue, without CCXT's pacing: as it is, or behind the server's retries and circuit. */
import { AppError } from '../../src/errors.js';
import {
  createCcxtClient,
  type CcxtClient,
  type CcxtClientOptions,
} from '../../src/exchanges/ccxt/ccxt-client.js';
import type { CcxtClass } from '../../src/exchanges/ccxt/ccxt-exchange.js';
import { loadExchangeClass } from '../../src/exchanges/ccxt/loader.js';
import type {
  CallOptions,
  ExchangeClient,
  MarketAnswer,
  MarketRequest,
  StreamItem,
  StreamTopic,
} from '../../src/exchanges/exchange-client.js';
import { withCircuitBreaker } from '../../src/exchanges/resilience/circuit-breaker.js';
import { withRetry } from '../../src/exchanges/resilience/retrying-client.js';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { silentLog } from '../../src/log/log.js';
import {
  ohlcv,
  orderBook,
  ticker,
  trades,
  type Ohlcv,
  type OrderBook,
  type Ticker,
  type Trades,
} from '../../src/schemas/market.js';
import type { FakeVenue } from './fake-venue.js';

export interface FakeMarket {
  readonly id: string;
  readonly symbol: string;
}

const marketOf = ({ id, symbol }: FakeMarket) => {
  const [pair = '', settle] = symbol.split(':');
  const [base, quote] = pair.split('/');
  const isSwap = settle !== undefined;
  return {
    ...{ id, symbol, base, quote, settle, baseId: base, quoteId: quote, settleId: settle },
    ...{ type: isSwap ? 'swap' : 'spot', spot: !isSwap, swap: isSwap, contract: isSwap },
    ...{ linear: isSwap ? true : undefined, active: true, precision: {}, limits: {}, info: {} },
  };
};

/** CCXT's class whose list of markets is given; all else is CCXT's. */
const withMarkets = async (id: string, markets: readonly FakeMarket[]): Promise<CcxtClass> => {
  const Exchange = await loadExchangeClass(id);
  return class extends (Exchange as unknown as new (config: Readonly<Record<string, unknown>>) => object) {
    fetchMarkets(): Promise<unknown[]> {
      return Promise.resolve(markets.map(marketOf));
    }

    fetchCurrencies(): Promise<object> {
      return Promise.resolve({});
    }
  } as unknown as CcxtClass;
};

export interface VenueClientOptions extends Partial<CcxtClientOptions> {
  /** The venue's list of markets; without it, CCXT asks for one. */
  readonly markets?: readonly FakeMarket[];
}

const SCHEMAS = { ticker, ohlcv, orderbook: orderBook, trades };
type AnyAnswer = Ticker & Ohlcv & OrderBook & Trades;

export interface VenueClient {
  readonly client: CcxtClient;
  readonly fetch: (request: MarketRequest) => Promise<MarketAnswer>;
  /** The parsed body of an answer, which fits its schema. */
  readonly ask: (request: MarketRequest) => Promise<AnyAnswer>;
  readonly refusal: (request: MarketRequest, how?: Partial<CallOptions>) => Promise<AppError>;
  /** Opens a raw feed; `items` grows, `item(n)` waits for the nth (from 1). */
  watch(topic: StreamTopic): {
    readonly items: StreamItem[];
    item(count: number): Promise<StreamItem>;
    ended(): Promise<AppError | null>;
    close(): void;
  };
  close(): Promise<void>;
}

/** Deadlines are on the clock of durations, which a test that sets one clock sets too. */
const clockOf = ({ monotonic, now }: VenueClientOptions): (() => number) => monotonic ?? now ?? steadyNow;

export const venueClient = (
  exchange: string,
  venue: FakeVenue,
  { markets, ...options }: VenueClientOptions = {},
): VenueClient => {
  const client = createCcxtClient({
    exchanges: [exchange],
    exchangeOptions: { [exchange]: { rateLimit: 0 } },
    budget: { requests: 10_000, windowMs: 60_000 },
    upstreamTimeoutMs: 5000,
    proxy: { https: '', http: '', no: '' },
    sandboxUrl: venue.url,
    userAgent: 'venue-test/1',
    log: silentLog,
    ...(markets === undefined ? {} : { loadClass: (id) => withMarkets(id, markets) }),
    ...options,
  });
  return {
    ...asking(client, clockOf(options)),
    client,
    watch: watching(client),
    close: () => client.close(),
  };
};

/** What asks go through in the server: retries, and the circuit that stands behind them. */
export const resilientClient = (
  exchange: string,
  venue: FakeVenue,
  options: VenueClientOptions = {},
): VenueClient => {
  const inner = venueClient(exchange, venue, options);
  const now = clockOf(options);
  const settings = { maxRetries: 3, initialBackoffMs: 1, maxBackoffMs: 2, multiplier: 2 };
  const client = withRetry(withCircuitBreaker(inner.client, { now, log: silentLog }), { settings, now });
  return { ...inner, ...asking(client, now) };
};

const asking = (
  client: ExchangeClient,
  now: () => number,
): Pick<VenueClient, 'fetch' | 'ask' | 'refusal'> => {
  const fetch = (request: MarketRequest, how: Partial<CallOptions> = {}): Promise<MarketAnswer> =>
    client.fetch(request, { deadline: now() + 20_000, priority: 'caller', ...how });
  return {
    fetch: (request) => fetch(request),
    ask: async (request) => {
      const { body } = await fetch(request);
      const parsed: unknown = JSON.parse(Buffer.from(body).toString());
      SCHEMAS[request.kind].parse(parsed);
      return parsed as AnyAnswer;
    },
    refusal: (request, how) =>
      fetch(request, how).then(
        () => Promise.reject(new Error('the call succeeded')),
        (error: unknown) => AppError.from(error),
      ),
  };
};

const watching =
  (client: ExchangeClient): VenueClient['watch'] =>
  (topic) => {
    const items: StreamItem[] = [];
    let error: AppError | null | undefined;
    const waiting = new Set<() => void>();
    const changed = (): void => {
      for (const check of waiting) check();
    };
    const until = (condition: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!condition()) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      });
    const handle = client.watch(topic, {
      onItem: (item) => {
        items.push(item);
        changed();
      },
      onEnd: (reason) => {
        error = reason;
        changed();
      },
    });
    return {
      items,
      item: async (count) => {
        await until(() => items.length >= count || error !== undefined);
        const item = items[count - 1];
        if (item === undefined) throw error ?? new Error('The feed was closed.');
        return item;
      },
      ended: async () => {
        await until(() => error !== undefined);
        return error ?? null;
      },
      close: () => {
        handle.close();
      },
    };
  };
