// One trade has one id, over REST and over the feed (public reports: Binance numbers aggregates and fills apart).
import { afterEach, describe, expect, it } from 'vitest';
import { startFakeVenue, type FakeVenue } from '../../support/fake-venue.js';
import { venueClient, type VenueClient } from '../../support/venue-client.js';

let venue: FakeVenue | undefined;
let client: VenueClient | undefined;
afterEach(async () => {
  await client?.close();
  await venue?.close();
});

const NOW = Date.now();

/** Members of exchangeInfo that CCXT reads. */
const binanceMarket = {
  symbol: 'ETHBTC',
  status: 'TRADING',
  baseAsset: 'ETH',
  quoteAsset: 'BTC',
  permissionSets: [['SPOT']],
  isSpotTradingAllowed: true,
  filters: [],
};
const perpetual = {
  pair: 'ETHBTC',
  contractType: 'PERPETUAL',
  contractStatus: 'TRADING',
  marginAsset: 'BTC',
  contractSize: 10,
};
const AGGREGATE = { a: 95979120, p: '11', q: '0.142', f: 105592593, l: 105592594, T: NOW, m: false };

/** Sends what Binance sends for the stream that was subscribed: aggregates by `a`, fills by `t`. */
const startBinance = (): Promise<FakeVenue> =>
  startFakeVenue({
    answer: ({ path }) => {
      const market = { ...binanceMarket, ...(path.includes('/api/') ? undefined : perpetual) };
      if (path.endsWith('/exchangeInfo')) return { timezone: 'UTC', symbols: [market] };
      return path.endsWith('/aggTrades') ? [AGGREGATE] : undefined;
    },
    onFrame: (frame, socket) => {
      const { id, params } = frame as { id: number; params: string[] };
      socket.send(JSON.stringify({ result: null, id }));
      const stream = params[0]?.split('@')[1];
      if (stream === 'aggTrade')
        socket.send(JSON.stringify({ e: 'aggTrade', E: NOW, s: 'ETHBTC', ...AGGREGATE }));
      else
        for (const t of [105592593, 105592594])
          socket.send(
            JSON.stringify({ e: 'trade', E: NOW, s: 'ETHBTC', t, p: '11', q: '0.071', T: NOW, m: false }),
          );
    },
  });

describe('trades of Binance and its siblings', () => {
  it.each([
    ['binance', 'ETH/BTC'],
    ['binanceus', 'ETH/BTC'],
    ['binanceusdm', 'ETH/BTC:BTC'],
    ['binancecoinm', 'ETH/BTC:BTC'],
  ])(
    '%s: the feed brings the trade that REST answers, with the same id and amount',
    async (exchange, symbol) => {
      venue = await startBinance();
      client = venueClient(exchange, venue);
      const { trades } = await client.ask({ kind: 'trades', exchange, symbol, limit: 10 });
      const feed = client.watch({ channel: 'trades', exchange, symbol });
      expect(await feed.item(1)).toEqual({ channel: 'trades', trades });
      expect(trades).toMatchObject([{ trade_id: '95979120', amount: 0.142, side: 'buy' }]);
    },
  );
});

describe('a trade of no price on a feed', () => {
  it.each([
    ['in a message of its own', [[1], [2], [3]]],
    ['first of all', [[2], [1], [3]]],
  ])('is left out, and the feed goes on: %s', async (_, messages) => {
    const price = (a: number): string => (a === 2 ? '0.00000000' : '11');
    venue = await startFakeVenue({
      answer: ({ path }) =>
        path.endsWith('/exchangeInfo') ? { timezone: 'UTC', symbols: [binanceMarket] } : undefined,
      onFrame: (frame, socket) => {
        const { id } = frame as { id: number };
        socket.send(JSON.stringify({ result: null, id }));
        for (const a of messages.flat()) {
          const row = { a, p: price(a), q: price(a), f: a === 2 ? -1 : a, l: a === 2 ? -1 : a };
          socket.send(JSON.stringify({ e: 'aggTrade', E: NOW, s: 'ETHBTC', ...row, T: NOW + a, m: a === 3 }));
        }
      },
    });
    client = venueClient('binance', venue);
    const feed = client.watch({ channel: 'trades', exchange: 'binance', symbol: 'ETH/BTC' });
    const got: unknown[] = [];
    for (let count = 1; got.length < 2; count += 1) {
      const item = await feed.item(count);
      if (item.channel === 'trades') got.push(...item.trades);
    }
    expect(got).toMatchObject([
      { trade_id: '1', side: 'buy' },
      { trade_id: '3', side: 'sell' },
    ]);
    feed.close();
    expect(await feed.ended()).toBeNull();
  });
});

// coinbase (Advanced Trade) names the maker's side: a SELL at the ask was bought by the taker.
const COINBASE_TRADE = {
  trade_id: '995098663',
  product_id: 'BTC-USD',
  price: '68923.67',
  size: '0.5',
  time: '2026-04-07T14:30:02.789012Z',
  side: 'SELL',
};
const COINBASE_PRODUCT = {
  product_id: 'BTC-USD',
  base_increment: '0.00000001',
  quote_increment: '0.01',
  price_increment: '0.01',
  base_currency_id: 'BTC',
  quote_currency_id: 'USD',
  product_type: 'SPOT',
  status: 'online',
  trading_disabled: false,
};

