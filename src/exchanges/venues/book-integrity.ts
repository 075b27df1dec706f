/**
 * How each venue's live order books can be checked, with the venue's own field names: one file a venue or family in
 * `books/`. Read in CCXT 4.5.84's `js/src/pro/<venue>.js` and in the venue's documentation; docs/order-books.md says which
 * of them are not verified against the venue.
 */
import type { ExchangeId } from '../../schemas/common.js';
import type { BookIntegrity } from '../../schemas/market.js';
import type { BookRecord } from '../ccxt/feeds/book-guard.js';
import { backpack } from './books/backpack.js';
import { binance } from './books/binance.js';
import { bitfinex } from './books/bitfinex.js';
import { bitget } from './books/bitget.js';
import { bitvavo } from './books/bitvavo.js';
import { bybit } from './books/bybit.js';
import { coinbase } from './books/coinbase.js';
import { coinbaseexchange } from './books/coinbaseexchange.js';
import { cryptocom } from './books/cryptocom.js';
import { deribit } from './books/deribit.js';
import { extended } from './books/extended.js';
import { gate } from './books/gate.js';
import { grvt } from './books/grvt.js';
import { htx } from './books/htx.js';
import { kraken } from './books/kraken.js';
import { krakenfutures } from './books/krakenfutures.js';
import { kucoin } from './books/kucoin.js';
import { luno } from './books/luno.js';
import { mexc } from './books/mexc.js';
import { okx } from './books/okx.js';
import type { VenueBooks } from './books/reading.js';
import { weex } from './books/weex.js';
import { xt } from './books/xt.js';

/** Each message is a whole book. */
const WHOLE: VenueBooks = { kind: 'snapshot', record: null };
/** Nothing is sent that could be checked, or the venue's messages have not been examined. */
const UNCHECKED: VenueBooks = { kind: 'crosscheck', record: null };

const VENUES: ReadonlyMap<ExchangeId, VenueBooks> = new Map<ExchangeId, VenueBooks>([
  ['backpack', backpack],
  ['binance', binance],
  ['binancecoinm', binance],
  ['binanceus', binance],
  ['binanceusdm', binance],
  ['bingx', WHOLE],
  ['bitfinex', bitfinex],
  ['bitget', bitget],
  ['bitvavo', bitvavo],
  ['bybit', bybit],
  ['bybiteu', bybit],
  ['bybitid', bybit],
  ['coinbase', coinbase],
  ['coinbaseexchange', coinbaseexchange],
  ['cryptocom', cryptocom],
  ['deribit', deribit],
  ['extended', extended],
  ['gate', gate],
  ['gateeu', gate],
  ['grvt', grvt],
  ['htx', htx],
  ['hyperliquid', WHOLE],
  // CCXT checks the CRC of whole books.
  ['independentreserve', { kind: 'checksum', record: null }],
  ['kraken', kraken],
  ['krakenfutures', krakenfutures],
  ['kucoin', kucoin],
  ['kucoinfutures', kucoin],
  ['luno', luno],
  ['mexc', mexc],
  ['myokx', okx],
  // CCXT compares `last_max_timestamp` with the `max_timestamp` before it and ends the feed of that symbol.
  ['nado', { kind: 'sequence', record: null }],
  ['okx', okx],
  ['okxus', okx],
  ['upbit', WHOLE],
  ['weex', weex],
  ['xt', xt],
]);

const booksOf = (exchange: ExchangeId): VenueBooks => VENUES.get(exchange) ?? UNCHECKED;

/** How a venue's live order books are checked; books that are polled are whole. */
export const bookIntegrity = (exchange: ExchangeId): BookIntegrity => booksOf(exchange).kind;

/** What judges the messages of a venue's books; null where nothing in them can be judged, or CCXT does it. */
export const bookRecord = (exchange: ExchangeId): BookRecord | null => booksOf(exchange).record;
