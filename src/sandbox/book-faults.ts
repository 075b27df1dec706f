// Faults inside of one update of an order book, in each venue's own form.
import { type Millis } from './intervals.js';
import { itemAt } from './item-at.js';
import { type Market } from './listings.js';
import { slotOf } from './market-data.js';
import { bookAt } from './order-book.js';
import { type BookAlteration } from './venues/venue.js';

/** Behind so many true bids stands a bid that is in no book. */
const GHOST_RANK = 3;
const GHOST_AMOUNT = 7;

/** In ticks: between two levels of the grid. */
export const ghostPrice = (market: Market, time: Millis): number =>
  itemAt(bookAt(market, slotOf(time), GHOST_RANK + 1).bids, GHOST_RANK)[0] + 1;

const wrong = (amount: unknown): number => Number(amount) * GHOST_AMOUNT || GHOST_AMOUNT;

interface BinanceUpdate {
  U: number;
  u: number;
  b: [string, string][];
  a: [string, string][];
}

// Frames are the sandbox's own: their shape is known.

/** Binance numbers its updates and has no checksum. `ghost`: the price of a level that is in no book. */
export function binanceFault(frame: string, { fault, first }: BookAlteration, ghost: string): string {
  const update = JSON.parse(frame) as BinanceUpdate;
  const level = update.b[0] ?? update.a[0];
  if (fault === 'corrupt' && level !== undefined) level[1] = String(wrong(level[1]));
  if (fault === 'ghost') update.b.push([ghost, String(GHOST_AMOUNT)]);
  if (fault === 'stuck') {
    const { U, u } = JSON.parse(first) as BinanceUpdate;
    Object.assign(update, { U, u });
  }
  return JSON.stringify(update);
}

interface KrakenUpdate {
  data: [
    { bids: { price: number; qty: number }[]; asks: { price: number; qty: number }[]; checksum: number },
  ];
}

/** Kraken's updates carry a checksum and no numbers. */
export function krakenFault(frame: string, { fault }: BookAlteration, ghost: string): string {
  const update = JSON.parse(frame) as KrakenUpdate;
  const [book] = update.data;
  const level = book.bids[0] ?? book.asks[0];
  if (fault === 'corrupt' && level !== undefined) level.qty = wrong(level.qty);
  if (fault === 'ghost') book.bids.push({ price: Number(ghost), qty: GHOST_AMOUNT });
  if (fault === 'checksum') book.checksum = (book.checksum + 1) % 2 ** 32;
  return JSON.stringify(update);
}

interface CoinbaseUpdate {
  changes: [string, string, string][];
}

/** Coinbase Exchange's updates have neither. */
export function coinbaseFault(frame: string, { fault }: BookAlteration, ghost: string): string {
  const update = JSON.parse(frame) as CoinbaseUpdate;
  const change = itemAt(update.changes, 0);
  if (fault === 'corrupt') change[2] = String(wrong(change[2]));
  if (fault === 'ghost') update.changes.push(['buy', ghost, String(GHOST_AMOUNT)]);
  return JSON.stringify(update);
}
