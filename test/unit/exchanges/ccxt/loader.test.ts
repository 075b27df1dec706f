import ccxt from 'ccxt';
import { describe, expect, it } from 'vitest';
import {
  findModules,
  listExchangeIds,
  loadExchangeClass,
  loadFromPackage,
} from '../../../../src/exchanges/ccxt/loader.js';

const NOTHING = { modules: new Map<string, URL>() };

describe('the exchanges of CCXT', () => {
  it('are those of its directory, which are those of its own list', () => {
    expect(listExchangeIds()).toEqual([...ccxt.exchanges].sort());
  });

  it('come from its own list where the files have moved', () => {
    expect(findModules('file:///no/such/place/ccxt.js').modules.size).toBe(0);
    expect(listExchangeIds(NOTHING)).toEqual([...ccxt.exchanges].sort());
  });

  it('are loaded one by one, with feeds where there are any, and are CCXT’s very own classes', async () => {
    expect(await loadExchangeClass('kraken')).toBe(ccxt.pro.kraken);
    expect(await loadExchangeClass('coinmate')).toBe(ccxt.coinmate);
    expect(await loadExchangeClass('kraken', NOTHING)).toBe(ccxt.pro.kraken);
    expect(await loadFromPackage('coinmate')).toBe(ccxt.coinmate);
  });

  it('come whole where a module holds no exchange', async () => {
    const modules = new Map([['kraken', new URL('data:text/javascript,export default class {}')]]);
    expect(await loadExchangeClass('kraken', { modules })).toBe(ccxt.pro.kraken);
  });

  it.each([
    'constructor',
    '__proto__',
    'toString',
    'Exchange',
    'sleep',
    'NetworkError',
    'version',
    '../kraken',
    'abstract',
    '',
  ])('never include %j', async (id) => {
    await expect(loadExchangeClass(id)).rejects.toMatchObject({ code: 'unknown_exchange' });
    await expect(loadFromPackage(id)).rejects.toMatchObject({ code: 'unknown_exchange' });
  });
});
