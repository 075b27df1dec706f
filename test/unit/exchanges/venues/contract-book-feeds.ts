/**
 * Order book feeds of contracts, of venues that the sandbox does not simulate, in the venues' documented form, with
 * numbers of our own. CCXT 4.5.84's own handlers read them.
 */
import { TIME, counts, firstOf, lastOf, swap, toNumbers, withOrders, type BookFeed } from './book-feed.js';

export const CONTRACT_FEEDS: readonly BookFeed[] = [
  {
    // https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
    exchange: 'binanceusdm',
    markets: swap('BTCUSDT', 'ETHUSDT'),
    url: 'wss://fstream.binance.com/ws/0',
    nonceOf: lastOf,
    message: ({ id, step, bids: b, asks: a }) => ({
      ...{ e: 'depthUpdate', E: TIME + step, T: TIME + step, s: id },
      // Between two messages of a contract other ids pass: only `pu` tells that nothing is missing.
      ...{ U: lastOf(step), u: lastOf(step), pu: lastOf(step - 1), b, a },
    }),
  },
  {
    // https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook
    exchange: 'bybit',
    markets: swap('BTCUSDT', 'ETHUSDT'),
    url: 'wss://stream.bybit.com/v5/public/linear',
    startsWhole: true,
    message: ({ id, step, whole, bids: b, asks: a }) => ({
      topic: `orderbook.50.${id}`,
      type: whole ? 'snapshot' : 'delta',
      ts: TIME + step,
      data: { s: id, b, a, u: counts(step), seq: 7 + step * 100 },
    }),
  },
  {
    // https://www.bitget.com/api-doc/uta/websocket/public/Order-Book-Channel: numbers beyond JavaScript's
    exchange: 'bitget',
    markets: swap('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws.bitget.com/v3/ws/public',
    startsWhole: true,
    message: ({ id, step, whole, bids: b, asks: a }) => ({
      action: whole ? 'snapshot' : 'update',
      arg: { instType: 'usdt-futures', topic: 'books', symbol: id },
      data: [
        {
          ...{ a, b, checksum: 0, ts: String(TIME + step) },
          ...{ seq: `134306437777926${counts(step)}`, pseq: `134306437777926${counts(step - 1)}` },
        },
      ],
    }),
  },
  {
    // https://www.gate.com/docs/developers/futures/ws/en/#order-book-update-subscription
    exchange: 'gate',
    markets: swap('BTC_USDT', 'ETH_USDT'),
    url: 'wss://fx-ws.gateio.ws/v4/ws/usdt',
    nonceOf: lastOf,
    message: ({ id, step, bids, asks }) => {
      const objects = (levels: readonly (readonly string[])[]) =>
        levels.map(([p, s]) => ({ p, s: Number(s) }));
      return {
        ...{ time_ms: TIME + step, channel: 'futures.order_book_update', event: 'update' },
        result: {
          ...{ t: TIME + step, s: id, U: firstOf(step), u: lastOf(step) },
          ...{ b: objects(bids), a: objects(asks) },
        },
      };
    },
  },
  {
    // https://huobiapi.github.io/docs/usdt_swap/v1/en/#general-subscribe-incremental-market-depth-data
    exchange: 'htx',
    markets: swap('BTC-USDT', 'ETH-USDT'),
    url: 'wss://api.hbdm.com/linear-swap-ws',
    startsWhole: true,
    handler: 'handleOrderBook',
    message: ({ id, step, whole, bids, asks }) => ({
      ch: `market.${id}.depth.size_150.high_freq`,
      ts: TIME + step,
      tick: {
        ...{ event: whole ? 'snapshot' : 'update', version: counts(step), ts: TIME + step },
        ...{ bids: toNumbers(bids), asks: toNumbers(asks) },
      },
    }),
  },
  {
    // https://www.mexc.com/api-docs/futures/websocket-api/incremental-order-book-maintenance-mechanism
    exchange: 'mexc',
    markets: swap('BTC_USDT', 'ETH_USDT'),
    url: 'wss://contract.mexc.com/edge',
    nonceOf: counts,
    message: ({ id, step, bids, asks }) => ({
      ...{ channel: 'push.depth', symbol: id, ts: TIME + step },
      data: { asks: toNumbers(asks), bids: toNumbers(withOrders(bids, '1')), version: counts(step) },
    }),
  },
  {
    // https://docs.deribit.com/#book-instrument_name-interval
    exchange: 'deribit',
    markets: swap('BTC-PERPETUAL', 'ETH-PERPETUAL'),
    url: 'wss://www.deribit.com/ws/api/v2',
    startsWhole: true,
    handler: 'handleOrderBook',
    message: ({ id, step, whole, bids, asks }) => {
      const changes = (levels: readonly (readonly string[])[]) =>
        toNumbers(levels).map((level) => ['new', ...level]);
      return {
        ...{ jsonrpc: '2.0', method: 'subscription' },
        params: {
          channel: `book.${id}.100ms`,
          data: {
            ...{ type: whole ? 'snapshot' : 'change', timestamp: TIME + step, instrument_name: id },
            change_id: counts(step),
            ...(whole ? {} : { prev_change_id: counts(step - 1) }),
            ...{ bids: changes(bids), asks: changes(asks) },
          },
        },
      };
    },
  },
  {
    // https://docs.kraken.com/api/docs/futures-api/websocket/book
    exchange: 'krakenfutures',
    markets: swap('PF_XBTUSD', 'PF_ETHUSD'),
    url: 'wss://futures.kraken.com/ws/v1',
    startsWhole: true,
    message: ({ id, step, whole, bids, asks }) => {
      const objects = (levels: readonly (readonly string[])[]) =>
        toNumbers(levels).map(([price, qty]) => ({ price, qty }));
      return {
        ...{ product_id: id, timestamp: TIME + step, seq: counts(step) },
        ...(whole
          ? { feed: 'book_snapshot', tickSize: null, bids: objects(bids), asks: objects(asks) }
          : { feed: 'book', side: 'buy', ...objects(bids)[0] }),
      };
    },
  },
  {
    // https://doc.xt.com/docs/futures/WebsocKetV2/IncrementalDepth
    exchange: 'xt',
    markets: swap('btc_usdt', 'eth_usdt'),
    url: 'wss://fstream.xt.com/ws/market',
    nonceOf: lastOf,
    message: ({ id, step, bids: b, asks: a }) => ({
      ...{ topic: 'depth_update', event: `depth_update@${id},100ms` },
      data: { s: id, pu: lastOf(step - 1), fu: firstOf(step), u: lastOf(step), a, b, t: TIME + step },
    }),
  },
  {
    // https://api-docs.grvt.io/market_data_streams/#orderbook-delta
    exchange: 'grvt',
    markets: swap('BTC_USDT_Perp', 'ETH_USDT_Perp'),
    url: 'wss://market-data.grvt.io/ws/full',
    startsWhole: true,
    message: ({ id, step, whole, bids, asks }) => {
      const objects = (levels: readonly (readonly string[])[]) =>
        levels.map(([price, size]) => ({ price, size, num_orders: 1 }));
      return {
        ...{ stream: 'v1.book.d', selector: `${id}@500` },
        sequence_number: whole ? '0' : String(counts(step)),
        feed: {
          ...{ event_time: `${TIME + step}000000`, instrument: id },
          ...{ bids: objects(bids), asks: objects(asks) },
        },
      };
    },
  },
  {
    // Weex's contract depth stream likewise
    exchange: 'weex',
    markets: swap('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws-contract.weex.com/v3/ws/public',
    startsWhole: true,
    message: ({ id, step, whole, bids: b, asks: a }) => ({
      ...{ e: whole ? 'depthSnapshot' : 'depth', E: TIME + step, s: id, l: 200 },
      ...{ U: firstOf(step), u: lastOf(step), b, a },
    }),
  },
  {
    // https://api.docs.extended.exchange/#order-book-stream
    exchange: 'extended',
    markets: swap('BTC-USD', 'ETH-USD'),
    url: 'wss://api.starknet.extended.exchange/stream.extended.exchange/v1/orderbooks',
    startsWhole: true,
    handler: 'handleOrderBook',
    message: ({ id, step, whole, bids, asks }) => {
      const objects = (levels: readonly (readonly string[])[]) => levels.map(([p, q]) => ({ p, q, c: q }));
      return {
        ...{ ts: TIME + step, type: whole ? 'SNAPSHOT' : 'DELTA', seq: counts(step) },
        data: { m: id, b: objects(bids), a: objects(asks) },
      };
    },
  },
];
