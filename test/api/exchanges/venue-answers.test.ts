// What venues say in their documented form is what a caller reads, also where CCXT makes something else of it.
import { afterEach, describe, expect, it } from 'vitest';
import { startFakeVenue, type FakeVenue, type FakeVenueOptions } from '../../support/fake-venue.js';
import { venueClient, type VenueClient } from '../../support/venue-client.js';

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});

const on = async (exchange: string, options: FakeVenueOptions): Promise<VenueClient> => {
  venue = await startFakeVenue(options);
  client = venueClient(exchange, venue);
  return client;
};

const TIME = Date.UTC(2025, 2, 4, 5, 6, 7, 891);

describe('hyperliquid, which gives neither a last trade nor quotes', () => {
  const context = {
    midPx: '14.314',
    impactPxs: ['14.3047', '14.3444'],
    markPx: '14.3161',
    prevDayPx: '15.3',
  };
  const spotContext = { midPx: '0.2268', markPx: '0.22695', prevDayPx: '0.2108', coin: 'PURR/USDC' };
  const token = (name: string, index: number) => ({
    name,
    index,
    szDecimals: 2,
    weiDecimals: 8,
    tokenId: `0x${index}`,
  });
  const answer: FakeVenueOptions['answer'] = ({ body }) => {
    const { type } = JSON.parse(body) as { type: string };
    if (type === 'metaAndAssetCtxs')
      return [{ universe: [{ name: 'BTC', szDecimals: 5, maxLeverage: 50 }] }, [context]];
    if (type === 'spotMetaAndAssetCtxs')
      return [
        {
          universe: [{ tokens: [1, 0], name: 'PURR/USDC', index: 0, isCanonical: true }],
          tokens: [token('USDC', 0), token('PURR', 1)],
        },
        [spotContext],
      ];
    return type === 'perpDexs' ? [null] : undefined;
  };

  it.each([
    ['BTC/USDC:USDC', context],
    ['PURR/USDC', spotContext],
  ])('%s: the ticker is null but for raw, which is the venue’s own object', async (symbol, raw) => {
    const caller = await on('hyperliquid', { answer });
    const ticker = await caller.ask({ kind: 'ticker', exchange: 'hyperliquid', symbol });
    expect(ticker).toMatchObject({ bid: null, ask: null, last: null });
    expect(ticker.raw).toEqual(raw);
  });

  it.each([
    ['BTC/USDC:USDC', 'metaAndAssetCtxs'],
    ['PURR/USDC', 'spotMetaAndAssetCtxs'],
  ])('%s: a ticker costs one request, for the list that has it', async (symbol, type) => {
    const caller = await on('hyperliquid', { answer });
    const ticker = { kind: 'ticker', exchange: 'hyperliquid', symbol } as const;
    await caller.ask(ticker);
    const before = venue?.requests.length ?? 0;
    await caller.ask(ticker);
    expect(venue?.requests.slice(before).map(({ body }) => JSON.parse(body) as object)).toEqual([{ type }]);
  });
});

describe('krakenfutures', () => {
  const instrument = (symbol: string, type: string) => ({
    ...{ symbol, type, tradeable: true, tickSize: 0.5, contractSize: 1 },
    ...{ base: 'BTC', quote: 'USD', underlying: 'rr_xbtusd' },
  });
  const instruments = [
    instrument('PI_XBTUSD', 'futures_inverse'),
    instrument('PF_XBTUSD', 'flexible_futures'),
  ];
  const side = (direction: string, uid: string) => ({
    uid,
    tradeable: 'PI_XBTUSD',
    direction,
    quantity: '0.0006',
  });
  const execution = {
    uid: 'e-1',
    makerOrder: side('Buy', 'o-1'),
    takerOrder: side('Sell', 'o-2'),
    timestamp: TIME,
    quantity: '0.0006',
    price: '90771',
  };
  const answer: FakeVenueOptions['answer'] = ({ path }) => {
    if (path.endsWith('/instruments')) return { result: 'success', instruments };
    if (path.endsWith('/executions'))
      return { elements: [{ uid: 'x', timestamp: TIME, event: { Execution: { execution } } }] };
    return undefined;
  };

  it.each(['BTC/USD:BTC', 'BTC/USD:USD'])(
    '%s: a trade has the amount that the venue gives',
    async (symbol) => {
      const caller = await on('krakenfutures', { answer });
      const { trades } = await caller.ask({ kind: 'trades', exchange: 'krakenfutures', symbol, limit: 5 });
      expect(trades).toEqual([
        { trade_id: 'e-1', timestamp: TIME, price: 90771, amount: 0.0006, side: 'sell' },
      ]);
    },
  );

  it('a ticker of the feed has its own time', async () => {
    const message = {
      feed: 'ticker',
      product_id: 'PI_XBTUSD',
      time: TIME,
      bid: 1,
      ask: 3,
      last: 2,
      pair: 'XBT:USD',
    };
    const caller = await on('krakenfutures', {
      answer,
      onFrame: (_, socket) => socket.send(JSON.stringify(message)),
    });
    const feed = caller.watch({ channel: 'ticker', exchange: 'krakenfutures', symbol: 'BTC/USD:BTC' });
    const item = await feed.item(1);
    expect(item).toMatchObject({ bid: 1, ask: 3, last: 2, timestamp: TIME });
    expect(item).not.toHaveProperty('untimed');
  });
});

