/**
 * Order book feeds of venues that the sandbox does not simulate, in the venues' documented form, with numbers of our own:
 * step 0 is the whole book where the feed begins with one, later steps change one bid. CCXT 4.5.84's own handlers read
 * them.
 */
export interface BookFeed {
  readonly exchange: string;
  readonly markets: readonly [MarketRow, MarketRow];
  readonly url: string;
  /** Resets CCXT's table where the venue sends updates only: CCXT asks REST for the book with this step's number. */
  readonly startsWhole: boolean;
  /** A whole book at a step; unused where `startsWhole` is false. */
  readonly whole: (market: MarketRow, step: number) => unknown;
  /** What leads from the step before to this one. */
  readonly update: (market: MarketRow, step: number, bid: readonly [string, string]) => unknown;
  /** The number of CCXT's book after a step, where CCXT starts from a REST snapshot. */
  readonly nonceOf?: (step: number) => number;
  /** CCXT finds the handler and the symbol by what was subscribed. */
  readonly subscriptions?: (market: MarketRow) => Readonly<Record<string, unknown>>;
  /** Calls CCXT's handler directly where its dispatcher needs a running socket. */
  readonly handler?: string;
}

export interface MarketRow {
  readonly id: string;
  readonly symbol: string;
  readonly contract?: boolean;
}

const spot = (...ids: readonly [string, string]): readonly [MarketRow, MarketRow] => [
  { id: ids[0], symbol: 'BTC/USDT' },
  { id: ids[1], symbol: 'ETH/USDT' },
];
const swap = (...ids: readonly [string, string]): readonly [MarketRow, MarketRow] => [
  { id: ids[0], symbol: 'BTC/USDT:USDT', contract: true },
  { id: ids[1], symbol: 'ETH/USDT:USDT', contract: true },
];

const TIME = 1_750_000_000_000;
const ASKS = [['101', '1']] as const;
const BIDS = [['99', '1']] as const;
/** Two changes a message where the venue numbers changes. */
const first = (step: number): number => 1000 + 2 * step - 1;
const last = (step: number): number => 1000 + 2 * step;
const each = (step: number): number => 1000 + step;

