// Whatever a venue lists can be asked for, and a list that fails costs its own markets only.
import { afterEach, describe, expect, it } from 'vitest';
import { withCircuitBreaker } from '../../../src/exchanges/resilience/circuit-breaker.js';
import { silentLog } from '../../../src/log/log.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import {
  reply,
  startFakeVenue,
  type Asked,
  type FakeVenue,
  type FakeVenueOptions,
} from '../../support/fake-venue.js';
import { venueClient, type VenueClient } from '../../support/venue-client.js';

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});

const on = async (
  exchange: string,
  answer: (asked: Asked) => unknown,
  { now, ...feeds }: { now?: () => number } & Pick<FakeVenueOptions, 'onFrame'> = {},
): Promise<VenueClient> => {
  venue = await startFakeVenue({ answer, ...feeds });
  client = venueClient(exchange, venue, { now });
  return client;
};
const markets = async ({ client }: VenueClient, exchange: string) =>
  (await client.markets(exchange, { deadline: steadyNow() + 20_000, priority: 'caller' })).markets;

const gatePair = (base: string) => ({
  id: `${base}_USDT`,
  base,
  quote: 'USDT',
  trade_status: 'tradable',
  amount_precision: 4,
  precision: 6,
});
const gateTicker = (id: string, last: string) => ({ currency_pair: id, last });

describe('symbols of any form', () => {
  it.each(['Tokamak Network/KRW', 'tokamak network/krw', 'KRW-TON'])(
    'upbit: %j is Tokamak Network',
    async (symbol) => {
      const upbit = await on('upbit', ({ path }) =>
        path.endsWith('/market/all')
          ? [{ market: 'KRW-TON', english_name: 'Tokamak Network' }]
          : [{ market: 'KRW-TON', trade_price: 2512, timestamp: 1764206270368 }],
      );
      expect(await upbit.ask({ kind: 'ticker', exchange: 'upbit', symbol })).toMatchObject({
        symbol: 'Tokamak Network/KRW',
        last: 2512,
      });
    },
  );

  it('gate: a base may have an underscore, and the quote is the pair’s own', async () => {
    const gate = await on('gate', ({ path, query }) => {
      if (path.endsWith('/currency_pairs')) return ['GAMECOM_BSC', 'BTC'].map(gatePair);
      return path.endsWith('/spot/tickers') ? [gateTicker(query.get('currency_pair') ?? '', '7')] : [];
    });
    const listed = await markets(gate, 'gate');
    expect(listed.map(({ symbol, id, base, quote }) => [symbol, id, base, quote])).toEqual([
      ['BTC/USDT', 'BTC_USDT', 'BTC', 'USDT'],
      ['GAMECOM_BSC/USDT', 'GAMECOM_BSC_USDT', 'GAMECOM_BSC', 'USDT'],
    ]);
    for (const symbol of ['GAMECOM_BSC/USDT', 'gamecom_bsc/usdt', 'GAMECOM_BSC_USDT'])
      expect(await gate.ask({ kind: 'ticker', exchange: 'gate', symbol })).toMatchObject({
        symbol: 'GAMECOM_BSC/USDT',
        last: 7,
        raw: { currency_pair: 'GAMECOM_BSC_USDT' },
      });
  });

  const RENAMED: [string, string, (asked: Asked) => unknown][] = [
    [
      'bitget',
      'Jade Protocol/USDT',
      ({ path, query }) => {
        const pair = { symbol: 'JADEUSDT', baseCoin: 'JADE', quoteCoin: 'USDT', status: 'online' };
        const scale = { pricePrecision: '6', quantityPrecision: '4', quotePrecision: '6' };
        if (path.endsWith('/spot/public/symbols')) return { code: '00000', data: [{ ...pair, ...scale }] };
        if (!path.endsWith('/spot/market/tickers')) return { code: '00000', data: [] };
        return {
          code: '00000',
          data: [{ symbol: query.get('symbol'), lastPr: '0.25', ts: '1764206270368' }],
        };
      },
    ],
    [
      'bigone',
      'BigONE Token/USDT',
      ({ path }) => {
        const assets = { base_asset: { symbol: 'ONE' }, quote_asset: { symbol: 'USDT' } };
        const scale = { base_scale: 3, quote_scale: 7, min_quote_value: '1', max_quote_value: '9' };
        if (path.endsWith('/asset_pairs'))
          return { code: 0, data: [{ name: 'ONE-USDT', ...assets, ...scale }] };
        if (path.endsWith('/symbols')) return [];
        if (!path.endsWith('/asset_pairs/ONE-USDT/ticker')) return { code: 0, data: [] };
        return { code: 0, data: { asset_pair_name: 'ONE-USDT', close: '0.25' } };
      },
    ],
    [
      'kucoin',
      "FTX Users' Debt/USDT",
      ({ path, query }) => {
        const pair = { symbol: 'FUD-USDT', baseCurrency: 'FUD', quoteCurrency: 'USDT', enableTrading: true };
        if (path.endsWith('/symbols')) return { code: '200000', data: [pair] };
        if (!path.endsWith('/market/stats')) return { code: '200000', data: [] };
        return { code: '200000', data: { time: 1764206270368, symbol: query.get('symbol'), last: '0.25' } };
      },
    ],
  ];
  it.each(RENAMED)('%s: %s, as CCXT calls it, is listed and can be asked for', async (id, symbol, answer) => {
    const here = await on(id, answer);
    expect((await markets(here, id)).map((market) => market.symbol)).toEqual([symbol]);
    for (const asked of [symbol, symbol.toLowerCase()])
      expect(await here.ask({ kind: 'ticker', exchange: id, symbol: asked })).toMatchObject({
        symbol,
        last: 0.25,
      });
  });

  it('hyperliquid: a market of a foreign dex has a hyphen in its base', async () => {
    const hyperliquid = await on('hyperliquid', ({ body }) => {
      const { type, dex } = JSON.parse(body) as { type: string; dex?: string };
      const universe = [{ szDecimals: 3, name: 'xyz:TSLA', maxLeverage: 10 }];
      if (type === 'perpDexs') return [null, { name: 'xyz' }];
      if (type === 'l2Book')
        return {
          coin: 'xyz:TSLA',
          time: 1764206270368,
          levels: [[{ px: '430.1', sz: '1' }], [{ px: '430.2', sz: '2' }]],
        };
      if (type === 'metaAndAssetCtxs')
        return dex === 'xyz'
          ? [{ universe, collateralToken: 0 }, [{ markPx: '430' }]]
          : [{ universe: [] }, []];
      return type.startsWith('spotMeta')
        ? [{ universe: [], tokens: [{ name: 'USDC', index: 0 }] }, []]
        : { universe: [], tokens: [{ name: 'USDC', index: 0 }] };
    });
    expect(
      await hyperliquid.ask({
        kind: 'orderbook',
        exchange: 'hyperliquid',
        symbol: 'XYZ-TSLA/USDC:USDC',
        limit: 5,
      }),
    ).toMatchObject({
      symbol: 'XYZ-TSLA/USDC:USDC',
      bids: [{ price: 430.1, amount: 1 }],
      asks: [{ price: 430.2, amount: 2 }],
      timestamp: 1764206270368,
    });
  });
});

