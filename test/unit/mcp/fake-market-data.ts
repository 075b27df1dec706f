/** A MarketData that answers from constants, counts its calls and fails on demand. */
import { spotMarket } from '../../support/markets.js';
import { likelySymbol } from '../../../src/market-data/market-directory.js';
import { EventEmitter } from 'node:events';
import { AppError } from '../../../src/errors.js';
import type { ExchangeEntry } from '../../../src/schemas/market.js';
import type {
  MarketData,
  MarketQuery,
  MarketsFilter,
  ServedAnswer,
} from '../../../src/market-data/market-data-api.js';

/** The fake's clock: 2023-11-03T08:26:40.000Z. */
export const NOW = 1_699_000_000_000;

const CAPABILITIES = { ticker: true, ohlcv: true, orderbook: true, trades: false };
const ENTRY: ExchangeEntry = {
  id: 'binance',
  ccxt_id: 'binance',
  name: 'Binance',
  capabilities: { ...CAPABILITIES, stream: 'websocket' },
  intervals: ['1m', '1h'],
  book_integrity: 'sequence',
};
const SILENT: ExchangeEntry = {
  ...ENTRY,
  id: 'kraken',
  ccxt_id: 'kraken',
  name: 'Kraken',
  capabilities: { ...CAPABILITIES, stream: null },
};

const candles = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    timestamp: NOW - (count - index) * 60_000,
    open: 1,
    high: 3,
    low: 0.5,
    close: 2,
    volume: index === 0 ? null : 10,
    closed: index < count - 1,
  }));

const bodyOf = (query: MarketQuery, rows: number): object => {
  const head = { exchange: query.exchange, symbol: likelySymbol(query.symbol) };
  switch (query.kind) {
    case 'ticker':
      return { ...head, bid: 42500, ask: 42510, last: 42505, timestamp: NOW - 100, raw: { s: 'BTCUSDT' } };
    case 'ohlcv':
      return {
        ...head,
        interval: query.interval,
        candles: candles(Math.min(query.limit, rows)),
        ...(query.since === undefined
          ? {}
          : { gaps: [{ from: query.since, to: NOW - 9_000_000, reason: 'not_available_from_exchange' }] }),
      };
    case 'orderbook':
      return {
        ...head,
        bids: Array.from({ length: query.limit }, (_, level) => ({ price: 42500 - level, amount: 1 })),
        asks: Array.from({ length: query.limit }, (_, level) => ({ price: 42501 + level, amount: 2 })),
        timestamp: NOW - 100,
      };
    case 'trades':
      return {
        ...head,
        trades: [
          ...Array.from({ length: Math.max(0, Math.min(query.limit, rows) - 150) }, (_, id) => ({
            ...{ trade_id: `t${id}`.padEnd(36, '0'), timestamp: NOW - 100_000 + id },
            ...{ price: 12_345.678_901, amount: 0.123_456_789, side: 'buy' },
          })),
          { trade_id: null, timestamp: NOW - 2000, price: 1, amount: 2, side: null },
          { trade_id: '7', timestamp: NOW - 1000, price: 1.5, amount: 2, side: 'buy' },
        ],
      };
  }
};

export class FakeMarketData implements MarketData {
  readonly queries: MarketQuery[] = [];
  livenessOf = (): (() => boolean) => () => false;
  readonly filters: MarketsFilter[] = [];
  readonly signals: (AbortSignal | undefined)[] = [];
  /** Emits `get` at each get(). */
  readonly calls = new EventEmitter();
  /** Candles, trades and markets that there are at most. */
  rows = 150;
  /** Awaited by every markets(). */
  list: (filter: MarketsFilter) => Promise<void> = () => Promise.resolve();
  /** Thrown by every call while set. */
  fault: unknown = null;
  /** Awaited by every get() while set. */
  gate: Promise<void> = Promise.resolve();
  /** What the next answers say about themselves. */
  answer: Pick<ServedAnswer, 'cache' | 'source' | 'receivedAt' | 'freshUntil'> = {
    cache: 'MISS',
    source: 'binance; via=rest',
    receivedAt: NOW - 400,
    freshUntil: NOW + 1600,
  };

  private check(): void {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- a test sets what a faulty service throws
    if (this.fault !== null) throw this.fault;
  }

  async get(query: MarketQuery, signal?: AbortSignal): Promise<ServedAnswer> {
    this.queries.push(query);
    this.signals.push(signal);
    this.calls.emit('get');
    await this.gate;
    this.check();
    return { body: Buffer.from(JSON.stringify(bodyOf(query, this.rows))), etag: '"x"', ...this.answer };
  }

  markets(filter: MarketsFilter) {
    this.filters.push(filter);
    return this.list(filter).then(() => {
      this.check();
      const market = spotMarket('BTC/USDT');
      const next_cursor = filter.limit === 1 ? 'BTC/USDT' : null;
      const more = Array.from({ length: Math.max(0, Math.min(filter.limit, this.rows) - 150) }, (_, i) => ({
        ...market,
        symbol: `COIN${String(i).padStart(4, '0')}/USDT:USDT-261225-100000-C`,
      }));
      const markets = [market, ...more];
      return { page: { exchange: filter.exchange, markets, next_cursor }, loadedAt: NOW - 60_000 };
    });
  }

  exchanges() {
    return Promise.resolve().then(() => {
      this.check();
      return [ENTRY, SILENT];
    });
  }

  listedName(exchange: string): string {
    return exchange;
  }
  resolveStoredExchange(name: string) {
    return this.resolveExchange(name);
  }

  resolveExchange(name: string) {
    if (name === 'nowhere') throw new AppError('unknown_exchange', 'nowhere is not an exchange.');
    return { name, exchange: name === 'coinbasepro' ? 'coinbaseexchange' : name };
  }
}
