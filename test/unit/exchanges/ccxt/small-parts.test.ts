import { HttpsProxyAgent } from 'https-proxy-agent';
import { describe, expect, it } from 'vitest';
import { createSocketAgents, NO_PROXIES } from '../../../../src/exchanges/ccxt/http/dispatcher.js';
import { toSandboxUrls } from '../../../../src/exchanges/ccxt/instance.js';
import fc from 'fast-check';
import { spotMarket } from '../../../support/markets.js';
import { createSymbolIndex } from '../../../../src/exchanges/ccxt/symbol-search.js';
import { editDistance } from '../../../../src/lib/edit-distance.js';
import { TOLERATED_SKEW_MS, createVenueClock } from '../../../../src/exchanges/ccxt/http/transport.js';
import { isHollow, venueQuirks } from '../../../../src/exchanges/venues/venue-quirks.js';

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

describe('the sandbox’s URLs', () => {
  it('keep host and path behind the sandbox’s own, and leave everything else', () => {
    const urls = {
      logo: 'https://example.com/x.png',
      api: {
        public: 'https://api.binance.com/api/v3',
        ws: { spot: 'wss://stream.binance.com:9443/ws', plain: 'ws://x.test' },
        hosts: ['https://api.{hostname}/v1', 'no url', 7],
      },
      none: undefined,
    };
    expect(toSandboxUrls(urls, 'http://127.0.0.1:9')).toEqual({
      logo: 'http://127.0.0.1:9/example.com/x.png',
      api: {
        public: 'http://127.0.0.1:9/api.binance.com/api/v3',
        ws: { spot: 'ws://127.0.0.1:9/stream.binance.com:9443/ws', plain: 'ws://127.0.0.1:9/x.test' },
        hosts: ['http://127.0.0.1:9/api.{hostname}/v1', 'no url', 7],
      },
      none: undefined,
    });
    expect(toSandboxUrls({ ws: 'wss://a.b/c' }, 'https://box:1')).toEqual({ ws: 'wss://box:1/a.b/c' });
  });
});

describe('agents of WebSocket connections', () => {
  const proxy = {
    https: 'http://proxy:1',
    http: 'http://proxy:2',
    no: 'localhost, .internal.test,exact.test:9443',
  };

  it('go through the proxy of their kind', () => {
    const agents = createSocketAgents(proxy);
    const secure = agents.forUrl('wss://ws.kraken.com/v2');
    expect(secure).toBeInstanceOf(HttpsProxyAgent);
    expect(agents.forUrl('wss://other.test')).toBe(secure);
    expect((agents.forUrl('ws://ws.kraken.com') as HttpsProxyAgent<string>).proxy.port).toBe('2');
    agents.close();
  });

  it.each([
    ['wss://localhost/x', true],
    ['wss://a.internal.test', true],
    ['wss://internal.test', true],
    ['wss://notinternal.test', false],
    ['wss://exact.test:9443', true],
    ['wss://exact.test', false],
  ])('%s avoids it: %s', (url, exempt) => {
    const agents = createSocketAgents(proxy);
    expect(agents.forUrl(url) === undefined).toBe(exempt);
    expect(createSocketAgents({ ...proxy, no: '*' }).forUrl(url)).toBeUndefined();
  });

  it('are plain ones without a proxy, since CCXT dials no ws:// without', () => {
    const agents = createSocketAgents(NO_PROXIES);
    expect(agents.forUrl('wss://ws.kraken.com')).toBeUndefined();
    expect(agents.forUrl('ws://127.0.0.1:1')).toBe(agents.forUrl('ws://127.0.0.1:2'));
    expect(agents.forUrl('ws://127.0.0.1:1')).toBeDefined();
    agents.close();
  });
});

describe('a venue’s clock', () => {
  it('is ours while the two agree as far as can be told', () => {
    const clock = createVenueClock(
      () => 1_000_000,
      () => 7_000,
    );
    clock.observe({}, 1_000_000);
    clock.observe({ date: 'no date' }, 1_000_000);
    clock.observe({ date: new Date(1_001_000).toUTCString() }, 1_000_000);
    expect(clock.now()).toBe(1_000_000);
    expect(clock.toLocal(5)).toBe(5);
  });

  it('is its own where they differ, and ours again when they no longer do', () => {
    const clock = createVenueClock(
      () => 1_000_000,
      () => 7_000,
    );
    clock.observe({ date: new Date(1_060_000).toUTCString() }, 1_000_000);
    expect(clock.now()).toBe(1_060_500);
    expect(clock.toLocal(clock.now())).toBe(1_000_000);
    clock.observe({ date: new Date(1_000_000).toUTCString() }, 1_000_000 + TOLERATED_SKEW_MS);
    expect(clock.now()).toBe(1_000_000);
  });

  it('is that of an answer from a cache plus the time that the answer lay there', () => {
    const clock = createVenueClock(
      () => 1_000_000,
      () => 7_000,
    );
    clock.observe({ date: new Date(950_000).toUTCString(), age: '50' }, 1_000_000);
    expect(clock.now()).toBe(1_000_000);
  });
});

describe.each([3_600_000, -3_600_000])('a wall clock that is set by %i ms', (by) => {
  it('moves a venue’s clock neither before nor after its next answer, and what is ours is told in ours', () => {
    const time = { wall: 1_000_000, elapsed: 7_000 };
    const clock = createVenueClock(
      () => time.wall,
      () => time.elapsed,
    );
    clock.observe({ date: new Date(1_000_000).toUTCString() }, time.wall);
    time.elapsed += 5_000;
    time.wall += 5_000 + by;
    expect(clock.now()).toBe(1_005_000);
    expect(clock.toLocal(clock.now())).toBe(time.wall);
    clock.observe({ date: new Date(1_005_000).toUTCString() }, time.wall);
    expect(clock.now()).toBe(1_005_500);
    expect(clock.toLocal(clock.now())).toBe(time.wall);
  });
});

it('a venue’s clock tells whole milliseconds, however finely durations are measured', () => {
  const clock = createVenueClock(
    () => 1_000_000,
    () => 7_000.123,
  );
  clock.observe({ date: new Date(1_000_000).toUTCString() }, 1_000_000);
  expect(Number.isInteger(clock.now())).toBe(true);
});

describe('the quirks of venues', () => {
  it('know an answer that holds nothing', () => {
    const kraken = venueQuirks('kraken');
    for (const json of [{ error: [] }, { result: {} }, { result: null }, [], null])
      expect(isHollow(kraken, json)).toBe(true);
    expect(isHollow(kraken, { result: { last: 1 } })).toBe(false);
    expect(isHollow(venueQuirks('binance'), [])).toBe(false);
  });
});
