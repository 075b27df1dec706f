// Where CCXT's parsers say something else than the venue: what comes out is what the venue's own object says.
import { describe, expect, it } from 'vitest';
import {
  correctedMarkets,
  correctedTicker,
  correctedTrades,
  noteOfMessage,
  timedBook,
  timedTicker,
} from '../../../../src/exchanges/venues/corrections.js';

const AT = 1_764_206_270_368;

describe('a trade', () => {
  const corrected = (exchange: string, trade: object): unknown =>
    (correctedTrades(exchange, [trade]) as unknown[])[0];

  it.each([
    ['coinbase', { side: 'buy', info: {} }, { side: 'sell' }],
    ['coinone', { side: 'sell', info: {} }, { side: 'buy' }],
    ['coinone', { side: undefined, info: {} }, { side: undefined }],
    ['kucoin', { id: 'x', symbol: 'BTC/USDT', info: { sequence: 7 } }, { id: '7' }],
    ['kucoin', { id: 'x', symbol: 'BTC/USDT', info: { sequence: '' } }, { id: 'x' }],
    ['kucoin', { id: 'x', symbol: 'BTC/USDT:USDT', info: { sequence: 7 } }, { id: 'x' }],
    ['htx', { id: 'x', info: { 'trade-id': 100 } }, { id: '100' }],
    ['bittrade', { id: 'x', info: { tradeId: '101' } }, { id: '101' }],
    ['huobi', { id: 'x', info: {} }, { id: 'x' }],
    ['krakenfutures', { amount: undefined, info: { quantity: '3' } }, { amount: 3 }],
    ['krakenfutures', { amount: 2, info: { quantity: '3' } }, { amount: 2 }],
    ['krakenfutures', { amount: undefined, info: { quantity: 'many' } }, { amount: undefined }],
    ['poloniex', { timestamp: 1, info: { createTime: AT } }, { timestamp: AT }],
    ['poloniex', { timestamp: 1, info: {} }, { timestamp: 1 }],
    ['upbit', { timestamp: 1, info: { trade_timestamp: String(AT) } }, { timestamp: AT }],
    ['upbit', { timestamp: 1, info: {} }, { timestamp: 1 }],
    ['binance', { id: '5', side: 'buy', info: {} }, { id: '5', side: 'buy' }],
  ])('of %s: %j', (exchange, trade, expected) => {
    expect(corrected(exchange, trade)).toEqual({ ...trade, ...expected });
  });

  it('that is none, or a list that is none, is left as it came', () => {
    expect(correctedTrades('coinbase', [null, 'row'])).toEqual([null, 'row']);
    expect(correctedTrades('coinbase', undefined)).toBeUndefined();
  });
});

describe('a ticker', () => {
  it.each([
    ['kraken', { timestamp: undefined, info: { timestamp: '2025-11-27T01:17:50.368Z' } }, AT],
    ['kraken', { timestamp: 5, info: {} }, 5],
    ['kraken', { timestamp: undefined, info: { timestamp: 'soon' } }, undefined],
    ['kraken', { timestamp: undefined, info: {} }, undefined],
    ['krakenfutures', { timestamp: undefined, info: { time: AT } }, AT],
    ['krakenfutures', { timestamp: 5, info: { time: AT } }, 5],
  ])('of %s has the time of the feed: %j', (exchange, ticker, timestamp) => {
    expect(correctedTicker(exchange, ticker)).toMatchObject({ timestamp });
  });

  it('of Hyperliquid has no quotes and no last trade, and in `raw` figures only', () => {
    const info = { name: 'BTC', szDecimals: 5, midPx: '42500', dayNtlVlm: '7' };
    expect(correctedTicker('hyperliquid', { bid: 1, ask: 2, last: 3, info })).toEqual({
      ...{ bid: undefined, ask: undefined, last: undefined },
      info: { midPx: '42500', dayNtlVlm: '7' },
    });
    expect(correctedTicker('hyperliquid', { bid: 1, info: 'text' })).toMatchObject({ info: 'text' });
  });

  it('of Gate has the time of the message around it, as long as the object lives', () => {
    const note = noteOfMessage('gate');
    const result = { last: '42500' };
    note?.({ channel: 'spot.tickers', time_ms: AT, result });
    note?.({ channel: 'spot.tickers', time_ms: AT + 1, result: 'text' });
    note?.({ channel: 'spot.tickers', result: { last: '1' } });
    expect(correctedTicker('gate', { timestamp: 5, info: result })).toEqual({ timestamp: AT, info: result });
    expect(correctedTicker('gate', { timestamp: 5, info: { last: '1' } })).toMatchObject({ timestamp: 5 });
    expect(correctedTicker('gate', 'no ticker')).toBe('no ticker');
    expect(noteOfMessage('binance')).toBeUndefined();
  });

  it('of REST has the time of its answer, and all that it was made of', () => {
    expect(timedTicker('bybit', { timestamp: 5 }, { time: AT })).toEqual({ timestamp: AT });
    expect(timedTicker('bybit', { timestamp: 5 }, {})).toEqual({ timestamp: 5 });
    expect(timedTicker('binance', { timestamp: 5 }, { time: AT })).toEqual({ timestamp: 5 });
    const answer = { trades: [], best_bid: '1', best_ask: '2' };
    expect(timedTicker('coinbase', { last: 3, info: {} }, answer)).toEqual({ last: 3, info: answer });
    expect(timedTicker('coinbase', { last: 3, info: {} }, { trades: [] })).toEqual({ last: 3, info: {} });
    expect(timedTicker('coinbase', undefined, answer)).toBeUndefined();
  });
});

describe('the time of a REST order book', () => {
  it.each([
    ['coinbaseexchange', { time: '2025-11-27T01:17:50.368Z' }, AT],
    ['coinbaseexchange', { time: 'soon' }, 5],
    ['coinbaseexchange', {}, 5],
    // Milliseconds of spot markets, seconds with a fraction of contracts.
    ['gate', { current: AT }, AT],
    ['gateeu', { current: 1764206270.368 }, AT],
    ['gate', { current: '' }, 5],
    ['binance', { time: AT }, 5],
  ])('of %s: %j', (exchange, answer, timestamp) => {
    expect(timedBook(exchange, { timestamp: 5, bids: [] }, answer)).toEqual({ timestamp, bids: [] });
  });
});

describe("Gate's list of markets", () => {
  const corrected = (market: object): unknown => (correctedMarkets('gate', [market]) as unknown[])[0];
  const market = { id: 'SOL_B_USDT', spot: true, symbol: 'SOL/B_USDT', baseId: 'SOL' };

  it('has the base and the quote that the venue names', () => {
    expect(corrected({ ...market, info: { base: 'SOL_B', quote: 'USDT' } })).toMatchObject({
      ...{ symbol: 'SOL_B/USDT', base: 'SOL_B', quote: 'USDT', baseId: 'SOL_B', quoteId: 'USDT' },
    });
  });

  it.each([
    [{ ...market, spot: false, info: { base: 'SOL_B', quote: 'USDT' } }],
    [{ ...market, info: { base: 'SOL_B' } }],
    [{ ...market, info: { quote: 'USDT' } }],
    [{ ...market, baseId: 'SOL_B', info: { base: 'SOL_B', quote: 'USDT' } }],
    [{ ...market, info: { base: 'SOLB', quote: 'USDT' } }],
  ])('is left as it came where CCXT took the same, or the id is made of something else: %j', (row) => {
    expect(corrected(row)).toEqual(row);
  });
});
