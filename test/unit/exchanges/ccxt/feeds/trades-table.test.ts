/** What CCXT's own handlers and tables hold after trades were read. */
import ccxt from 'ccxt';
import { describe, expect, test } from 'vitest';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { forgetReadTrades } from '../../../../../src/exchanges/ccxt/feeds/trades-table.js';

interface Table extends Array<{ readonly id: string }> {
  getLimit(symbol: string, limit: undefined): number;
  readonly hashmap: Record<string, Record<string, unknown>>;
}
interface Venue {
  readonly trades: Record<string, Table>;
  handleTrade(client: object, message: unknown): void;
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
});