describe('two markets under one unified symbol', () => {
  it.each([
    ['first', ['BOX', 'DEFIBOX']],
    ['last', ['DEFIBOX', 'BOX']],
  ])('are told apart by their ids where the renamed one is %s', async (_, bases) => {
    const gate = await on('gate', ({ path, query }) => {
      if (path.endsWith('/currency_pairs')) return bases.map(gatePair);
      if (!path.endsWith('/spot/tickers')) return [];
      const id = query.get('currency_pair') ?? '';
      return [gateTicker(id, id === 'BOX_USDT' ? '0.9' : '0.0003')];
    });
    const listed = await markets(gate, 'gate');
    expect(listed.map(({ symbol, id, base }) => ({ symbol, id, base }))).toEqual([
      { symbol: 'BOX_USDT', id: 'BOX_USDT', base: 'DEFIBOX' },
      { symbol: 'DEFIBOX_USDT', id: 'DEFIBOX_USDT', base: 'DEFIBOX' },
    ]);
    const ticker = { kind: 'ticker', exchange: 'gate' } as const;
    expect(await gate.ask({ ...ticker, symbol: 'BOX_USDT' })).toMatchObject({
      symbol: 'BOX_USDT',
      last: 0.9,
    });
    expect(await gate.ask({ ...ticker, symbol: 'DEFIBOX_USDT' })).toMatchObject({ last: 0.0003 });
    expect(await gate.refusal({ ...ticker, symbol: 'DEFIBOX/USDT' })).toMatchObject({
      code: 'symbol_not_found',
      message: 'DEFIBOX/USDT is ambiguous on gate. Did you mean BOX_USDT, DEFIBOX_USDT?',
    });
  });

  it('the one that is traded keeps the name where the other is halted', async () => {
    const gate = await on('gate', ({ path }) => {
      if (path.endsWith('/currency_pairs'))
        return [{ ...gatePair('BOX'), trade_status: 'untradable' }, gatePair('DEFIBOX')];
      return path.endsWith('/spot/tickers') ? [gateTicker('DEFIBOX_USDT', '0.0003')] : [];
    });
    expect(await gate.ask({ kind: 'ticker', exchange: 'gate', symbol: 'DEFIBOX/USDT' })).toMatchObject({
      symbol: 'DEFIBOX/USDT',
      last: 0.0003,
    });
  });
});

