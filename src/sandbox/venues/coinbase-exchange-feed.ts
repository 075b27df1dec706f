// Coinbase Exchange's WebSocket feed, public channels. https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
import { coinbaseFault, ghostPrice } from '../book-faults.js';
import { isoMicros } from '../format.js';
import { type Millis } from '../intervals.js';
import { itemAt } from '../item-at.js';
import { type Market } from '../listings.js';
import { latestTrades, rawTicker, rawTrades, slotOf, type RawTrade } from '../market-data.js';
import { type MarketTruth } from '../market.js';
import { bookAt, bookChange, BOOK_LEVELS, type Level, type Side } from '../order-book.js';
import { coinbasePrice, coinbaseQuantity, coinbaseSize, makerSide } from './coinbase-exchange.js';
import { coinbaseId } from './coinbase-exchange-markets.js';
import { parseCommand, strings } from './feed-command.js';
import { type Channel, type FeedSocket, type FeedVenue } from './venue.js';

const CHANNELS = new Set(['ticker', 'ticker_batch', 'matches', 'level2_batch', 'level2', 'heartbeat']);
/** Asks below the bid of a torn update. */
const TORN_DEPTH = 20;
const KEYED = new Set(['level2', 'level3', 'full', 'user']);

function tickerFrame(market: Market, time: Millis): string {
  const raw = rawTicker(market, time);
  const price = (ticks: number): string => coinbasePrice(market, ticks);
  return JSON.stringify({
    type: 'ticker',
    sequence: slotOf(time),
    product_id: coinbaseId(market),
    price: price(raw.trade.price),
    open_24h: price(raw.open),
    volume_24h: coinbaseSize(market, raw.lots),
    low_24h: price(raw.low),
    high_24h: price(raw.high),
    volume_30d: coinbaseSize(market, raw.lots * 30),
    best_bid: price(raw.bid[0]),
    best_bid_size: coinbaseQuantity(raw.bid[1]),
    best_ask: price(raw.ask[0]),
    best_ask_size: coinbaseQuantity(raw.ask[1]),
    side: raw.trade.side,
    time: isoMicros(time),
    trade_id: raw.trade.id,
    last_size: coinbaseSize(market, raw.trade.lots),
  });
}

const orderId = (kind: string, id: number): string =>
  `00000000-0000-4000-${kind}-${String(id).padStart(12, '0')}`;

const matchFrame = (market: Market, trade: RawTrade, type: 'match' | 'last_match'): string =>
  JSON.stringify({
    type,
    trade_id: trade.id,
    maker_order_id: orderId('8000', trade.id),
    taker_order_id: orderId('9000', trade.id),
    side: makerSide(trade),
    size: coinbaseSize(market, trade.lots),
    price: coinbasePrice(market, trade.price),
    product_id: coinbaseId(market),
    sequence: slotOf(trade.time),
    time: isoMicros(trade.time),
  });

const matchChannel = (market: Market): Channel => ({
  market,
  snapshot: (time) =>
    latestTrades(market, slotOf(time), 1).map((trade) => matchFrame(market, trade, 'last_match')),
  update: (time, since) =>
    rawTrades(market, { from: slotOf(since) + 1, to: slotOf(time) }, Infinity).map((trade) =>
      matchFrame(market, trade, 'match'),
    ),
});

function bookChannel(market: Market): Channel {
  const level = ([ticks, quantity]: Level): [string, string] => [
    coinbasePrice(market, ticks),
    coinbaseQuantity(quantity),
  ];
  const change = (side: Side) => (entry: Level) => [side === 'bid' ? 'buy' : 'sell', ...level(entry)];
  return {
    market,
    book: {
      alter: (frame, what) =>
        coinbaseFault(frame, what, coinbasePrice(market, ghostPrice(market, what.time))),
      // Nothing is numbered here, so that a loss can be seen only where bids and asks meet: a bid was placed among the
      // asks, and the removal of those below it was lost. So far among them that the market does not get there meanwhile.
      tornUpdate: (time, since) => {
        const { asks } = bookAt(market, slotOf(since), TORN_DEPTH);
        return [
          JSON.stringify({
            type: 'l2update',
            product_id: coinbaseId(market),
            changes: [change('bid')(itemAt(asks, asks.length - 1))],
            time: isoMicros(time),
          }),
        ];
      },
    },
    snapshot: (time) => {
      const book = bookAt(market, slotOf(time), BOOK_LEVELS);
      return [
        JSON.stringify({
          type: 'snapshot',
          product_id: coinbaseId(market),
          bids: book.bids.map(level),
          asks: book.asks.map(level),
          time: isoMicros(time),
        }),
      ];
    },
    update: (time, since) => {
      const span = { from: slotOf(since), to: slotOf(time), depth: BOOK_LEVELS, everySlot: false };
      const sides = bookChange(market, span);
      const changes = [...sides.bids.map(change('bid')), ...sides.asks.map(change('ask'))];
      if (changes.length === 0) return [];
      return [
        JSON.stringify({
          type: 'l2update',
          product_id: coinbaseId(market),
          changes,
          time: isoMicros(time),
        }),
      ];
    },
  };
}

