// What is traded where: real-looking pairs per venue, padded with synthetic ones.
import { mixText } from './hash.js';
import { type Millis } from './intervals.js';
import { PriceTree } from './price-tree.js';

/** The simulated exchanges. */
export type ExchangeId = 'binance' | 'kraken' | 'coinbaseexchange';
export const EXCHANGES: readonly ExchangeId[] = ['binance', 'kraken', 'coinbaseexchange'];
/** The simulated venues: the exchanges and CoinMarketCap. */
export type VenueId = ExchangeId | 'coinmarketcap';
export const VENUES: readonly VenueId[] = [...EXCHANGES, 'coinmarketcap'];

/** The market on Coinbase that trades so seldom that whole minutes have no candle. */
export const THIN_SYMBOL = 'MUSE/USD';
/** A market on Binance that is listed but halted (`status: BREAK`). */
export const HALTED_SYMBOL = 'VEN/USDT';

export interface Market {
  readonly venue: ExchangeId;
  /** Unified, as in `BTC/USDT`. */
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
  /** Decimals of prices; a tick is 10^-priceDecimals. */
  readonly priceDecimals: number;
  /** Decimals of amounts; a lot is 10^-lotDecimals. */
  readonly lotDecimals: number;
  readonly listedAt: Millis;
  readonly active: boolean;
  readonly thin: boolean;
  readonly tree: PriceTree;
  /** Price on this venue in this quote, as a multiple of the tree's price. */
  readonly factor: number;
  /** Distance between two levels of the order book in ticks: about 0.001 % of the price. */
  readonly bookStep: number;
  /** Largest quantity of a book level, in thousandths of the base. */
  readonly bookQuantity: number;
  /** Whole multiple of the tree's lots that trades here. */
  readonly share: number;
  /** Key of all that is this market's own: book, sides of trades. */
  readonly key: number;
}

interface Asset {
  readonly price: number;
  readonly priceDecimals: number;
  readonly lotDecimals: number;
  readonly listedAt: Millis;
}

const listed = (day: string): Millis => Date.parse(`${day}T00:00:00Z`);
const asset = (price: number, decimals: readonly [number, number], day: string): Asset => ({
  price,
  priceDecimals: decimals[0],
  lotDecimals: decimals[1],
  listedAt: listed(day),
});

const ASSETS = new Map<string, Asset>([
  ['BTC', asset(64_000, [2, 5], '2017-08-17')],
  ['ETH', asset(3_100, [2, 4], '2017-08-17')],
  ['SOL', asset(150, [2, 3], '2020-08-11')],
  ['XRP', asset(0.62, [4, 0], '2018-05-04')],
  ['DOGE', asset(0.14, [5, 0], '2019-07-05')],
  ['ADA', asset(0.47, [4, 1], '2018-04-17')],
  ['LTC', asset(85, [2, 3], '2017-12-13')],
  ['BNB', asset(580, [1, 3], '2017-11-06')],
  ['MUSE', asset(11.4, [3, 3], '2021-06-01')],
  ['VEN', asset(2.4, [4, 1], '2018-06-01')],
  ['LUNA', asset(0.25, [4, 2], '2022-05-28')],
  ['LUNC', asset(0.000_06, [8, 0], '2019-05-07')],
]);
const SYNTHETIC: Asset = asset(1, [4, 1], '2021-03-01');

/** Units of the reference currency (about a US dollar) in one unit of the quote. */
const QUOTES = new Map<string, number>([
  ['USD', 1],
  ['USDT', 1.0004],
  ['USDC', 0.9999],
  ['EUR', 1.08],
  ['BTC', 64_000],
]);

/** @throws RangeError for a currency in which nothing is quoted */
export function quoteValue(currency: string): number {
  const value = QUOTES.get(currency);
  if (value === undefined) throw new RangeError(`nothing is quoted in ${currency}`);
  return value;
}

const VENUE_SKEW: Readonly<Record<ExchangeId, number>> = {
  binance: 1,
  kraken: 1.0004,
  coinbaseexchange: 0.9997,
};
const VENUE_SHARE: Readonly<Record<ExchangeId, number>> = { binance: 5, kraken: 1, coinbaseexchange: 2 };
const SYNTHETIC_QUOTE: Readonly<Record<ExchangeId, string>> = {
  binance: 'USDT',
  kraken: 'USD',
  coinbaseexchange: 'USD',
};

