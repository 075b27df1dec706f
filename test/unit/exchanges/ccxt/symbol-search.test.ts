import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSymbolIndex } from '../../../../src/exchanges/ccxt/symbol-search.js';
import { editDistance } from '../../../../src/lib/edit-distance.js';
import { spotMarket } from '../../../support/markets.js';

const market = (symbol: string) => spotMarket(symbol);

const RENAMED_CODES = new Set([
  'BCC',
  'EOS',
  'FTM',
  'MKR',
  'UST',
  'XBT',
  'XDG',
  'LUNA',
  'LEND',
  'MATIC',
  'NANO',
  'KLAY',
  'RNDR',
]);

describe('finding a symbol', () => {
  const index = createSymbolIndex([
    ...['BTC/USDT', 'BTC/USDC', 'BTC/EUR', 'ETH/USDT', 'kBONK/USDC:USDC', 'SOL/USDT'].map(market),
    spotMarket('BTC/USDT:USDT', { id: 'BTCUSDT' }),
    ...['Tokamak Network/KRW', "FTX Users' Debt/USDT", 'GAMECOM_BSC/USDT', 'XYZ-TSLA/USDC:USDC'].map(market),
    ...['币安人生/USDT', 'bıt/usdt', 'POL/USDT'].map(market),
    spotMarket('wBTC/USDT', { id: 'WBTC1' }),
    spotMarket('WBTC/USDT', { id: 'WBTC2' }),
  ]);

  it.each([
    ['BTC/USDT', 'BTC/USDT'],
    ['btc/usdt:usdt', 'BTC/USDT:USDT'],
    ['KBONK/USDC:USDC', 'kBONK/USDC:USDC'],
    ['btc-usdt', 'BTC/USDT'],
    ['BTC_USDT:USDT', 'BTC/USDT:USDT'],
    [' eth/usdt ', 'ETH/USDT'],
    ['tokamak network/krw', 'Tokamak Network/KRW'],
    ['Tokamak Network/KRW', 'Tokamak Network/KRW'],
    ["FTX Users' Debt/USDT", "FTX Users' Debt/USDT"],
    ['GAMECOM_BSC/USDT', 'GAMECOM_BSC/USDT'],
    ['gamecom_bsc_usdt', 'GAMECOM_BSC/USDT'],
    ['XYZ-TSLA/USDC:USDC', 'XYZ-TSLA/USDC:USDC'],
    ['xyz-tsla-usdc:usdc', 'XYZ-TSLA/USDC:USDC'],
    ['币安人生-usdt', '币安人生/USDT'],
    ['bıt/usdt', 'bıt/usdt'],
    ['SOLUSDT', 'SOL/USDT'],
    ['solusdt', 'SOL/USDT'],
    ['wBTC/USDT', 'wBTC/USDT'],
    ['WBTC/USDT', 'WBTC/USDT'],
  ])('takes %j for %s', (text, symbol) => {
    expect(index.resolve(text).symbols).toEqual([symbol]);
  });

  it('says all that a text may mean where it means several', () => {
    expect(index.resolve('wbtc/usdt').symbols).toEqual(['wBTC/USDT', 'WBTC/USDT']);
    expect(index.resolve('BTCUSDT').symbols).toEqual(['BTC/USDT', 'BTC/USDT:USDT']);
    const shared = createSymbolIndex(
      [market('BOX_USDT'), market('DEFIBOX_USDT')],
      new Map([['DEFIBOX/USDT', ['BOX_USDT', 'DEFIBOX_USDT']]]),
    );
    expect(shared.resolve('defibox-usdt').symbols).toEqual(['BOX_USDT', 'DEFIBOX_USDT']);
    expect(shared.resolve('BOX_USDT').symbols).toEqual(['BOX_USDT']);
  });

  it.each(['constructor', '__proto__', 'toString', '', 'NOPEUSDT', 'BTC'])(
    'finds nothing for %j',
    (symbol) => {
      expect(index.resolve(symbol).symbols).toEqual([]);
    },
  );

  it('suggests the pairs of a known base, the likest quote first', () => {
    expect(index.nearest('BTC/USDX')).toEqual(['BTC/USDC', 'BTC/USDT', 'BTC/EUR']);
    // Two letters swapped are one typing error: USTD is nearer to USDT than to USDC.
    expect(index.nearest('BTC/USTD')).toEqual(['BTC/USDT', 'BTC/USDC', 'BTC/EUR']);
  });

  it('suggests the likest bases, and nothing for what is like nothing', () => {
    expect(index.nearest('BTX/USDT')[0]).toBe('BTC/USDT');
    expect(index.nearest('SOLL/USDT')[0]).toBe('SOL/USDT');
    expect(index.nearest('MATIC/USDT')).toEqual(['POL/USDT']);
    expect(index.nearest('BTC')[0]).toBe('BTC/EUR');
    expect(index.nearest('btc-usdx')[0]).toBe('BTC/USDC');
    expect(index.nearest('ZZZZZZZZ/QQQ')).toEqual([]);
    expect(index.nearest('')).toEqual([]);
  });

  it('finds a market without an id of its own by its symbol', () => {
    const plain = createSymbolIndex([{ symbol: 'BTC/USDT', base: 'BTC' }]);
    expect(plain.resolve('btc/usdt').symbols).toEqual(['BTC/USDT']);
    expect(plain.resolve('BTCUSDT').symbols).toEqual([]);
  });

  it('compares four thousand bases at most, so that no text costs more', () => {
    const letters = ['A', 'B', 'C', 'D', 'E'];
    // Of the same letters as what is asked for, six edits away.
    const bases = Array.from({ length: 4000 }, (_, index) =>
      Array.from({ length: 6 }, (_letter, place) => letters[Math.floor(index / 5 ** place) % 5]).join(''),
    );
    const near = market('ABCDEABCDEA/USDT');
    const far = bases.map((base) => market(`${base}/USDT`));
    const asked = 'ABCDEABCDEAB/USDT';
    expect(createSymbolIndex([near, ...far]).nearest(asked)).toEqual(['ABCDEABCDEA/USDT']);
    expect(createSymbolIndex([...far, near]).nearest(asked)).toEqual([]);
  });

  it('overlooks no base within two edits', () => {
    const text = fc.stringMatching(/^[A-Z0-9]{1,10}$/);
    fc.assert(
      fc.property(text, text, (known, asked) => {
        fc.pre(known !== asked);
        fc.pre(!RENAMED_CODES.has(asked));
        const one = createSymbolIndex([market(`${known}/USDT`)]);
        const near = editDistance(known, asked) <= 2;
        expect(one.nearest(`${asked}/USDT`)).toEqual(near ? [`${known}/USDT`] : []);
      }),
      { numRuns: 2000 },
    );
  });

  it('measures distance, and gives up early where there is too much of it', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
    expect(editDistance('abc', 'abc')).toBe(0);
    expect(editDistance('abc', 'xyz', 2)).toBe(Infinity);
    expect(editDistance('a', 'abcdef', 2)).toBe(Infinity);
  });
});