const heartbeatChannel = (market: Market): Channel => ({
  market,
  update: (time) => [
    JSON.stringify({
      type: 'heartbeat',
      sequence: slotOf(time),
      last_trade_id: latestTrades(market, slotOf(time), 1)[0]?.id ?? 0,
      product_id: coinbaseId(market),
      time: isoMicros(time),
    }),
  ],
});

function makeChannel(market: Market, name: string): Channel | undefined {
  switch (name) {
    case 'ticker':
    case 'ticker_batch':
      return {
        market,
        snapshot: (time) => [tickerFrame(market, time)],
        update: (time) => [tickerFrame(market, time)],
      };
    case 'matches':
      return matchChannel(market);
    case 'level2':
    case 'level2_batch':
      return bookChannel(market);
    case 'heartbeat':
      return heartbeatChannel(market);
    default:
      return undefined;
  }
}

interface Command {
  readonly type?: unknown;
  readonly product_ids?: unknown;
  readonly channels?: unknown;
  readonly signature?: unknown;
}

/** Each channel with its products: a name uses the command's own list, an object brings its own. */
function wanted(command: Command): { name: string; products: string[] }[] {
  if (!Array.isArray(command.channels)) return [];
  return command.channels.map((entry: unknown) => {
    if (typeof entry === 'string') return { name: entry, products: strings(command.product_ids) };
    const { name, product_ids: own } = (entry ?? {}) as { name?: unknown; product_ids?: unknown };
    return { name: String(name), products: strings(own ?? command.product_ids) };
  });
}

function subscriptions(socket: FeedSocket): string {
  const byName = new Map<string, string[]>();
  for (const key of socket.channels()) {
    const [name = '', product = ''] = key.split(':');
    byName.set(name, [...(byName.get(name) ?? []), product]);
  }
  const channels = [...byName].map(([name, ids]) => ({ name, product_ids: ids, account_ids: null }));
  return JSON.stringify({ type: 'subscriptions', channels });
}

export function createCoinbaseExchangeFeed({ truth }: { readonly truth: MarketTruth }): FeedVenue {
  const byId = new Map(
    truth.markets('coinbaseexchange').map((market) => [coinbaseId(market), market] as const),
  );

  /** Why a subscription is refused as a whole; Coinbase does not subscribe the good part of a bad command. */
  const refusal = (command: Command): string | undefined => {
    for (const { name, products } of wanted(command)) {
      if (KEYED.has(name) && typeof command.signature !== 'string') {
        return `${name} now requires authentication. https://docs.cdp.coinbase.com/exchange/docs/websocket-auth`;
      }
      if (!CHANNELS.has(name)) return `${name} is not a valid channel`;
      const unknown = products.find((id) => !byId.has(id));
      if (unknown !== undefined) return `${unknown} is not a valid product`;
    }
    return undefined;
  };

  const onMessage = (socket: FeedSocket, text: string): void => {
    const command: Command | undefined = parseCommand(text);
    const fail = (message: string, reason: string): void =>
      socket.reply(JSON.stringify({ type: 'error', message, reason }));
    const subscribe = command?.type === 'subscribe';
    if (!command || (!subscribe && command.type !== 'unsubscribe')) {
      fail('Malformed message', 'type has to be either subscribe or unsubscribe');
      return;
    }
    const reason = refusal(command);
    if (reason !== undefined) {
      fail('Failed to subscribe', reason);
      return;
    }
    // The first data comes before the acknowledgement, as it often does with Coinbase.
    for (const { name, products } of wanted(command)) {
      for (const id of products) {
        if (subscribe) socket.join(`${name}:${id}`);
        else socket.leave(`${name}:${id}`);
      }
    }
    socket.reply(subscriptions(socket));
  };

  return {
    id: 'coinbaseexchange',
    hosts: ['ws-feed.exchange.coinbase.com'],
    message: onMessage,
    channel: (key) => {
      const [name = '', id = ''] = key.split(':');
      const market = byId.get(id);
      return market && makeChannel(market, name);
    },
  };
}
