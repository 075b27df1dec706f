/** How a chart shows a market: its price scale, its resolutions, its names. */
import type { ExchangeEntry, Market } from '../../schemas/market.js';
import { resolutionsOf, udfExchange, udfTicker } from './names.js';

/** Where the venue says no step. */
const UNKNOWN_DECIMALS = 8;
const MAX_DECIMALS = 15;

/** Decimals of a step as it is written shortest: 0.05 has 2, 1e-8 has 8. */
const decimalsOf = (step: number): number => {
  const [digits = '', exponent = '0'] = String(step).split('e');
  const fraction = digits.split('.')[1]?.length ?? 0;
  return Math.min(MAX_DECIMALS, Math.max(0, fraction - Number(exponent)));
};

/** A price moves by `minmov / pricescale`. */
export const priceScale = (step: number | null): { readonly pricescale: number; readonly minmov: number } => {
  if (step === null || step <= 0) return { pricescale: 10 ** UNKNOWN_DECIMALS, minmov: 1 };
  const pricescale = 10 ** decimalsOf(step);
  return { pricescale, minmov: Math.max(1, Math.round(step * pricescale)) };
};

export interface NamedMarket {
  readonly exchange: ExchangeEntry;
  readonly market: Market;
  readonly sandbox: boolean;
}

const descriptionOf = ({ exchange, market, sandbox }: NamedMarket): string =>
  `${market.symbol} on ${exchange.name}${sandbox ? ' (simulated)' : ''}`;

/** One result of a search. */
export const searchResult = (named: NamedMarket) => {
  const { exchange, market } = named;
  const ticker = udfTicker(exchange.id, market.symbol);
  return {
    symbol: market.symbol,
    full_name: ticker,
    description: descriptionOf(named),
    exchange: udfExchange(exchange.id),
    ticker,
    type: 'crypto',
  };
};

/** Defaults of the library that bite (minmov 0, no intraday) are always told. */
export const symbolInfo = (named: NamedMarket) => {
  const { exchange, market } = named;
  const { price_step, amount_step, quote } = market;
  const resolutions = resolutionsOf(exchange.intervals);
  const minutes = resolutions.filter((resolution) => /^\d+$/.test(resolution));
  return {
    name: market.symbol,
    ticker: udfTicker(exchange.id, market.symbol),
    full_name: udfTicker(exchange.id, market.symbol),
    description: descriptionOf(named),
    type: 'crypto',
    exchange: udfExchange(exchange.id),
    listed_exchange: udfExchange(exchange.id),
    timezone: 'Etc/UTC',
    session: '24x7',
    ...priceScale(price_step),
    has_intraday: minutes.length > 0,
    intraday_multipliers: minutes,
    has_daily: resolutions.includes('1D'),
    daily_multipliers: ['1', ...(resolutions.includes('3D') ? ['3'] : [])],
    has_weekly_and_monthly: resolutions.includes('1W') && resolutions.includes('1M'),
    supported_resolutions: resolutions,
    volume_precision: amount_step === null || amount_step <= 0 ? UNKNOWN_DECIMALS : decimalsOf(amount_step),
    currency_code: quote,
    format: 'price',
  };
};
