import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import {
  byExchangeId,
  createExchangeNames,
  knownExchangeNames,
} from '../../../src/exchanges/exchange-names.js';

const knownIds = [
  'binance',
  'binanceus',
  'bitfinex',
  'coinbase',
  'coinbaseexchange',
  'kraken',
  'krakenfutures',
];
const namesOf = (...enabled: string[]) => createExchangeNames({ enabled, knownIds });
const faultOf = (work: () => unknown): AppError => {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
  }
  throw new Error('no AppError');
};

describe('exchange names', () => {
  it('are told apart from ids in tables: an option for an alias reaches its exchange', () => {
    const options = { coinbasepro: 'alias', kraken: 'id' };
    expect(byExchangeId(options)).toMatchObject({ coinbaseexchange: 'alias', kraken: 'id' });
    expect(byExchangeId({ coinbaseexchange: 'id', ...options })).toMatchObject({ coinbaseexchange: 'id' });
  });

  it('are taken in any case', () => {
    expect(namesOf('binance').resolve('BiNance')).toEqual({ name: 'binance', exchange: 'binance' });
  });

  it.each(['coinbasepro', 'coinbaseexchange'])('enabled as %s enable both names of it', (enabled) => {
    const names = namesOf(enabled);
    expect(names.resolve('coinbasepro')).toEqual({ name: 'coinbasepro', exchange: 'coinbaseexchange' });
    expect(names.resolve('CoinbaseExchange')).toEqual({
      name: 'coinbaseexchange',
      exchange: 'coinbaseexchange',
    });
    expect(names.enabled).toEqual([{ name: enabled, exchange: 'coinbaseexchange' }]);
  });

  it('list each CCXT id once, in the order of the setting', () => {
    expect(namesOf('kraken', 'coinbasepro', 'coinbaseexchange').exchangeIds).toEqual([
      'kraken',
      'coinbaseexchange',
    ]);
  });

  it('that CCXT does not have are unknown, with the nearest ones suggested', () => {
    const error = faultOf(() => namesOf('kraken').resolve('binnance'));
    expect(error).toMatchObject({ code: 'unknown_exchange', status: 400 });
    expect(error.message).toBe('No exchange is called binnance. Did you mean binance, binanceus?');
    expect(error.errors?.[0]?.parameter).toBe('exchange');
    expect(faultOf(() => namesOf('kraken').resolve('krak')).message).toContain('kraken, krakenfutures');
    expect(faultOf(() => namesOf('kraken').resolve('coinbasepr')).message).toContain('coinbasepro');
  });

  it('that resemble none are answered with the enabled ones', () => {
    expect(faultOf(() => namesOf('kraken', 'coinbasepro').resolve('zzzzzzzz')).message).toBe(
      'No exchange is called zzzzzzzz. Enabled here: kraken, coinbasepro.',
    );
  });

  it('that CCXT has but this server has not enabled say so, with those that are', () => {
    const error = faultOf(() => namesOf('kraken', 'coinbasepro').resolve('binance'));
    expect(error.code).toBe('exchange_not_enabled');
    expect(error.message).toContain('kraken, coinbasepro');
    expect(faultOf(() => namesOf('kraken').resolve('coinbasepro')).code).toBe('exchange_not_enabled');
  });

  it('that are not enabled hint at an enabled one that is nearly the same', () => {
    const { message } = faultOf(() => namesOf('kraken', 'coinbasepro').resolve('coinbase'));
    expect(message).toBe(
      'The exchange coinbase is not enabled on this server. Did you mean coinbasepro? Enabled: kraken, coinbasepro.',
    );
    expect(faultOf(() => namesOf('kraken').resolve('binance')).message).not.toContain('Did you mean');
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', ''])(
    'are never looked up in an object: %j is unknown',
    (name) => {
      expect(faultOf(() => namesOf('binance').resolve(name)).code).toBe('unknown_exchange');
    },
  );

  it('that are no names are not repeated in the message', () => {
    for (const name of ['<script>', 'x'.repeat(10_000), 'a b']) {
      const { message } = faultOf(() => namesOf('binance').resolve(name));
      expect(message).toBe('No exchange has that name. Enabled here: binance.');
    }
  });

  it('known to a setting are CCXT’s and the aliases of those', () => {
    expect(knownExchangeNames(knownIds).has('coinbasepro')).toBe(true);
    expect(knownExchangeNames(['kraken']).has('coinbasepro')).toBe(false);
  });
});