describe('a venue with several lists of markets', () => {
  const page = { body: '<html>', headers: { 'content-type': 'text/html' } };
  const html = reply({ ...page, status: 503 });
  const ofGate = ({ path }: Asked): unknown => {
    if (path.endsWith('/currency_pairs')) return [gatePair('BTC')];
    if (path.endsWith('/spot/tickers')) return [gateTicker('BTC_USDT', '42500')];
    return path.includes('/options/') ? html : [];
  };
  const ofBybit = ({ path, query }: Asked): unknown => {
    const list = [
      { symbol: 'BTCUSDT', baseCoin: 'BTC', quoteCoin: 'USDT', status: 'Trading', lastPrice: '42500' },
    ];
    const category = query.get('category');
    if (path.endsWith('/instruments-info') && category === 'inverse') return reply({ ...page, status: 500 });
    return { retCode: 0, result: { category, list: category === 'spot' ? list : [] } };
  };
  const ofHtx = ({ path }: Asked): unknown => {
    if (path.includes('hbdm')) return 'drop';
    if (path.endsWith('/symbols'))
      return {
        status: 'ok',
        data: [{ symbol: 'btcusdt', 'base-currency': 'btc', 'quote-currency': 'usdt', state: 'online' }],
      };
    return { status: 'ok', ts: 1764206270368, data: [], tick: { close: 42500, bid: [1, 1], ask: [2, 1] } };
  };

  it.each([
    ['gate', ofGate],
    ['bybit', ofBybit],
    ['htx', ofHtx],
  ])('%s: serves spot while another list fails', async (exchange, answer) => {
    const here = await on(exchange, answer);
    expect((await markets(here, exchange)).map(({ symbol }) => symbol)).toEqual(['BTC/USDT']);
    expect(await here.ask({ kind: 'ticker', exchange, symbol: 'BTC/USDT' })).toMatchObject({ last: 42500 });
    // Nobody knows what the list that failed holds.
    expect(await here.refusal({ kind: 'ticker', exchange, symbol: 'BTC/USD:BTC' })).toMatchObject({
      status: 503,
    });
  });

  it('symbols that no list has do not close it to those that one has', async () => {
    const here = await on('gate', ofGate);
    const gate = withCircuitBreaker(here.client, { now: steadyNow, log: silentLog });
    const ask = (symbol: string) =>
      gate.fetch(
        { kind: 'ticker', exchange: 'gate', symbol },
        { deadline: steadyNow() + 20_000, priority: 'caller' },
      );
    for (let index = 0; index < 12; index += 1)
      await expect(ask(`NO${index}/USDT`)).rejects.toMatchObject({
        code: 'upstream_unavailable',
        message: "Some of gate's lists of markets could not be loaded.",
        retryable: true,
        retryAfterMs: 60_000,
      });
    expect(await ask('BTC/USDT')).toMatchObject({ symbol: 'BTC/USDT' });
  });

  it('htx: serves spot while its other lists are empty', async () => {
    const here = await on('htx', (asked) =>
      asked.path.includes('hbdm') ? { status: 'ok', data: [] } : ofHtx(asked),
    );
    expect(await here.ask({ kind: 'ticker', exchange: 'htx', symbol: 'BTC/USDT' })).toMatchObject({
      last: 42500,
    });
  });

  it('fails as a whole where no list came', async () => {
    const here = await on('gate', () => html);
    expect(await here.refusal({ kind: 'ticker', exchange: 'gate', symbol: 'BTC/USDT' })).toMatchObject({
      code: 'upstream_unavailable',
    });
  });

  it('kraken: has no markets without the list that names their currencies', async () => {
    const here = await on('kraken', ({ path }) =>
      path.endsWith('/Assets')
        ? html
        : {
            error: [],
            result: { XXBTZUSD: { altname: 'XBTUSD', wsname: 'XBT/USD', base: 'XXBT', quote: 'ZUSD' } },
          },
    );
    expect(await here.refusal({ kind: 'ticker', exchange: 'kraken', symbol: 'BTC/USD' })).toMatchObject({
      code: 'upstream_unavailable',
    });
  });

  it('gemini: is not asked for its web page', async () => {
    const here = await on('gemini', ({ path }) =>
      path.endsWith('/symbols')
        ? ['btcusd']
        : {
            symbol: 'BTCUSD',
            base_currency: 'BTC',
            quote_currency: 'USD',
            status: 'open',
            tick_size: 1e-8,
            quote_increment: 0.01,
          },
    );
    await markets(here, 'gemini');
    expect(venue?.requests.filter(({ path }) => path.startsWith('/exchange.gemini.com'))).toEqual([]);
  });
});

