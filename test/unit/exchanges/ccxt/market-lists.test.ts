import { describe, expect, it } from 'vitest';
import { normalizeMarkets } from '../../../../src/exchanges/ccxt/market-lists.js';

const NOW = Date.UTC(2026, 0, 14);
const receipt = { exchange: 'kraken', now: NOW };
const refused = expect.objectContaining({ code: 'upstream_bad_response', upstream: { exchange: 'kraken' } });

const NOTHING = { settle: null, price_step: null, amount_step: null, contract_size: null };
/** CCXT's base/functions/number. */
const [DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE] = [2, 3, 4];

describe('markets', () => {
  it('are sorted by symbol, with what is not given as null', () => {
    const markets = {
      b: { symbol: 'ETH/USD', base: 'ETH', quote: 'USD', type: 'swap', active: false },
      a: { symbol: 'BTC/USD', base: 'BTC', active: undefined },
      c: { symbol: '', base: 'X' },
      d: null,
      e: { symbol: 'ETH/USD:USD', base: 7 },
    };
    expect(normalizeMarkets(markets, receipt)).toEqual([
      { ...NOTHING, symbol: 'BTC/USD', id: 'BTC/USD', base: 'BTC', quote: '', type: 'spot', active: null },
      {
        ...NOTHING,
        symbol: 'ETH/USD',
        id: 'ETH/USD',
        base: 'ETH',
        quote: 'USD',
        type: 'swap',
        active: false,
      },
    ]);
  });

  it('have the venue’s id, steps and contract size, however CCXT writes steps', () => {
    const perpetual = {
      symbol: 'BTC/USDT:USDT',
      id: 'BTC_USDT',
      base: 'BTC',
      quote: 'USDT',
      settle: 'USDT',
      type: 'swap',
      active: true,
      contract: true,
      contractSize: 0.0001,
      precision: { price: 0.1, amount: 1 },
    };
    const expected = {
      symbol: 'BTC/USDT:USDT',
      id: 'BTC_USDT',
      base: 'BTC',
      quote: 'USDT',
      settle: 'USDT',
      type: 'swap',
      active: true,
      price_step: 0.1,
      amount_step: 1,
      contract_size: 0.0001,
    };
    expect(normalizeMarkets({ perpetual }, receipt, TICK_SIZE)).toEqual([expected]);
    const decimals = { ...perpetual, precision: { price: 1, amount: 0 } };
    expect(normalizeMarkets({ decimals }, receipt, DECIMAL_PLACES)).toEqual([expected]);
    const digits = { ...perpetual, precision: { price: 5, amount: 8 } };
    expect(normalizeMarkets({ digits }, receipt, SIGNIFICANT_DIGITS)).toMatchObject([
      { price_step: null, amount_step: null },
    ]);
    const spot = { symbol: 'BTC/USDT', base: 'BTC', contract: false, contractSize: 1 };
    expect(normalizeMarkets({ spot }, receipt)).toMatchObject([{ contract_size: null, settle: null }]);
  });

  it('never have a currency that the venue left out', () => {
    const named = { symbol: 'ETH/USD', base: 'ETH', quote: 'USD' };
    const markets = [
      { symbol: 'ETH/undefined:undefined', base: 'ETH' },
      { symbol: 'undefined/USD', base: 'undefined' },
      { symbol: 'ETH/USD:undefined-260327', base: 'ETH' },
    ];
    for (const market of markets)
      expect(normalizeMarkets({ market, named }, receipt).map(({ symbol }) => symbol)).toEqual(['ETH/USD']);
    const coin = { symbol: 'UNDEFINED/USD', base: 'UNDEFINED' };
    expect(normalizeMarkets({ coin }, receipt)).toHaveLength(1);
  });

  it.each([undefined, {}, [], { a: {} }])('%j are none', (value) => {
    expect(() => normalizeMarkets(value, receipt)).toThrow(refused);
  });
});