describe('bitfinex', () => {
  it('an order book lists prices with their sums, not single orders', async () => {
    const caller = await on('bitfinex', {
      answer: ({ path }) => {
        if (path.includes('pub:info:pair'))
          return [[['BTCUSD', [null, null, null, '0.0001', '100']]], [], [], []];
        if (path.includes('/conf/')) return [['BTC', 'USD'], ...Array.from({ length: 10 }, () => [])];
        // P0: [price, number of orders, amount]; R0 would be [order, price, amount].
        return path.endsWith('/book/tBTCUSD/P0')
          ? [
              [8744.9, 2, 0.45],
              [8745.1, 1, -0.2],
            ]
          : undefined;
      },
    });
    const book = await caller.ask({ kind: 'orderbook', exchange: 'bitfinex', symbol: 'BTC/USD', limit: 25 });
    expect(book).toMatchObject({
      bids: [{ price: 8744.9, amount: 0.45 }],
      asks: [{ price: 8745.1, amount: 0.2 }],
    });
  });
});

describe('coinbase', () => {
  it('a ticker’s raw holds the bid and ask that it names', async () => {
    const product = {
      ...{ product_id: 'BTC-USD', base_currency_id: 'BTC', quote_currency_id: 'USD', product_type: 'SPOT' },
      ...{ base_increment: '0.00000001', quote_increment: '0.01', price_increment: '0.01', status: 'online' },
    };
    const trade = { trade_id: '9', product_id: 'BTC-USD', price: '68923.67', size: '1', side: 'SELL' };
    const answered = {
      trades: [{ ...trade, time: new Date(TIME).toISOString() }],
      best_bid: '68923.66',
      best_ask: '68923.67',
    };
    const caller = await on('coinbase', {
      answer: ({ path, query }) => {
        if (path.endsWith('/products'))
          return { products: query.get('product_type') === 'FUTURE' ? [] : [product] };
        return path.endsWith('/ticker') ? answered : { data: {} };
      },
    });
    const ticker = await caller.ask({ kind: 'ticker', exchange: 'coinbase', symbol: 'BTC/USD' });
    expect(ticker).toMatchObject({ bid: 68923.66, ask: 68923.67, last: 68923.67, timestamp: TIME });
    expect(ticker.raw).toEqual(answered);
  });
});

describe('coinone', () => {
  it('a trade whose seller was the maker was a purchase', async () => {
    const market = { target_currency: 'BTC', quote_currency: 'KRW', trade_status: 1, maintenance_status: 0 };
    const row = (id: string, is_seller_maker: boolean) => ({
      id,
      timestamp: TIME,
      price: '100',
      qty: '2',
      is_seller_maker,
    });
    const caller = await on('coinone', {
      answer: ({ path }) => {
        if (path.includes('/trades/'))
          return { result: 'success', transactions: [row('1', true), row('2', false)] };
        if (path.includes('/markets/')) return { result: 'success', markets: [market] };
        return { result: 'success', tickers: [market], currencies: [] };
      },
    });
    const { trades } = await caller.ask({ kind: 'trades', exchange: 'coinone', symbol: 'BTC/KRW', limit: 5 });
    expect(trades).toMatchObject([
      { trade_id: '1', side: 'buy' },
      { trade_id: '2', side: 'sell' },
    ]);
  });
});

