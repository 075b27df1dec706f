// Kraken's `book` channel with its checksum.
// https://docs.kraken.com/api/docs/websocket-v2/book and https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
import { crc32 } from 'node:zlib';
import { ghostPrice, krakenFault } from '../book-faults.js';
import { isoMicros, toDecimal } from '../format.js';
import { type Millis } from '../intervals.js';
import { itemAt } from '../item-at.js';
import { type Market } from '../listings.js';
import { slotOf } from '../market-data.js';
import { bookAt, bookChange, QUANTITY_DECIMALS, type BookSides, type Level } from '../order-book.js';
import { krakenFeedSymbol } from './kraken-markets.js';
import { type Channel } from './venue.js';

/** Kraken sends quantities as numbers with eight decimals, trailing zeros and all. */
const quantity = (value: number): string => toDecimal(value, QUANTITY_DECIMALS, 8);

const levels = (market: Market, side: readonly Level[]): string =>
  side
    .map(([ticks, value]) => `{"price":${toDecimal(ticks, market.priceDecimals)},"qty":${quantity(value)}}`)
    .join(',');

const digits = (text: string): string => text.replace('.', '').replace(/^0+/, '');

/** CRC32 over the digits of the ten best asks, then of the ten best bids. */
function bookChecksum(market: Market, book: BookSides): number {
  const side = (list: readonly Level[]): string =>
    list
      .slice(0, 10)
      .map(([ticks, value]) => digits(toDecimal(ticks, market.priceDecimals)) + digits(quantity(value)))
      .join('');
  return crc32(side(book.asks) + side(book.bids));
}

function frame(
  market: Market,
  sides: BookSides,
  about: { type: 'snapshot' | 'update'; time: Millis },
): string {
  const checksum = bookChecksum(market, bookAt(market, slotOf(about.time), 10));
  const stamp = about.type === 'update' ? `,"timestamp":"${isoMicros(about.time)}"` : '';
  return `{"channel":"book","type":"${about.type}","data":[{"symbol":"${krakenFeedSymbol(market)}","bids":[${levels(market, sides.bids)}],"asks":[${levels(market, sides.asks)}],"checksum":${checksum}${stamp}}]}`;
}

/** Levels that only fell out of the subscribed depth are not sent: the reader cuts its book itself. */
function inScope(change: BookSides, now: BookSides): BookSides {
  const [worstBid] = itemAt(now.bids, now.bids.length - 1);
  const [worstAsk] = itemAt(now.asks, now.asks.length - 1);
  return {
    bids: change.bids.filter(([price]) => price >= worstBid),
    asks: change.asks.filter(([price]) => price <= worstAsk),
  };
}

export const krakenBookChannel = (market: Market, depth: number): Channel => ({
  market,
  book: {
    alter: (frame, what) =>
      krakenFault(frame, what, toDecimal(ghostPrice(market, what.time), market.priceDecimals)),
    // The levels were lost, the checksum came: a later update of the same levels would hide the loss.
    tornUpdate: (time) => [frame(market, { bids: [], asks: [] }, { type: 'update', time })],
  },
  snapshot: (time) => [frame(market, bookAt(market, slotOf(time), depth), { type: 'snapshot', time })],
  update: (time, since) => {
    const from = slotOf(since);
    const to = slotOf(time);
    const change = bookChange(market, { from, to, depth, everySlot: false });
    const sides = inScope(change, bookAt(market, to, depth));
    if (sides.bids.length + sides.asks.length === 0) return [];
    return [frame(market, sides, { type: 'update', time })];
  },
});
