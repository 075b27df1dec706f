// Kraken's book channel, in the form of https://docs.kraken.com/api/docs/guides/spot-ws-book-v2, through CCXT's handler.
import { beforeEach, describe, expect, it } from 'vitest';
import type { BookFault } from '../../../../src/errors.js';
import { type CcxtExchange, isMethod, member } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { BookGuard } from '../../../../src/exchanges/ccxt/feeds/book-guard.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { bookChecksum, krakenChecksum } from '../../../../src/exchanges/venues/books/kraken.js';
import { bookRecord } from '../../../../src/exchanges/venues/book-integrity.js';

// Twelve levels a side: two more than the checksum covers.
const asks = Array.from({ length: 12 }, (_, index) => [45_285.2 + index * 0.1, 0.001 + index] as const);
const bids = Array.from({ length: 12 }, (_, index) => [45_283.5 - index * 0.1, 0.1 + index] as const);
const DECIMALS = { price: 1, amount: 8 };
const ten = { asks: asks.slice(0, 10), bids: bids.slice(0, 10) };
const levels = (side: readonly (readonly [number, number])[]) => side.map(([price, qty]) => ({ price, qty }));

let faults: BookFault[];
let instance: CcxtExchange;

beforeEach(async () => {
  faults = [];
  instance = new (await loadExchangeClass('kraken'))({});
  instance.markets = { 'BTC/USD': { info: { pair_decimals: 1, lot_decimals: 8 } } };
  const record = bookRecord('kraken');
  if (record === null) throw new Error('nothing judges these books');
  const guard = new BookGuard(instance, record);
  guard.open('BTC/USD', (fault) => faults.push(fault));
});

const client = { url: 'wss://ws.kraken.com/v2', subscriptions: {}, futures: {}, resolve: () => undefined };
const say = (type: 'snapshot' | 'update', data: object): void => {
  const handle: unknown = Reflect.get(instance, 'handleMessage');
  if (isMethod(handle))
    handle.call(instance, client, {
      channel: 'book',
      type,
      data: [{ symbol: 'BTC/USD', bids: [], asks: [], ...data }],
    });
};
const whole = (checksum?: number): void =>
  say('snapshot', { bids: levels(ten.bids), asks: levels(ten.asks), checksum });
const held = (): unknown => member(Reflect.get(instance, 'orderbooks'), 'BTC/USD');
const RIGHT = bookChecksum(ten, DECIMALS);
const TIME = '2026-01-14T06:15:15.250000Z';

describe('a checksum', () => {
  it('that never agreed costs nobody the feed', () => {
    whole(RIGHT + 1);
    say('update', { checksum: RIGHT + 2, timestamp: TIME });
    expect(faults).toEqual([]);
    expect(held()).toBeDefined();
  });

  it('that agreed once ends the feed at the first one that does not, and the book is not held any more', () => {
    whole(RIGHT);
    say('update', { checksum: RIGHT, timestamp: TIME });
    say('update', { bids: levels([[45_283.5, 7]]), checksum: RIGHT, timestamp: TIME });
    expect(faults).toEqual(['checksum']);
    expect(held()).toBeUndefined();
    say('update', { checksum: RIGHT, timestamp: TIME });
    expect(faults).toEqual(['checksum']);
  });

  it('that some messages lack is checked where it is', () => {
    whole(RIGHT);
    say('update', { bids: levels([[45_283.5, 7]]), timestamp: TIME });
    expect(faults).toEqual([]);
    say('update', { checksum: RIGHT, timestamp: TIME });
    expect(faults).toEqual(['checksum']);
  });

  it('is not asked of a book before its snapshot, whose updates change nothing', () => {
    say('update', { checksum: 1, timestamp: TIME });
    expect(faults).toEqual([]);
    whole(RIGHT);
    expect(member(held(), 'bids')).toHaveLength(10);
  });

  it('reads the ten best levels and their digits only', () => {
    expect(bookChecksum({ asks, bids }, DECIMALS)).toBe(RIGHT);
    expect(bookChecksum({ asks: asks.slice(0, 9), bids }, DECIMALS)).not.toBe(RIGHT);
    expect(bookChecksum({ asks: [], bids: 'none' }, DECIMALS)).toBe(0);
    expect(krakenChecksum(ten, { info: { pair_decimals: 'many', lot_decimals: 8 } })).toBeUndefined();
  });
});