describe('trades of Coinbase', () => {
  it('name the taker, who bought where the maker sold, over REST and over the feed', async () => {
    venue = await startFakeVenue({
      answer: ({ path, query }) => {
        if (path.endsWith('/products'))
          return { products: query.get('product_type') === 'FUTURE' ? [] : [COINBASE_PRODUCT] };
        if (path.endsWith('/ticker'))
          return { trades: [COINBASE_TRADE], best_bid: '68923.66', best_ask: '68923.67' };
        return { data: {} };
      },
      onFrame: (_, socket) => {
        const events = [{ type: 'update', trades: [COINBASE_TRADE] }];
        socket.send(JSON.stringify({ channel: 'market_trades', sequence_num: 0, events }));
      },
    });
    client = venueClient('coinbase', venue);
    const topic = { exchange: 'coinbase', symbol: 'BTC/USD' };
    const { trades } = await client.ask({ kind: 'trades', ...topic, limit: 10 });
    expect(trades).toMatchObject([{ trade_id: '995098663', price: 68923.67, side: 'buy' }]);
    const feed = client.watch({ channel: 'trades', ...topic });
    expect(await feed.item(1)).toMatchObject({ channel: 'trades', trades: [{ side: 'buy' }] });
  });
});

describe('trades without ids', () => {
  it('mexc: have none, so that two equal ones of a millisecond stay two', async () => {
    const row = { id: null, price: '10', qty: '2', quoteQty: '20', time: NOW, isBuyerMaker: false };
    const aggregate = { a: null, f: null, l: null, p: '10', q: '2', T: NOW, m: false, M: true };
    venue = await startFakeVenue({
      answer: ({ path }) => {
        if (path.endsWith('/exchangeInfo'))
          return {
            symbols: [
              {
                symbol: 'BTCUSDT',
                status: '1',
                baseAsset: 'BTC',
                quoteAsset: 'USDT',
                isSpotTradingAllowed: true,
              },
            ],
          };
        if (path.endsWith('/aggTrades')) return [aggregate, aggregate];
        return path.endsWith('/trades') ? [row, row] : { data: [] };
      },
    });
    client = venueClient('mexc', venue);
    const answer = await client.ask({ kind: 'trades', exchange: 'mexc', symbol: 'BTC/USDT', limit: 10 });
    expect(answer.trades).toEqual(
      [1, 2].map(() => ({ trade_id: null, timestamp: NOW, price: 10, amount: 2, side: 'buy' })),
    );
  });
});