describe('gate', () => {
  const contract = {
    ...{ name: 'BTC_USDT', type: 'direct', quanto_multiplier: '0.0001', in_delisting: false },
    ...{ order_price_round: '0.1', order_size_min: 1, order_size_max: 10, mark_price_round: '0.01' },
  };
  const pair = { id: 'BTC_USDT', base: 'BTC', quote: 'USDT', trade_status: 'tradable', precision: 1 };
  const answer: FakeVenueOptions['answer'] = ({ path }) => {
    if (path.endsWith('/spot/currency_pairs')) return [{ ...pair, amount_precision: 4 }];
    if (path.endsWith('/futures/usdt/contracts')) return [contract];
    if (path.endsWith('/futures/usdt/order_book'))
      return {
        current: TIME / 1000,
        update: TIME / 1000 - 1,
        asks: [{ p: '3', s: 1 }],
        bids: [{ p: '2', s: 1 }],
      };
    return [];
  };

  it('a contract’s order book has its time to the millisecond', async () => {
    const caller = await on('gate', { answer });
    const book = await caller.ask({ kind: 'orderbook', exchange: 'gate', symbol: 'BTC/USDT:USDT', limit: 5 });
    expect(book).toMatchObject({ bids: [{ price: 2, amount: 1 }], timestamp: TIME });
  });

  it('tickers of the feed have the time of their message', async () => {
    const message = (last: string, time_ms: number) => ({
      ...{ time: Math.floor(time_ms / 1000), time_ms, channel: 'spot.tickers', event: 'update' },
      result: { currency_pair: 'BTC_USDT', last, lowest_ask: '3', highest_bid: '1' },
    });
    const caller = await on('gate', {
      answer,
      onFrame: (_, socket) => {
        for (const sent of [message('2', TIME), message('2.5', TIME + 7)]) socket.send(JSON.stringify(sent));
      },
    });
    const feed = caller.watch({ channel: 'ticker', exchange: 'gate', symbol: 'BTC/USDT' });
    const { items } = feed;
    await feed.item(1);
    await expect.poll(() => items.at(-1)).toMatchObject({ last: 2.5, timestamp: TIME + 7 });
    expect(items.every((item) => !('untimed' in item))).toBe(true);
  });
});

describe('the time of a trade is when it was done, not when it was sent', () => {
  it('poloniex: over REST', async () => {
    const market = {
      ...{ symbol: 'BTC_USDT', baseCurrencyName: 'BTC', quoteCurrencyName: 'USDT', state: 'NORMAL' },
      symbolTradeLimit: { symbol: 'BTC_USDT', priceScale: 2, quantityScale: 6 },
    };
    const trade = { id: '7', price: '2', quantity: '3', takerSide: 'BUY', createTime: TIME, ts: TIME + 20 };
    const caller = await on('poloniex', {
      answer: ({ path }) => {
        if (path.endsWith('/markets')) return [market];
        return path.endsWith('/trades') ? [trade] : { code: 200, data: [] };
      },
    });
    const { trades } = await caller.ask({
      kind: 'trades',
      exchange: 'poloniex',
      symbol: 'BTC/USDT',
      limit: 5,
    });
    expect(trades).toEqual([{ trade_id: '7', timestamp: TIME, price: 2, amount: 3, side: 'buy' }]);
  });

  it('upbit: on the feed as over REST', async () => {
    const trade = { trade_price: 5, trade_volume: 2, ask_bid: 'BID', sequential_id: 17 };
    const caller = await on('upbit', {
      answer: ({ path }) =>
        path.endsWith('/market/all')
          ? [{ market: 'KRW-BTC', english_name: 'Bitcoin' }]
          : [{ market: 'KRW-BTC', ...trade, timestamp: TIME }],
      onFrame: (_, socket) => {
        const sent = {
          type: 'trade',
          code: 'KRW-BTC',
          ...trade,
          trade_timestamp: TIME,
          timestamp: TIME + 64,
        };
        socket.send(JSON.stringify(sent));
      },
    });
    const topic = { exchange: 'upbit', symbol: 'BTC/KRW' };
    const { trades } = await caller.ask({ kind: 'trades', ...topic, limit: 5 });
    expect(trades).toEqual([{ trade_id: '17', timestamp: TIME, price: 5, amount: 2, side: 'buy' }]);
    expect(await caller.watch({ channel: 'trades', ...topic }).item(1)).toEqual({
      channel: 'trades',
      trades,
    });
  });
});
