// What a venue is asked for per call, seen at the last step before the socket: CCXT's own classes, without a network.
import { describe, expect, it } from 'vitest';
import type { CcxtExchange } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { venueQuirks } from '../../../../src/exchanges/venues/venue-quirks.js';
import { askedDepth } from '../../../../src/exchanges/venues/venue-sizes.js';

const STOP = new Error('the request would leave here');

const market = (contract: boolean) => ({
  id: contract ? 'BTCUSDTM' : 'BTCUSDT',
  symbol: contract ? 'BTC/USDT:USDT' : 'BTC/USDT',
  base: 'BTC',
  quote: 'USDT',
  baseId: 'BTC',
  quoteId: 'USDT',
  settle: contract ? 'USDT' : undefined,
  settleId: contract ? 'usdt' : undefined,
  type: contract ? 'swap' : 'spot',
  spot: !contract,
  swap: contract,
  future: false,
  option: false,
  contract,
  linear: contract ? true : undefined,
  inverse: contract ? false : undefined,
  contractSize: contract ? 1 : undefined,
  active: true,
  info: {},
  limits: {},
  precision: { amount: 0.001, price: 0.01 },
});

/** What a call would send: the values of its query by name. */
const queryOf = async (
  exchange: string,
  call: (ccxt: CcxtExchange) => Promise<unknown>,
): Promise<URLSearchParams> => {
  const Exchange = await loadExchangeClass(exchange);
  const ccxt = new Exchange({ enableRateLimit: false });
  const urls: string[] = [];
  Object.assign(ccxt, {
    fetch: (url: string) => {
      urls.push(url);
      return Promise.reject(STOP);
    },
  });
  const withMarkets = ccxt as CcxtExchange & { setMarkets(markets: unknown[]): void };
  withMarkets.setMarkets([market(false), market(true)]);
  await expect(call(ccxt)).rejects.toBe(STOP);
  return new URL(urls[0] ?? '').searchParams;
};

const SPOT = 'BTC/USDT';
const SWAP = 'BTC/USDT:USDT';
const quirksOf = (exchange: string, symbol: string) =>
  venueQuirks(exchange, { contract: symbol.includes(':') });

/** Name of the depth parameter and the depths that the venue takes; null: it takes none. */
const BOOKS: readonly [string, string, string | null, (depth: number) => boolean][] = [
  ['okx', SPOT, 'sz', (depth) => depth <= 5000],
  ['bybit', SPOT, 'limit', (depth) => depth <= 200],
  ['bybit', SWAP, 'limit', (depth) => depth <= 500],
  ['bitstamp', SPOT, null, () => true],
  ['kucoin', SPOT, null, () => true],
  ['kucoin', SWAP, null, () => true],
  ['gate', SPOT, 'limit', (depth) => depth <= 1000],
  ['gate', SWAP, 'limit', (depth) => depth <= 300],
  ['mexc', SPOT, 'limit', (depth) => depth <= 5000],
  ['bitfinex', SPOT, 'len', (depth) => [1, 25, 100].includes(depth)],
  ['gemini', SPOT, 'limit_bids', (depth) => depth <= 1000],
  ['htx', SPOT, 'depth', (depth) => [5, 10, 20].includes(depth)],
  ['htx', SWAP, null, () => true],
  ['cryptocom', SPOT, 'depth', (depth) => depth <= 50],
  ['bitget', SPOT, 'limit', (depth) => depth <= 150],
  ['bitget', SWAP, 'limit', (depth) => [1, 5, 15, 50].includes(depth)],
  ['upbit', SPOT, null, () => true],
  ['binanceusdm', SWAP, 'limit', (depth) => [5, 10, 20, 50, 100, 500, 1000].includes(depth)],
];

