/** TradingView's names for what is asked: tickers such as `BINANCE:BTC/USDT`, and resolutions such as `60` and `1D`. */
import { AppError } from '../../errors.js';

export const udfExchange = (name: string): string => name.toUpperCase();

export const udfTicker = (exchange: string, symbol: string): string => `${udfExchange(exchange)}:${symbol}`;

/** Split at the first colon: a derivative's symbol has one of its own. Throws `symbol_not_found`. */
export const parseTicker = (text: string): { readonly exchange: string; readonly symbol: string } => {
  const at = text.indexOf(':');
  if (at <= 0 || at === text.length - 1)
    throw new AppError('symbol_not_found', 'A symbol is written as BINANCE:BTC/USDT here.');
  return { exchange: text.slice(0, at).toLowerCase(), symbol: text.slice(at + 1) };
};

/** By resolution, in the order in which they are offered. */
const INTERVALS: ReadonlyMap<string, string> = new Map([
  ['1', '1m'],
  ['3', '3m'],
  ['5', '5m'],
  ['15', '15m'],
  ['30', '30m'],
  ['60', '1h'],
  ['120', '2h'],
  ['240', '4h'],
  ['360', '6h'],
  ['480', '8h'],
  ['720', '12h'],
  ['1D', '1d'],
  ['3D', '3d'],
  ['1W', '1w'],
  ['1M', '1M'],
]);
export const RESOLUTIONS: readonly string[] = [...INTERVALS.keys()];

/** `D` is `1D`. Throws `interval_not_supported`. */
export const intervalOf = (resolution: string): string => {
  const interval = INTERVALS.get(/^[DWM]$/.test(resolution) ? `1${resolution}` : resolution);
  if (interval !== undefined) return interval;
  throw new AppError('interval_not_supported', `Resolutions are ${RESOLUTIONS.join(', ')}.`);
};

/** Resolutions of an exchange with these intervals. */
export const resolutionsOf = (intervals: readonly string[]): string[] =>
  RESOLUTIONS.filter((resolution) => intervals.includes(INTERVALS.get(resolution) ?? ''));
