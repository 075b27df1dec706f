/** Bars of a chart, and marks where there are none. */
import type { MarketQuery } from '../../market-data/market-data-api.js';
import type { Candle } from '../../schemas/market.js';
import type { UdfRangeQuery } from '../../schemas/udf.js';
import { barBefore, readBars, type BarRange, type Series } from './bars.js';
import type { UdfCaller, UdfDeps } from './caller.js';
import { intervalOf, parseTicker } from './names.js';

type WholeCandle = Candle & Readonly<Record<'open' | 'high' | 'low' | 'close', number>>;
const isWhole = (candle: Candle): candle is WholeCandle =>
  [candle.open, candle.high, candle.low, candle.close].every((price) => price !== null);

const inSeconds = (ms: number): number => Math.floor(ms / 1000);

const rangeOf = (
  { marketData }: UdfDeps,
  { symbol: name, resolution, from, to, countback }: UdfRangeQuery,
  caller: UdfCaller,
): { readonly series: Series; readonly range: BarRange } => {
  const { exchange, symbol } = parseTicker(name);
  caller.requireExchange(marketData.resolveExchange(exchange).exchange);
  const interval = intervalOf(resolution);
  return { series: { exchange, symbol, interval }, range: { from: from * 1000, to: to * 1000, countback } };
};

const sourceOf = ({ marketData, now }: UdfDeps, { client, signal, candles, mayBackfill }: UdfCaller) => ({
  get: (query: MarketQuery) => marketData.get({ ...query, client, mayBackfill }, signal),
  now,
  allowed: candles,
});

export const history = async (deps: UdfDeps, query: UdfRangeQuery, caller: UdfCaller): Promise<object> => {
  const { series, range } = rangeOf(deps, query, caller);
  const source = sourceOf(deps, caller);
  const { candles } = await readBars({ ...source, reserve: caller.reserve }, series, range);
  caller.gave(candles.length);
  const bars = candles.filter(isWhole);
  if (bars.length === 0) {
    const before = range.countback === undefined ? await barBefore(source, series, range.from) : undefined;
    return before === undefined ? { s: 'no_data' } : { s: 'no_data', nextTime: inSeconds(before) };
  }
  // A volume that the venue does not say is none of zero.
  const volumes = bars.flatMap(({ volume }) => (volume === null ? [] : [volume]));
  return {
    s: 'ok',
    t: bars.map(({ timestamp }) => inSeconds(timestamp)),
    o: bars.map(({ open }) => open),
    h: bars.map(({ high }) => high),
    l: bars.map(({ low }) => low),
    c: bars.map(({ close }) => close),
    ...(volumes.length === bars.length ? { v: volumes } : {}),
  };
};

/** Stretches without candles, as marks below the chart. */
export const marks = async (deps: UdfDeps, query: UdfRangeQuery, caller: UdfCaller): Promise<object> => {
  const { series, range } = rangeOf(deps, query, caller);
  const { gaps } = await readBars(sourceOf(deps, caller), series, range);
  return gaps.map(({ from, to, reason }) => ({
    id: `gap-${from}-${to}`,
    time: inSeconds(Math.max(from, range.from)),
    color: 'red',
    label: 'G',
    tooltip: [`No candles from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`, reason],
  }));
};
