// CCXT's renamed currencies: the venue's own names go out over its feeds and come back, through CCXT's Kraken class.
import { beforeEach, describe, expect, it } from 'vitest';
import { type CcxtExchange, type Method, member } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { nameMarkets, refuseRenamed, rowAsSent } from '../../../../../src/exchanges/ccxt/feeds/feed-names.js';
import { loadExchangeClass } from '../../../../../src/exchanges/ccxt/loader.js';

let instance: CcxtExchange;
let sent: unknown[][];
let received: unknown[];
const call = (name: string, ...args: unknown[]): unknown =>
  (Reflect.get(instance, name) as Method).call(instance, ...args);

beforeEach(async () => {
  instance = new (await loadExchangeClass('kraken'))({});
  sent = [];
  received = [];
  for (const name of ['watch', 'watchMultiple'])
    Reflect.set(instance, name, (...args: unknown[]) => sent.push(args));
  Reflect.set(instance, 'handleMessage', (_client: unknown, frame: unknown) => received.push(frame));
  nameMarkets(instance, (market) => member(market, 'feed') as string | undefined);
  instance.markets = {
    'LUNC/USD': { feed: 'LUNA/USD' },
    'LUNA/USD': { feed: 'LUNA2/USD' },
    'BTC/USD': { feed: 'BTC/USD' },
    'ETH/USD': {},
  };
});

describe('what is subscribed', () => {
  it('goes out under the names that the venue has', () => {
    const frame = (symbol: unknown) => ({ method: 'subscribe', params: { channel: 'ticker', symbol } });
    call('watch', 'wss://venue', 'hash', frame(['LUNC/USD', 'LUNA/USD', 'BTC/USD', 'ETH/USD']), 'more');
    call('watchMultiple', 'wss://venue', ['hash'], frame('LUNA/USD'));
    expect(sent).toEqual([
      ['wss://venue', 'hash', frame(['LUNA/USD', 'LUNA2/USD', 'BTC/USD', 'ETH/USD']), 'more'],
      ['wss://venue', ['hash'], frame('LUNA2/USD')],
    ]);
  });

  it.each([[undefined], ['ping'], [{ method: 'ping' }], [{ params: { symbol: 7 } }]])(
    'and names no symbol is left as it is: %j',
    (frame) => {
      call('watch', 'wss://venue', 'hash', frame);
      expect(sent[0]?.[2]).toEqual(frame);
    },
  );
});

describe('what is received', () => {
  it("comes to CCXT under the unified names, and is told as the venue's own", () => {
    const rows = [
      { symbol: 'LUNA/USD', last: 1 },
      { symbol: 'LUNA2/USD', last: 2 },
      { symbol: 'BTC/USD' },
      { last: 3 },
    ];
    call('handleMessage', {}, { channel: 'ticker', data: rows });
    expect(received).toEqual([
      {
        channel: 'ticker',
        data: [
          { symbol: 'LUNC/USD', last: 1 },
          { symbol: 'LUNA/USD', last: 2 },
          { symbol: 'BTC/USD' },
          { last: 3 },
        ],
      },
    ]);
    const given = (member(received[0], 'data') as unknown[]).map(rowAsSent);
    expect(given).toEqual(rows);
    expect(rowAsSent(undefined)).toBeUndefined();
  });

  it('and has no rows is left as it is', () => {
    call('handleMessage', {}, { channel: 'status' });
    call('handleMessage', {}, 'pong');
    expect(received).toEqual([{ channel: 'status' }, 'pong']);
  });

  it('follows the list of markets: none yet, and a new one', () => {
    instance.markets = undefined;
    call('handleMessage', {}, { data: [{ symbol: 'LUNA/USD' }] });
    instance.markets = { 'NEW/USD': { feed: 'LUNA/USD' } };
    call('handleMessage', {}, { data: [{ symbol: 'LUNA/USD' }] });
    expect(received).toEqual([{ data: [{ symbol: 'LUNA/USD' }] }, { data: [{ symbol: 'NEW/USD' }] }]);
  });
});

describe('a venue that is subscribed by unified codes', () => {
  const listed = (market: object): void => {
    refuseRenamed(Object.assign(instance, { markets: { 'BTC/KRW': market } }), 'BTC/KRW');
  };

  it.each([
    [{ baseId: 'btc', base: 'BTC', quoteId: 'KRW', quote: 'KRW' }],
    [{ base: 'BTC', quote: 'KRW' }],
    [{ baseId: 7, base: 'BTC', quoteId: 'krw', quote: 'KRW' }],
  ])('takes a market with its own codes: %j', (market) => {
    expect(() => {
      listed(market);
    }).not.toThrow();
  });

  it.each([
    [{ baseId: 'XBT', base: 'BTC', quoteId: 'KRW', quote: 'KRW' }],
    [{ baseId: 'BTC', base: 'BTC', quoteId: 'WON', quote: 'KRW' }],
  ])('refuses one whose currency CCXT has renamed: %j', (market) => {
    expect(() => {
      listed(market);
    }).toThrow("kraken's feeds know BTC/KRW by another name only.");
  });
});