const PAIRS: Readonly<Record<ExchangeId, string>> = {
  binance: `BTC/USDT ETH/USDT SOL/USDT XRP/USDT DOGE/USDT ADA/USDT LTC/USDT BNB/USDT BTC/USDC ETH/USDC BTC/EUR ETH/EUR
    ETH/BTC ${HALTED_SYMBOL}`,
  kraken:
    'BTC/USD ETH/USD SOL/USD XRP/USD DOGE/USD ADA/USD LTC/USD BTC/EUR ETH/EUR BTC/USDT ETH/USDT BTC/USDC ETH/BTC LUNA/USD LUNC/USD',
  coinbaseexchange: `BTC/USD ETH/USD SOL/USD XRP/USD DOGE/USD ADA/USD LTC/USD BTC/EUR ETH/EUR BTC/USDT ETH/USDT
    BTC/USDC ETH/BTC ${THIN_SYMBOL}`,
};

/** About this much of the reference currency changes hands in a day in an asset's unit share. */
const DAY_TURNOVER = 400_000_000;
/** Lots a day in the thin market: far fewer than the 1,440 minutes of a day. */
const THIN_DAY_LOTS = 700;

/** The largest level of a book holds about this much of the reference currency. */
const LEVEL_VALUE = 150_000;

export interface ListingOptions {
  readonly seed: number;
  /** Markets a venue lists; its real-looking ones first, then synthetic ones (`SYN00001`, ...). */
  readonly perVenue: number | undefined;
}

/** All markets of all exchanges. The same asset shares one price tree everywhere, so venues differ only slightly. */
export function listMarkets(options: ListingOptions): Market[] {
  const trees = new Map<string, PriceTree>();
  return EXCHANGES.flatMap((venue) =>
    pairsOf(venue, options.perVenue).map((symbol) =>
      makeMarket({ venue, symbol, seed: options.seed }, trees),
    ),
  );
}

function pairsOf(venue: ExchangeId, count: number | undefined): string[] {
  const real = PAIRS[venue].split(/\s+/);
  if (count === undefined || count <= real.length) return real.slice(0, count);
  const quote = SYNTHETIC_QUOTE[venue];
  const synthetic = Array.from(
    { length: count - real.length },
    (_, i) => `SYN${String(i + 1).padStart(5, '0')}/${quote}`,
  );
  return [...real, ...synthetic];
}

interface Place {
  readonly venue: ExchangeId;
  readonly symbol: string;
  readonly seed: number;
}

function makeMarket({ venue, symbol, seed }: Place, trees: Map<string, PriceTree>): Market {
  const [base = '', quote = ''] = symbol.split('/');
  const found = ASSETS.get(base) ?? { ...SYNTHETIC, price: syntheticPrice(seed, base) };
  const thin = symbol === THIN_SYMBOL;
  // A coin priced in another coin walks on its own: it must not be a constant multiple of its dollar price.
  const treeName = quote === 'BTC' ? symbol : base;
  const key = mixText(seed, `price ${treeName}`);
  const tree =
    trees.get(treeName) ??
    new PriceTree({
      key,
      price: found.price,
      dayLots: thin
        ? THIN_DAY_LOTS
        : Math.max(4_000_000, (DAY_TURNOVER / found.price) * 10 ** found.lotDecimals),
      thin,
    });
  trees.set(treeName, tree);
  const priceDecimals = quote === 'BTC' ? 5 : found.priceDecimals;
  const factor = VENUE_SKEW[venue] / quoteValue(quote);
  return {
    venue,
    symbol,
    base,
    quote,
    priceDecimals,
    lotDecimals: found.lotDecimals,
    listedAt: found.listedAt,
    active: symbol !== HALTED_SYMBOL,
    thin,
    tree,
    factor,
    bookStep: Math.max(1, Math.round(found.price * factor * 10 ** priceDecimals * 1e-5)),
    bookQuantity: Math.max(10, Math.round((LEVEL_VALUE / found.price) * 1000)),
    share: thin ? 1 : VENUE_SHARE[venue] * (quote === 'USDT' || quote === 'USD' ? 2 : 1),
    key: mixText(seed, `${venue} ${symbol}`),
  };
}

const syntheticPrice = (seed: number, base: string): number => 0.5 + (mixText(seed, base) % 5_000) / 100;
