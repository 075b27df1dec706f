/**
 * Order book feeds of spot markets, of venues that the sandbox does not simulate, in the venues' documented form, with
 * numbers of our own. CCXT 4.5.84's own handlers read them.
 */
import { TIME, counts, firstOf, lastOf, spot, toNumbers, withOrders, type BookFeed } from './book-feed.js';

export const SPOT_FEEDS: readonly BookFeed[] = [
  {
    // https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#diff-depth-stream
    exchange: 'binance',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://stream.binance.com:9443/ws/0',
    nonceOf: lastOf,
    message: ({ id, step, bids: b, asks: a }) => ({
      ...{ e: 'depthUpdate', E: TIME + step, s: id },
      ...{ U: firstOf(step), u: lastOf(step), b, a },
    }),
  },
  {
    // https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
    exchange: 'okx',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws.okx.com:8443/ws/v5/public',
    startsWhole: true,
    subscriptions: ({ symbol }) => ({ [`books:${symbol}`]: true }),
    message: ({ id, step, whole, bids, asks }) => ({
      arg: { channel: 'books', instId: id },
      action: whole ? 'snapshot' : 'update',
      data: [
        {
          ...{ asks: withOrders(asks, '0', '1'), bids: withOrders(bids, '0', '1'), ts: String(TIME + step) },
          ...{ checksum: 0, seqId: counts(step), prevSeqId: whole ? -1 : counts(step - 1) },
        },
      ],
    }),
  },
  {
    // https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook
    exchange: 'bybit',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://stream.bybit.com/v5/public/spot',
    startsWhole: true,
    message: ({ id, step, whole, bids: b, asks: a }) => ({
      topic: `orderbook.50.${id}`,
      type: whole ? 'snapshot' : 'delta',
      ts: TIME + step,
      data: { s: id, b, a, u: counts(step), seq: 7 + step * 100 },
    }),
  },
  {
    // https://www.bitget.com/api-doc/spot/websocket/public/Depth-Channel
    exchange: 'bitget',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws.bitget.com/v2/ws/public',
    startsWhole: true,
    message: ({ id, step, whole, bids, asks }) => ({
      action: whole ? 'snapshot' : 'update',
      arg: { instType: 'SPOT', channel: 'books', instId: id },
      data: [{ asks, bids, seq: counts(step), pseq: whole ? 0 : counts(step - 1), ts: String(TIME + step) }],
    }),
  },
  {
    // https://www.kucoin.com/docs-new/3470068w0: Orderbook - Increment
    exchange: 'kucoin',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws-api-spot.kucoin.com/',
    nonceOf: lastOf,
    message: ({ id, step, bids, asks }) => ({
      type: 'message',
      topic: `/market/level2:${id}`,
      subject: 'trade.l2update',
      data: {
        changes: { asks, bids: withOrders(bids, String(lastOf(step))) },
        ...{ sequenceStart: firstOf(step), sequenceEnd: lastOf(step), symbol: id, time: TIME + step },
      },
    }),
  },
  {
    // https://www.gate.com/docs/developers/apiv4/ws/en/#changed-order-book-levels
    exchange: 'gate',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://api.gateio.ws/ws/v4/',
    nonceOf: lastOf,
    message: ({ id, step, bids: b, asks: a }) => ({
      ...{ time: TIME / 1000, channel: 'spot.order_book_update', event: 'update' },
      result: { t: TIME + step, s: id, U: firstOf(step), u: lastOf(step), b, a },
    }),
  },
  {
    // The same page, "Order Book V2": begins with a whole book.
    exchange: 'gate',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://api.gateio.ws/ws/v4/',
    startsWhole: true,
    message: ({ id, step, whole, bids: b, asks: a }) => ({
      ...{ channel: 'spot.obu', event: 'update', time_ms: TIME + step },
      result: {
        ...{ t: TIME + step, s: `ob.${id}.50`, u: lastOf(step), b, a },
        ...(whole ? { full: true } : { U: firstOf(step) }),
      },
    }),
  },
  {
    // https://huobiapi.github.io/docs/spot/v1/en/#market-by-price-incremental-update
    exchange: 'htx',
    markets: spot('btcusdt', 'ethusdt'),
    url: 'wss://api.huobi.pro/feed',
    nonceOf: counts,
    handler: 'handleOrderBook',
    message: ({ id, step, bids, asks }) => ({
      ch: `market.${id}.mbp.150`,
      ts: TIME + step,
      tick: {
        ...{ seqNum: counts(step), prevSeqNum: counts(step - 1) },
        ...{ bids: toNumbers(bids), asks: toNumbers(asks) },
      },
    }),
  },
  {
    // https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#book-instrument_name-depth
    exchange: 'cryptocom',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://stream.crypto.com/exchange/v1/market',
    startsWhole: true,
    handler: 'handleOrderBook',
    message: ({ id, step, whole, bids, asks }) => {
      const levels = { asks: withOrders(asks, '1'), bids: withOrders(bids, '1') };
      const place = { t: TIME + step, u: counts(step) };
      return {
        ...{ instrument_name: id, subscription: `book.${id}.50`, depth: 50 },
        channel: whole ? 'book' : 'book.update',
        data: [whole ? { ...levels, ...place } : { update: levels, ...place, pu: counts(step - 1) }],
      };
    },
  },
  {
    // https://www.mexc.com/api-docs/spot-v3/websocket-market-streams; protobuf, as CCXT decodes it
    exchange: 'mexc',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://wbs-api.mexc.com/ws',
    nonceOf: lastOf,
    handler: 'handleOrderBook',
    message: ({ id, step, bids, asks }) => {
      const objects = (levels: readonly (readonly string[])[]) =>
        levels.map(([price, quantity]) => ({ price, quantity }));
      return {
        ...{ channel: `spot@public.aggre.depth.v3.api.pb@100ms@${id}`, symbol: id },
        sendTime: String(TIME + step),
        publicAggreDepths: {
          ...{ bids: objects(bids), asks: objects(asks) },
          eventType: 'spot@public.aggre.depth.v3.api.pb@100ms',
          ...{ fromVersion: String(firstOf(step)), toVersion: String(lastOf(step)) },
        },
      };
    },
  },
  {
    // https://docs.bitvavo.com/docs/websocket-api/book-subscription
    exchange: 'bitvavo',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws.bitvavo.com/v2/',
    nonceOf: counts,
    message: ({ id, step, bids, asks }) => ({ event: 'book', market: id, nonce: counts(step), bids, asks }),
  },
  {
    // https://docs.backpack.exchange/#tag/Streams/Public/Depth
    exchange: 'backpack',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://ws.backpack.exchange',
    nonceOf: lastOf,
    handler: 'handleOrderBook',
    message: ({ id, step, bids: b, asks: a }) => ({
      data: {
        ...{ e: 'depth', E: (TIME + step) * 1000, T: (TIME + step) * 1000, s: id },
        ...{ U: firstOf(step), u: lastOf(step), b, a },
      },
      stream: `depth.${id}`,
    }),
  },
  {
    // https://doc.xt.com/docs/spot/WebSocket%20Public/IncrementalDepth
    exchange: 'xt',
    markets: spot('btc_usdt', 'eth_usdt'),
    url: 'wss://stream.xt.com/public',
    nonceOf: lastOf,
    message: ({ id, step, bids: b, asks: a }) => ({
      ...{ topic: 'depth_update', event: `depth_update@${id}` },
      data: { s: id, fi: firstOf(step), i: lastOf(step), a, b },
    }),
  },
  {
    // https://www.luno.com/en/developers/api#tag/Streaming-API: one socket a market
    exchange: 'luno',
    markets: spot('XBTUSDT', 'ETHUSDT'),
    url: 'wss://ws.luno.com/api/1/stream/XBTUSDT',
    startsWhole: true,
    handler: 'handleOrderBook',
    subscription: ({ symbol }) => ({ symbol }),
    message: ({ step, whole, bids, asks }) => {
      const orders = (levels: readonly (readonly string[])[]) =>
        levels.map(([price, volume]) => ({ id: `at ${price}`, price, volume }));
      const [[price, volume] = []] = bids;
      return {
        ...{ sequence: String(counts(step)), timestamp: TIME + step },
        ...(whole
          ? { asks: orders(asks), bids: orders(bids), status: 'ACTIVE' }
          : { trade_updates: [], create_update: { order_id: `at ${price}`, type: 'BID', price, volume } }),
      };
    },
  },
  {
    // Weex's spot depth stream, as CCXT's class quotes it
    exchange: 'weex',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws-spot.weex.com/v3/ws/public',
    startsWhole: true,
    message: ({ id, step, whole, bids: b, asks: a }) => ({
      ...{ e: whole ? 'depthSnapshot' : 'depth', E: TIME + step, s: id, l: 200 },
      ...{ U: firstOf(step), u: lastOf(step), b, a },
    }),
  },
];
