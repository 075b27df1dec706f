/** What CCXT's own handlers and tables hold after trades and candles were read. */
import ccxt from 'ccxt';
import { describe, expect, test } from 'vitest';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import {
  emptyTable,
  forgetReadCandles,
  forgetReadTrades,
} from '../../../../../src/exchanges/ccxt/feeds/ccxt-tables.js';

interface Table extends Array<{ readonly id: string }> {
  getLimit(symbol: string, limit: undefined): number;
  readonly hashmap: Record<string, Record<string, unknown>>;
}
interface CandleTable extends Array<number[]> {
  readonly hashmap: Record<string, unknown>;
}
interface Venue {
  readonly trades: Record<string, Table>;
  readonly ohlcvs: Record<string, Record<string, CandleTable>>;
  setMarkets(markets: object[]): void;
  handleTrade(client: object, message: unknown): void;
  handleOHLCV(client: object, message: unknown): void;
  filterBySinceLimit(...args: unknown[]): { readonly id: string }[];
}

const CLIENT = { url: 'wss://stream.binance.com:9443/ws', resolve: () => undefined };
const binance = (id: number): object => ({
  ...{ e: 'trade', E: 1_700_000_000_000 + id, T: 1_700_000_000_000 + id, s: 'BTCUSDT', t: id },
  ...{ p: '43210.12', q: '0.01', m: true },
});
const coinbase = (id: number): object => ({
  events: [
    {
      trades: [
        {
          ...{ trade_id: String(id), product_id: 'BTC/USD', price: '43210.12', size: '0.01', side: 'BUY' },
          time: new Date(1_700_000_000_000 + id).toISOString(),
        },
      ],
    },
  ],
});

describe.each([
  { name: 'binance, in one list', Class: ccxt.pro.binance, message: binance },
  {
    name: 'coinbase, also by their ids',
    Class: ccxt.pro.coinbase,
    message: coinbase,
  },
])('trades of $name', ({ Class, message }) => {
  const open = () => {
    const venue = new Class({ options: { tradesLimit: 5_000 } }) as unknown as Venue;
    const take = (id: number): void => venue.handleTrade(CLIENT, message(id));
    take(0);
    const [symbol = ''] = Object.keys(venue.trades);
    const table = venue.trades[symbol]!;
    /** As CCXT's watchTrades does with `newUpdates`. */
    const read = (): string[] =>
      venue
        .filterBySinceLimit(table, undefined, table.getLimit(symbol, undefined), 'timestamp', true)
        .map(({ id }) => id);
    return {
      take,
      read,
      table,
      symbol,
      venue,
      forget: () => forgetReadTrades(venue as unknown as CcxtExchange, symbol),
    };
  };
  const ids = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => String(from + index));

  test('are given once each, and few that were read are kept', () => {
    const { take, read, table, symbol, forget } = open();
    const given = read();
    let longest = 0;
    for (let id = 1; id < 3_000; id += 3) {
      for (const next of [id, id + 1, id + 2]) take(next);
      given.push(...read());
      forget();
      longest = Math.max(longest, table.length);
    }
    expect(given.join()).toBe(ids(0, 3_001).join());
    expect(longest).toBe(199);
    expect(Object.keys(table.hashmap[symbol] ?? {}).length).toBeLessThanOrEqual(table.length);
  });

  test('that came after the read are kept for the next, however many', () => {
    const { take, read, table, forget } = open();
    for (let id = 1; id < 1_000; id += 1) take(id);
    expect(read().join()).toBe(ids(0, 1_000).join());
    for (let id = 1_000; id < 1_700; id += 1) take(id);
    forget();
    expect(table.length).toBe(700);
    expect(read().join()).toBe(ids(1_000, 1_700).join());
    forget();
    expect(table.length).toBe(100);
    take(1_700);
    expect(read()).toEqual(['1700']);
  });

  test('are gone when their feed ends, and later ones are given again', () => {
    const { take, read, table, symbol, venue } = open();
    read();
    for (let id = 1; id < 50; id += 1) take(id);
    emptyTable(venue as unknown as CcxtExchange, { channel: 'trades', exchange: 'venue', symbol });
    expect(table).toHaveLength(0);
    for (const id of [49, 50]) take(id);
    expect(read()).toEqual(['49', '50']);
  });
});

describe('candles', () => {
  const symbol = 'BTC/USDT';
  const MINUTE = 60_000;
  const START = 1_700_000_040_000;
  const open = () => {
    const venue = new ccxt.pro.binance() as unknown as Venue;
    venue.setMarkets([{ id: 'BTCUSDT', symbol, base: 'BTC', quote: 'USDT', type: 'spot', spot: true }]);
    const take = (minute: number, close = 1): void => {
      const k = {
        t: START + minute * MINUTE,
        s: 'BTCUSDT',
        i: '1m',
        o: '1',
        h: '9',
        l: '1',
        c: String(close),
        v: '1',
      };
      venue.handleOHLCV(CLIENT, { e: 'kline', E: k.t, s: 'BTCUSDT', k });
    };
    take(0);
    return { venue, take, table: venue.ohlcvs[symbol]!['1m']! };
  };
  const minutes = (table: Iterable<readonly number[]>): number[] =>
    Array.from(table, ([start = NaN]) => (start - START) / MINUTE);

  test('are few after a read, the latest ones, which still change', () => {
    const { take, table } = open();
    let longest = 0;
    for (let minute = 1; minute < 200; minute += 1) {
      take(minute);
      take(minute, 5);
      forgetReadCandles(table);
      longest = Math.max(longest, table.length);
      expect(minutes(table).slice(-2)).toEqual([minute - 1, minute]);
    }
    expect(longest).toBe(39);
    expect(Object.keys(table.hashmap)).toHaveLength(table.length);
    take(198, 7);
    expect(table.at(-2)).toEqual([START + 198 * MINUTE, 1, 9, 1, 7, 1]);
    expect(minutes(table)).toEqual(Array.from(table, (_row, at) => 200 - table.length + at));
  });

  test('that the venue sent out of order are cut by their time', () => {
    const { take, table } = open();
    for (let minute = 60; minute > 0; minute -= 1) take(minute);
    forgetReadCandles(table);
    expect(minutes(table)).toEqual(Array.from({ length: 20 }, (_, at) => 41 + at));
    take(60, 5);
    expect(table).toHaveLength(20);
    forgetReadCandles(undefined);
  });

  test('are gone when their feed ends', () => {
    const { venue, take, table } = open();
    const instance = venue as unknown as CcxtExchange;
    emptyTable(instance, { channel: 'ticker', exchange: 'venue', symbol });
    emptyTable(instance, { channel: 'ohlcv', exchange: 'venue', symbol, interval: '1h' });
    expect(table).toHaveLength(1);
    emptyTable(instance, { channel: 'ohlcv', exchange: 'venue', symbol, interval: '1m' });
    expect(table).toHaveLength(0);
    take(0);
    expect(minutes(table)).toEqual([0]);
  });
});