describe('a list that has changed', () => {
  const symbol = (base: string, status = 'TRADING') => ({
    symbol: `${base}USDT`,
    status,
    baseAsset: base,
    quoteAsset: 'USDT',
    permissionSets: [['SPOT']],
    filters: [],
  });

  it('a new listing is found within a minute, and a halted market says so', async () => {
    let ahead = 0;
    const now = (): number => Date.now() + ahead;
    let symbols = [symbol('BTC'), symbol('OLD')];
    const here = await on(
      'binance',
      ({ path }) => {
        if (path.endsWith('/exchangeInfo')) return { symbols };
        return path.endsWith('/ticker/24hr')
          ? { symbol: 'NEWUSDT', lastPrice: '7', closeTime: now() }
          : undefined;
      },
      { now },
    );
    const ticker = { kind: 'ticker', exchange: 'binance', symbol: 'NEW/USDT' } as const;
    expect(await here.refusal(ticker)).toMatchObject({ code: 'symbol_not_found' });
    symbols = [symbol('BTC'), symbol('OLD', 'BREAK'), symbol('NEW')];
    ahead += 30_000;
    expect(await here.refusal(ticker)).toMatchObject({ code: 'symbol_not_found' });
    expect(venue?.requests).toHaveLength(1);
    ahead += 30_000;
    expect(await here.ask(ticker)).toMatchObject({ symbol: 'NEW/USDT', last: 7 });
    const listed = await here.client.markets('binance', { deadline: now() + 20_000, priority: 'caller' });
    expect(listed.markets.find(({ id }) => id === 'OLDUSDT')).toMatchObject({ active: false });
  });

  it('a new listing has a feed as well, beside feeds that were open before', async () => {
    let ahead = 0;
    const now = (): number => Date.now() + ahead;
    let ids = ['AAA'];
    const pair = (id: string) => ({
      ...{ altname: `${id}USD`, wsname: `${id}/USD`, base: id, quote: 'ZUSD', status: 'online' },
      ...{ pair_decimals: 5, lot_decimals: 8 },
    });
    const here = await on(
      'kraken',
      ({ path }) => ({
        error: [],
        result: Object.fromEntries(
          path.endsWith('/Assets')
            ? [...ids, 'ZUSD'].map((id) => [id, { altname: id.replace(/^Z/, ''), decimals: 8 }])
            : ids.map((id) => [`${id}USD`, pair(id)]),
        ),
      }),
      {
        now,
        onFrame: (frame, socket) => {
          const { params } = frame as { params: { symbol: string[] } };
          for (const symbol of params.symbol)
            socket.send(JSON.stringify({ channel: 'ticker', type: 'snapshot', data: [{ symbol, last: 7 }] }));
        },
      },
    );
    const watch = (symbol: string) => here.watch({ channel: 'ticker', exchange: 'kraken', symbol });
    expect(await watch('AAA/USD').item(1)).toMatchObject({ last: 7 });
    ids = ['AAA', 'NEW'];
    ahead += 60_000;
    expect(await watch('NEW/USD').item(1)).toMatchObject({ last: 7 });
  });
});

describe('what a venue does not offer without a key', () => {
  it('hyperliquid: trades over REST, which is said before anybody asks', async () => {
    const here = await on('hyperliquid', () => undefined);
    expect((await here.client.describe('hyperliquid')).capabilities).toMatchObject({
      trades: false,
      stream: 'websocket',
    });
    const trades = { kind: 'trades', exchange: 'hyperliquid', symbol: 'BTC/USDC:USDC', limit: 5 } as const;
    expect(await here.refusal(trades)).toMatchObject({ code: 'not_supported_by_exchange' });
    expect(venue?.requests).toEqual([]);
  });
});
