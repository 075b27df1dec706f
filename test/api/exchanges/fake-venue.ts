/**
 * A venue of a test's own: an HTTP server that answers as one of CCXT's venues does, the venue's own CCXT class on it
 * (its market list alone is given), and the retry and circuit that stand before it in the server.
 */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '../../../src/errors.js';
import { createCcxtClient, type CcxtClientOptions } from '../../../src/exchanges/ccxt/ccxt-client.js';
import type { CcxtClass } from '../../../src/exchanges/ccxt/ccxt-exchange.js';
import { loadExchangeClass } from '../../../src/exchanges/ccxt/loader.js';
import type { CallOptions, ExchangeClient, MarketRequest } from '../../../src/exchanges/exchange-client.js';
import { withCircuitBreaker } from '../../../src/exchanges/resilience/circuit-breaker.js';
import { withRetry } from '../../../src/exchanges/resilience/retrying-client.js';
import { silentLog } from '../../../src/log/log.js';
import { ohlcv, orderBook, ticker, trades, type Ohlcv } from '../../../src/schemas/market.js';
import type { OrderBook, Ticker, Trades } from '../../../src/schemas/market.js';

export interface FakeReply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string or bytes as they are; anything else as JSON. */
  readonly body: unknown;
}
/** The path without the host, and the query. */
export type Answer = (path: string, query: URLSearchParams, headers: IncomingHttpHeaders) => FakeReply;

export interface FakeMarket {
  readonly id: string;
  readonly symbol: string;
}

/** A class whose list of markets is given; all else is CCXT's. */
const withMarkets = async (id: string, markets: readonly FakeMarket[]): Promise<CcxtClass> => {
  const Exchange = await loadExchangeClass(id);
  return class extends (Exchange as unknown as new (config: Readonly<Record<string, unknown>>) => object) {
    fetchMarkets(): Promise<unknown[]> {
      return Promise.resolve(
        markets.map(({ id: marketId, symbol }) => {
          const [pair = '', settle] = symbol.split(':');
          const [base, quote] = pair.split('/');
          const isSwap = settle !== undefined;
          return {
            id: marketId,
            symbol,
            base,
            quote,
            settle,
            baseId: base,
            quoteId: quote,
            settleId: settle,
            type: isSwap ? 'swap' : 'spot',
            spot: !isSwap,
            swap: isSwap,
            contract: isSwap,
            linear: isSwap ? true : undefined,
            active: true,
            precision: {},
            limits: {},
            info: {},
          };
        }),
      );
    }

    fetchCurrencies(): Promise<object> {
      return Promise.resolve({});
    }
  } as unknown as CcxtClass;
};

const SCHEMAS = { ticker, ohlcv, orderbook: orderBook, trades };
type AnyAnswer = Ticker & Ohlcv & OrderBook & Trades;

export const startFakeVenue = async (
  exchange: string,
  markets: readonly FakeMarket[],
  { answer, ...options }: Partial<CcxtClientOptions> & { readonly answer: Answer },
) => {
  const now = options.now ?? Date.now;
  const requests: string[] = [];
  let respond = answer;
  const server = createServer((request, reply) => {
    const { pathname, searchParams, search } = new URL(request.url ?? '/', 'http://fake');
    const path = pathname.replace(/^\/[^/]*/, '');
    requests.push(path + search);
    const { status = 200, headers = {}, body } = respond(path, searchParams, request.headers);
    const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const date = new Date(now()).toUTCString();
    reply.writeHead(status, { 'content-type': 'application/json', date, ...headers }).end(payload);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const inner = createCcxtClient({
    exchanges: [exchange],
    exchangeOptions: { [exchange]: { rateLimit: 1 } },
    budget: { requests: 1000, windowMs: 60_000 },
    upstreamTimeoutMs: 5000,
    proxy: { https: '', http: '', no: '' },
    sandboxUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    userAgent: 'fake-venue-test/1',
    log: silentLog,
    loadClass: (id) => withMarkets(id, markets),
    ...options,
    now,
  });
  const settings = { maxRetries: 3, initialBackoffMs: 1, maxBackoffMs: 2, multiplier: 2 };
  const client: ExchangeClient = withRetry(withCircuitBreaker(inner, { now, log: silentLog }), {
    settings,
    now,
  });
  const soon = (): CallOptions => ({ deadline: now() + 20_000, priority: 'caller' });
  return {
    client,
    /** Paths and queries, in the order in which they came. */
    requests,
    answerWith: (next: Answer) => {
      respond = next;
    },
    fetch: (request: MarketRequest) => client.fetch(request, soon()),
    ask: async (request: MarketRequest): Promise<AnyAnswer> => {
      const { body } = await client.fetch(request, soon());
      const parsed: unknown = JSON.parse(Buffer.from(body).toString());
      SCHEMAS[request.kind].parse(parsed);
      return parsed as AnyAnswer;
    },
    refusal: (request: MarketRequest, how: Partial<CallOptions> = {}): Promise<AppError> =>
      client.fetch(request, { ...soon(), ...how }).then(
        () => Promise.reject(new Error('the call succeeded')),
        (error: unknown) => AppError.from(error),
      ),
    close: async () => {
      await client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
export type FakeVenue = Awaited<ReturnType<typeof startFakeVenue>>;