describe('one trade has one id where the feed and REST name it apart', () => {
  const TIME = NOW - 1000;

  /** The first trades over REST and over the feed, of a venue that says them in its two forms. */
  const both = async (
    { exchange, symbol }: { readonly exchange: string; readonly symbol: string },
    options: Parameters<typeof startFakeVenue>[0],
  ) => {
    venue = await startFakeVenue(options);
    client = venueClient(exchange, venue);
    const { trades } = await client.ask({ kind: 'trades', exchange, symbol, limit: 10 });
    const item = await client.watch({ channel: 'trades', exchange, symbol }).item(1);
    return { rest: trades, feed: 'trades' in item ? item.trades : [] };
  };

  it.each(['okx', 'myokx', 'okxus'])(
    '%s: the feed has each trade, as REST does, and wants no key',
    async (exchange) => {
      const instrument = {
        ...{ instType: 'SPOT', instId: 'BTC-USDT', baseCcy: 'BTC', quoteCcy: 'USDT', state: 'live' },
        ...{ tickSz: '0.1', lotSz: '0.001', minSz: '0.001' },
      };
      const row = (tradeId: string, sz: string) => ({
        ...{ instId: 'BTC-USDT', side: 'buy', px: '70', ts: String(TIME) },
        ...{ tradeId, sz },
      });
      const { rest, feed } = await both(
        { exchange, symbol: 'BTC/USDT' },
        {
          answer: ({ path, query }) => {
            if (path.endsWith('/market/trades')) return { code: '0', data: [row('3001', '0.1')] };
            return { code: '0', data: query.get('instType') === 'SPOT' ? [instrument] : [] };
          },
          onFrame: (frame, socket) => {
            const { args } = frame as { args: { channel: string }[] };
            const arg = args[0];
            // The channel "trades" sums up what one order took at one price.
            const data =
              arg?.channel === 'trades-all' ? [row('3001', '0.1')] : [{ ...row('3003', '0.3'), count: '3' }];
            socket.send(JSON.stringify({ arg, data }));
          },
        },
      );
      expect(feed).toEqual(rest);
      expect(rest).toMatchObject([{ trade_id: '3001', amount: 0.1, side: 'buy' }]);
      expect(venue?.frames).toEqual([
        { op: 'subscribe', args: [{ channel: 'trades-all', instId: 'BTC-USDT' }] },
      ]);
    },
  );

  it('htx: "trade-id" over REST is "tradeId" on the feed', async () => {
    const listed = { 'base-currency': 'btc', 'quote-currency': 'usdt', symbol: 'btcusdt', state: 'online' };
    const fill = { id: 1.05e22, ts: TIME, amount: 2, price: 5, direction: 'sell' };
    const { rest, feed } = await both(
      { exchange: 'htx', symbol: 'BTC/USDT' },
      {
        answer: ({ path }) => {
          if (path.endsWith('/common/symbols')) return { status: 'ok', data: [listed] };
          if (path.endsWith('/history/trade'))
            return {
              status: 'ok',
              data: [{ id: 1, ts: TIME, data: [{ ...fill, 'trade-id': 102090727790 }] }],
            };
          return { status: 'ok', data: [], code: 200 };
        },
        onFrame: (frame, socket) => {
          const { sub } = frame as { sub?: string };
          const tick = { id: 1, ts: TIME, data: [{ ...fill, tradeId: 102090727790 }] };
          if (sub !== undefined) socket.send(JSON.stringify({ ch: sub, ts: TIME, tick }));
        },
      },
    );
    expect(feed).toEqual(rest);
    expect(rest).toMatchObject([{ trade_id: '102090727790', side: 'sell' }]);
  });

  it('kucoin: spot trades go by the sequence that both have', async () => {
    const listed = {
      ...{ symbol: 'BTC-USDT', baseCurrency: 'BTC', quoteCurrency: 'USDT', enableTrading: true },
      ...{
        baseIncrement: '0.001',
        quoteIncrement: '0.1',
        priceIncrement: '0.1',
        baseMinSize: '1',
        quoteMinSize: '1',
      },
    };
    const fill = {
      sequence: '1568787654360',
      side: 'buy',
      size: '2',
      price: '5',
      time: `${TIME}436443257`.slice(0, 19),
    };
    const { rest, feed } = await both(
      { exchange: 'kucoin', symbol: 'BTC/USDT' },
      {
        answer: ({ path }) => {
          if (path.endsWith('/symbols')) return { code: '200000', data: [listed] };
          if (path.endsWith('/market/histories')) return { code: '200000', data: [fill] };
          if (path.endsWith('/bullet-public')) {
            const endpoint = `${venue?.url.replace('http', 'ws') ?? ''}/feed`;
            const instanceServers = [
              { endpoint, protocol: 'websocket', encrypt: false, pingInterval: 50_000 },
            ];
            return { code: '200000', data: { token: 't', instanceServers } };
          }
          return { code: '200000', data: [] };
        },
        onFrame: (frame, socket) => {
          const { type, id } = frame as { type: string; id: string };
          if (type !== 'subscribe') return;
          socket.send(JSON.stringify({ id, type: 'ack' }));
          const data = { ...fill, symbol: 'BTC-USDT', type: 'match', tradeId: '5e356c4aeefabd62c62a1ece' };
          const message = {
            topic: '/market/match:BTC-USDT',
            type: 'message',
            subject: 'trade.l3match',
            data,
          };
          socket.send(JSON.stringify(message));
        },
      },
    );
    expect(feed).toEqual(rest);
    expect(rest).toMatchObject([{ trade_id: '1568787654360', amount: 2 }]);
  });

  it('aster: REST answers aggregates, as the feed sends them', async () => {
    const listed = {
      ...{ symbol: 'BTCUSDT', pair: 'BTCUSDT', contractType: 'PERPETUAL', status: 'TRADING' },
      ...{ baseAsset: 'BTC', quoteAsset: 'USDT', marginAsset: 'USDT', filters: [] },
    };
    const aggregate = { a: 26129, p: '70', q: '0.3', f: 3001, l: 3003, T: TIME, m: true };
    const { rest, feed } = await both(
      { exchange: 'aster', symbol: 'BTC/USDT:USDT' },
      {
        answer: ({ path }) => {
          if (path.endsWith('/exchangeInfo')) return { symbols: path.includes('fapi') ? [listed] : [] };
          if (path.endsWith('/aggTrades')) return [aggregate];
          const fill = { id: 3001, price: '70', qty: '0.1', time: TIME, isBuyerMaker: true };
          return path.endsWith('/trades') ? [fill] : [];
        },
        onFrame: (_, socket) =>
          socket.send(JSON.stringify({ e: 'aggTrade', E: TIME, s: 'BTCUSDT', ...aggregate })),
      },
    );
    expect(feed).toEqual(rest);
    expect(rest).toMatchObject([{ trade_id: '26129', amount: 0.3, side: 'sell' }]);
  });

  it.each(['bithumb', 'bitopro', 'bitrue', 'cex', 'hashkey', 'lbank', 'luno', 'nado', 'pacifica'])(
    '%s: trades are polled, since its feed numbers them otherwise or not at all',
    async (exchange) => {
      venue = await startFakeVenue({ answer: () => undefined });
      client = venueClient(exchange, venue);
      const { watchable, capabilities } = await client.client.describe(exchange);
      expect(watchable).not.toContain('trades');
      expect(capabilities.trades).toBe(true);
      expect(venue.requests).toEqual([]);
    },
  );
});