describe('the depth that a venue is asked for', () => {
  it.each(BOOKS)(
    '%s %s: is one that it takes, whatever the caller wants',
    async (exchange, ...[symbol, name, takes]) => {
      let seen = 0;
      for (const limit of [1, 5, 20, 21, 50, 100, 151, 500, 1000]) {
        const depth = askedDepth(quirksOf(exchange, symbol), limit);
        const sent = await queryOf(exchange, (ccxt) => ccxt.fetchOrderBook(symbol, depth));
        const value = name === null ? null : sent.get(name);
        if (value === null) continue;
        seen += 1;
        expect(takes(Number(value)), `${limit} -> ${value}`).toBe(true);
      }
      expect(seen > 0).toBe(name !== null);
    },
  );

  it('is the next larger one, the largest for more, and none where that gives the most', () => {
    const depthsOf = (exchange: string, symbol: string) =>
      [1, 5, 6, 100, 101, 1000].map((limit) => askedDepth(quirksOf(exchange, symbol), limit));
    expect(depthsOf('binance', SPOT)).toEqual([5, 5, 10, 100, 500, 1000]);
    expect(depthsOf('kraken', SPOT)).toEqual([10, 10, 10, 100, 500, 500]);
    expect(depthsOf('kucoin', SPOT)).toEqual([20, 20, 20, 100, 100, 100]);
    expect(depthsOf('kucoin', SWAP)).toEqual([20, 20, 20, 100, undefined, undefined]);
    expect(depthsOf('bitget', SWAP)).toEqual([5, 5, 15, undefined, undefined, undefined]);
    expect(depthsOf('some-other', SPOT)).toEqual(Array.from({ length: 6 }, () => undefined));
  });
});

describe('the number of trades that a venue is asked for', () => {
  it.each([
    ['okx', SPOT, 'limit', 500],
    ['bybit', SPOT, 'limit', 60],
    ['bybit', SWAP, 'limit', 1000],
    ['gate', SPOT, 'limit', 1000],
    ['mexc', SPOT, 'limit', 1000],
    ['mexc', SWAP, 'limit', 100],
    ['bitfinex', SPOT, 'limit', 1000],
    ['gemini', SPOT, 'limit_trades', 500],
    ['htx', SPOT, 'size', 1000],
    ['cryptocom', SPOT, 'count', 150],
    ['bitget', SPOT, 'limit', 1000],
    ['upbit', SPOT, 'count', 500],
  ])('%s %s: is at most what it takes', async (exchange, ...[symbol, name, most]) => {
    const { maxTrades } = quirksOf(exchange, symbol);
    const sent = await queryOf(exchange, (ccxt) => ccxt.fetchTrades(symbol, undefined, maxTrades));
    expect(Number(sent.get(name))).toBe(most);
  });

  it('is a cautious one at venues that have not been examined', () => {
    expect(quirksOf('some-other', SPOT).maxTrades).toBe(100);
  });
});

describe('the candles of a page', () => {
  it.each([
    ['okx', 300, 300],
    ['bybit', 1000, 1000],
    ['bitstamp', 1000, 1000],
    ['kucoin', 1000, 500],
    ['gate', 1000, 1000],
    ['bitfinex', 1000, 1000],
    ['bingx', 1000, 1000],
    ['bitrue', 1000, 300],
    ['htx', 1000, 1000],
    ['cryptocom', 300, 300],
    ['bitget', 200, 200],
    ['upbit', 200, 200],
    ['binanceusdm', 1000, 500],
    ['zaif', 100, 100],
  ])(
    '%s: are what CCXT’s tables say of spot (%i) and of contracts (%i)',
    async (exchange, spot, contracts) => {
      const Exchange = await loadExchangeClass(exchange);
      const { features } = new Exchange({});
      expect(venueQuirks(exchange, { features }).candlePage).toBe(spot);
      expect(venueQuirks(exchange, { features, contract: true }).candlePage).toBe(contracts);
    },
  );

  it('are a cautious number where the tables say nothing usable, and those of our own table before CCXT’s', () => {
    const limited = (limit: unknown) => ({ spot: { fetchOHLCV: { limit } } });
    for (const features of [undefined, null, 7, {}, limited('x'), limited(0), limited(1.5), { spot: null }])
      expect(venueQuirks('okx', { features }).candlePage).toBe(100);
    expect(venueQuirks('okx', { features: limited(99_999) }).candlePage).toBe(1000);
    expect(venueQuirks('kraken', { features: limited(5) }).candlePage).toBe(720);
  });
});