export const FEEDS: readonly BookFeed[] = [
  {
    // https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#diff-depth-stream
    exchange: 'binance',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://stream.binance.com:9443/ws/0',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    update: ({ id }, step, bid) => ({
      e: 'depthUpdate',
      E: TIME + step,
      s: id,
      U: first(step),
      u: last(step),
      b: [bid],
      a: [],
    }),
  },
  {
    // https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
    exchange: 'binanceusdm',
    markets: swap('BTCUSDT', 'ETHUSDT'),
    url: 'wss://fstream.binance.com/ws/0',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    update: ({ id }, step, bid) => ({
      e: 'depthUpdate',
      E: TIME + step,
      T: TIME + step,
      s: id,
      // Between two messages of a contract other ids pass: only `pu` tells that nothing is missing.
      U: last(step),
      u: last(step),
      pu: last(step - 1),
      b: [bid],
      a: [],
    }),
  },
  {
    // https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
    exchange: 'okx',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws.okx.com:8443/ws/v5/public',
    startsWhole: true,
    subscriptions: ({ symbol }) => ({ [`books:${symbol}`]: true }),
    whole: ({ id }, step) => ({
      arg: { channel: 'books', instId: id },
      action: 'snapshot',
      data: [
        {
          asks: ASKS.map((level) => [...level, '0', '1']),
          bids: BIDS.map((level) => [...level, '0', '1']),
          ts: String(TIME),
          seqId: each(step),
          prevSeqId: -1,
        },
      ],
    }),
    update: ({ id }, step, bid) => ({
      arg: { channel: 'books', instId: id },
      action: 'update',
      data: [
        {
          asks: [],
          bids: [[...bid, '0', '1']],
          ts: String(TIME + step),
          seqId: each(step),
          prevSeqId: each(step - 1),
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
    whole: ({ id }, step) => ({
      topic: `orderbook.50.${id}`,
      type: 'snapshot',
      ts: TIME,
      data: { s: id, b: BIDS, a: ASKS, u: each(step), seq: 7 },
    }),
    update: ({ id }, step, bid) => ({
      topic: `orderbook.50.${id}`,
      type: 'delta',
      ts: TIME + step,
      data: { s: id, b: [bid], a: [], u: each(step), seq: 7 + step * 100 },
    }),
  },
  {
    // https://www.bitget.com/api-doc/contract/websocket/public/Order-Book-Channel
    exchange: 'bitget',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws.bitget.com/v2/ws/public',
    startsWhole: true,
    whole: ({ id }, step) => ({
      action: 'snapshot',
      arg: { instType: 'SPOT', channel: 'books', instId: id },
      data: [{ asks: ASKS, bids: BIDS, seq: each(step), pseq: 0, ts: String(TIME) }],
    }),
    update: ({ id }, step, bid) => ({
      action: 'update',
      arg: { instType: 'SPOT', channel: 'books', instId: id },
      data: [{ asks: [], bids: [bid], seq: each(step), pseq: each(step - 1), ts: String(TIME + step) }],
    }),
  },
  {
    // https://www.kucoin.com/docs-new/3470068w0: Orderbook - Increment
    exchange: 'kucoin',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws-api-spot.kucoin.com/',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    update: ({ id }, step, bid) => ({
      type: 'message',
      topic: `/market/level2:${id}`,
      subject: 'trade.l2update',
      data: {
        changes: { asks: [], bids: [[...bid, String(last(step))]] },
        sequenceStart: first(step),
        sequenceEnd: last(step),
        symbol: id,
        time: TIME + step,
      },
    }),
  },
  {
    // https://www.gate.com/docs/developers/apiv4/ws/en/#changed-order-book-levels
    exchange: 'gate',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://api.gateio.ws/ws/v4/',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    update: ({ id }, step, bid) => ({
      time: TIME / 1000,
      channel: 'spot.order_book_update',
      event: 'update',
      result: { t: TIME + step, s: id, U: first(step), u: last(step), b: [bid], a: [] },
    }),
  },
  {
    // The same page, "Order Book V2": begins with a whole book.
    exchange: 'gate',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://api.gateio.ws/ws/v4/',
    startsWhole: true,
    whole: ({ id }, step) => ({
      channel: 'spot.obu',
      event: 'update',
      time_ms: TIME,
      result: { t: TIME, full: true, s: `ob.${id}.50`, u: last(step), b: BIDS, a: ASKS },
    }),
    update: ({ id }, step, bid) => ({
      channel: 'spot.obu',
      event: 'update',
      time_ms: TIME + step,
      result: { t: TIME + step, s: `ob.${id}.50`, U: first(step), u: last(step), b: [bid] },
    }),
  },
  {
    // https://huobiapi.github.io/docs/spot/v1/en/#market-by-price-incremental-update
    exchange: 'htx',
    markets: spot('btcusdt', 'ethusdt'),
    url: 'wss://api.huobi.pro/feed',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: each,
    handler: 'handleOrderBook',
    update: ({ id }, step, bid) => ({
      ch: `market.${id}.mbp.150`,
      ts: TIME + step,
      tick: { seqNum: each(step), prevSeqNum: each(step - 1), bids: [bid.map(Number)], asks: [] },
    }),
  },
  {
    // https://huobiapi.github.io/docs/usdt_swap/v1/en/#general-subscribe-incremental-market-depth-data
    exchange: 'htx',
    markets: swap('BTC-USDT', 'ETH-USDT'),
    url: 'wss://api.hbdm.com/linear-swap-ws',
    startsWhole: true,
    handler: 'handleOrderBook',
    whole: ({ id }, step) => ({
      ch: `market.${id}.depth.size_150.high_freq`,
      ts: TIME,
      tick: { event: 'snapshot', version: each(step), bids: [[99, 1]], asks: [[101, 1]], ts: TIME },
    }),
    update: ({ id }, step, bid) => ({
      ch: `market.${id}.depth.size_150.high_freq`,
      ts: TIME + step,
      tick: { event: 'update', version: each(step), bids: [bid.map(Number)], asks: [], ts: TIME + step },
    }),
  },
  {
    // https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#book-instrument_name-depth
    exchange: 'cryptocom',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://stream.crypto.com/exchange/v1/market',
    startsWhole: true,
    handler: 'handleOrderBook',
    whole: ({ id }, step) => ({
      instrument_name: id,
      subscription: `book.${id}.50`,
      channel: 'book',
      depth: 50,
      data: [{ asks: [['101', '1', '1']], bids: [['99', '1', '1']], t: TIME, u: each(step) }],
    }),
    update: ({ id }, step, bid) => ({
      instrument_name: id,
      subscription: `book.${id}.50`,
      channel: 'book.update',
      depth: 50,
      data: [
        { update: { asks: [], bids: [[...bid, '1']] }, t: TIME + step, u: each(step), pu: each(step - 1) },
      ],
    }),
  },
  {
    // https://www.mexc.com/api-docs/spot-v3/websocket-market-streams; protobuf, as CCXT decodes it
    exchange: 'mexc',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://wbs-api.mexc.com/ws',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    handler: 'handleOrderBook',
    update: ({ id }, step, [price, quantity]) => ({
      channel: `spot@public.aggre.depth.v3.api.pb@100ms@${id}`,
      symbol: id,
      sendTime: String(TIME + step),
      publicAggreDepths: {
        bids: [{ price, quantity }],
        asks: [],
        eventType: 'spot@public.aggre.depth.v3.api.pb@100ms',
        fromVersion: String(first(step)),
        toVersion: String(last(step)),
      },
    }),
  },
  {
    // https://www.mexc.com/api-docs/futures/websocket-api/incremental-order-book-maintenance-mechanism
    exchange: 'mexc',
    markets: swap('BTC_USDT', 'ETH_USDT'),
    url: 'wss://contract.mexc.com/edge',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: each,
    update: ({ id }, step, bid) => ({
      channel: 'push.depth',
      data: { asks: [], bids: [[...bid.map(Number), 1]], version: each(step) },
      symbol: id,
      ts: TIME + step,
    }),
  },
  {
    // https://docs.deribit.com/#book-instrument_name-interval
    exchange: 'deribit',
    markets: swap('BTC-PERPETUAL', 'ETH-PERPETUAL'),
    url: 'wss://www.deribit.com/ws/api/v2',
    startsWhole: true,
    handler: 'handleOrderBook',
    whole: ({ id }, step) => ({
      jsonrpc: '2.0',
      method: 'subscription',
      params: {
        channel: `book.${id}.100ms`,
        data: {
          type: 'snapshot',
          timestamp: TIME,
          instrument_name: id,
          change_id: each(step),
          bids: [['new', 99, 1]],
          asks: [['new', 101, 1]],
        },
      },
    }),
    update: ({ id }, step, [price, amount]) => ({
      jsonrpc: '2.0',
      method: 'subscription',
      params: {
        channel: `book.${id}.100ms`,
        data: {
          type: 'change',
          timestamp: TIME + step,
          instrument_name: id,
          change_id: each(step),
          prev_change_id: each(step - 1),
          bids: [['new', Number(price), Number(amount)]],
          asks: [],
        },
      },
    }),
  },
  {
    // https://docs.bitvavo.com/docs/websocket-api/book-subscription
    exchange: 'bitvavo',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws.bitvavo.com/v2/',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: each,
    update: ({ id }, step, bid) => ({ event: 'book', market: id, nonce: each(step), bids: [bid], asks: [] }),
  },
  {
    // https://docs.kraken.com/api/docs/futures-api/websocket/book
    exchange: 'krakenfutures',
    markets: swap('PF_XBTUSD', 'PF_ETHUSD'),
    url: 'wss://futures.kraken.com/ws/v1',
    startsWhole: true,
    whole: ({ id }, step) => ({
      feed: 'book_snapshot',
      product_id: id,
      timestamp: TIME,
      seq: each(step),
      tickSize: null,
      bids: [{ price: 99, qty: 1 }],
      asks: [{ price: 101, qty: 1 }],
    }),
    update: ({ id }, step, [price, qty]) => ({
      feed: 'book',
      product_id: id,
      side: 'buy',
      seq: each(step),
      price: Number(price),
      qty: Number(qty),
      timestamp: TIME + step,
    }),
  },
  {
    // https://docs.backpack.exchange/#tag/Streams/Public/Depth
    exchange: 'backpack',
    markets: spot('BTC_USDT', 'ETH_USDT'),
    url: 'wss://ws.backpack.exchange',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    handler: 'handleOrderBook',
    update: ({ id }, step, bid) => ({
      data: {
        e: 'depth',
        E: (TIME + step) * 1000,
        T: (TIME + step) * 1000,
        s: id,
        U: first(step),
        u: last(step),
        b: [bid],
        a: [],
      },
      stream: `depth.${id}`,
    }),
  },
  {
    // https://doc.xt.com/docs/futures/WebsocKetV2/IncrementalDepth
    exchange: 'xt',
    markets: swap('btc_usdt', 'eth_usdt'),
    url: 'wss://fstream.xt.com/ws/market',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    update: ({ id }, step, bid) => ({
      topic: 'depth_update',
      event: `depth_update@${id},100ms`,
      data: {
        s: id,
        pu: last(step - 1),
        fu: first(step),
        u: last(step),
        a: [],
        b: [bid],
        t: TIME + step,
      },
    }),
  },
  {
    // https://doc.xt.com/docs/spot/WebSocket%20Public/IncrementalDepth
    exchange: 'xt',
    markets: spot('btc_usdt', 'eth_usdt'),
    url: 'wss://stream.xt.com/public',
    startsWhole: false,
    whole: () => undefined,
    nonceOf: last,
    update: ({ id }, step, bid) => ({
      topic: 'depth_update',
      event: `depth_update@${id}`,
      data: { s: id, fi: first(step), i: last(step), a: [], b: [bid] },
    }),
  },
  {
    // https://api-docs.grvt.io/market_data_streams/#orderbook-delta
    exchange: 'grvt',
    markets: swap('BTC_USDT_Perp', 'ETH_USDT_Perp'),
    url: 'wss://market-data.grvt.io/ws/full',
    startsWhole: true,
    whole: ({ id }) => ({
      stream: 'v1.book.d',
      selector: `${id}@500`,
      sequence_number: '0',
      feed: {
        event_time: `${TIME}000000`,
        instrument: id,
        bids: [{ price: '99', size: '1', num_orders: 1 }],
        asks: [{ price: '101', size: '1', num_orders: 1 }],
      },
    }),
    update: ({ id }, step, [price, size]) => ({
      stream: 'v1.book.d',
      selector: `${id}@500`,
      sequence_number: String(each(step)),
      feed: {
        event_time: `${TIME + step}000000`,
        instrument: id,
        bids: [{ price, size, num_orders: 1 }],
        asks: [],
      },
    }),
  },
  {
    // Weex's spot depth stream, as CCXT's class quotes it
    exchange: 'weex',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws-spot.weex.com/v3/ws/public',
    startsWhole: true,
    whole: ({ id }, step) => ({
      e: 'depthSnapshot',
      E: TIME,
      s: id,
      U: first(step),
      u: last(step),
      l: 200,
      b: BIDS,
      a: ASKS,
    }),
    update: ({ id }, step, bid) => ({
      e: 'depth',
      E: TIME + step,
      s: id,
      U: first(step),
      u: last(step),
      l: 200,
      b: [bid],
      a: [],
    }),
  },
  {
    // https://api.docs.extended.exchange/#order-book-stream
    exchange: 'extended',
    markets: swap('BTC-USD', 'ETH-USD'),
    url: 'wss://api.starknet.extended.exchange/stream.extended.exchange/v1/orderbooks',
    startsWhole: true,
    handler: 'handleOrderBook',
    whole: ({ id }, step) => ({
      ts: TIME,
      type: 'SNAPSHOT',
      data: { m: id, b: [{ p: '99', q: '1' }], a: [{ p: '101', q: '1' }] },
      seq: each(step),
    }),
    update: ({ id }, step, [p, q]) => ({
      ts: TIME + step,
      type: 'DELTA',
      data: { m: id, b: [{ p, q, c: q }], a: [] },
      seq: each(step),
    }),
  },
];
