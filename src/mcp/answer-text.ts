/**
 * The compact text of an answer, for clients that show or read no structured content: a line of what it is, then rows
 * of comma-separated values, which cost a model a third of the tokens of the same JSON.
 */
import type {
  ExchangeEntry,
  MarketsPage,
  Ohlcv,
  OrderBook,
  Ticker,
  TickerStats,
  Trades,
} from '../schemas/market.js';
import type { CoverageBody } from '../schemas/ledger.js';
import type { Millis } from '../schemas/common.js';
import { MAX_TEXT_ROWS } from './answer-size.js';

/** A note for readers of the text about rows that are in the structured content alone. */
const shownOf = (shown: number, all: number, which: string): string[] =>
  shown === all ? [] : [`Here are the ${which} ${shown} of ${all} rows; all are in the structured content.`];

const time = (at: Millis): string => new Date(at).toISOString();
const row = (...cells: readonly (string | number | boolean | null)[]): string => cells.map(String).join(',');

const statsText = ({ open, high, low, volume, quote_volume, change_percent }: TickerStats): string =>
  [
    '24 hours: open,high,low,volume,quote_volume,change_percent',
    row(open, high, low, volume, quote_volume, change_percent),
  ].join('\n');

export const tickerText = ({
  exchange,
  symbol,
  last,
  bid,
  ask,
  timestamp,
  stats,
}: Omit<Ticker, 'raw'>): string =>
  [
    `${symbol} on ${exchange}: last ${String(last)}, bid ${String(bid)}, ask ${String(ask)} at ${time(timestamp)}.`,
    ...(stats === undefined ? [] : [statsText(stats)]),
  ].join('\n');

/** `next_since`: where candles follow that are not in the answer. */
export const ohlcvText = (answer: Ohlcv & { readonly next_since?: Millis | undefined }): string => {
  const { exchange, symbol, interval, candles, gaps = [], next_since } = answer;
  const shown = candles.slice(-MAX_TEXT_ROWS);
  return [
    `${symbol} on ${exchange}: ${candles.length} candles of ${interval}, oldest first.`,
    ...shownOf(shown.length, candles.length, 'newest'),
    'start,open,high,low,close,volume,closed',
    ...shown.map((c) => row(time(c.timestamp), c.open, c.high, c.low, c.close, c.volume, c.closed)),
    ...gaps
      .slice(-MAX_TEXT_ROWS)
      .map((gap) => `Gap from ${time(gap.from)} to ${time(gap.to)}: ${gap.reason}.`),
    ...(next_since === undefined
      ? []
      : [`Newer candles follow that are not in this answer: call again with since=${time(next_since)}.`]),
  ].join('\n');
};

export const orderBookText = ({ exchange, symbol, bids, asks, timestamp }: OrderBook): string => {
  const [shownBids, shownAsks] = [bids, asks].map((side) => side.slice(0, MAX_TEXT_ROWS / 2));
  const shown = (shownBids?.length ?? 0) + (shownAsks?.length ?? 0);
  return [
    `${symbol} on ${exchange}: ${bids.length} bids and ${asks.length} asks, best first, at ${time(timestamp)}.`,
    ...shownOf(shown, bids.length + asks.length, 'best'),
    'side,price,amount',
    ...(shownBids ?? []).map(({ price, amount }) => row('bid', price, amount)),
    ...(shownAsks ?? []).map(({ price, amount }) => row('ask', price, amount)),
  ].join('\n');
};

export const tradesText = ({ exchange, symbol, trades }: Trades): string => {
  const shown = trades.slice(-MAX_TEXT_ROWS);
  return [
    `${symbol} on ${exchange}: the latest ${trades.length} trades, oldest first, side is the taker's.`,
    ...shownOf(shown.length, trades.length, 'newest'),
    'time,side,price,amount,trade_id',
    ...shown.map((t) => row(time(t.timestamp), t.side, t.price, t.amount, t.trade_id)),
  ].join('\n');
};

export const marketsText = ({ exchange, markets, next_cursor }: MarketsPage): string => {
  const shown = markets.slice(0, MAX_TEXT_ROWS);
  return [
    `${markets.length} markets on ${exchange}.`,
    ...shownOf(shown.length, markets.length, 'first'),
    'symbol,type,active',
    ...shown.map(({ symbol, type, active }) => row(symbol, type, active)),
    ...(next_cursor === null ? [] : [`More: ask again with cursor ${next_cursor}.`]),
  ].join('\n');
};

const exchangeLine = ({ id, name, capabilities, intervals }: ExchangeEntry): string => {
  if (capabilities === null) return `${id} (${name}): what it offers is not known at the moment`;
  const { stream, ...kinds } = capabilities;
  const offered = Object.entries(kinds).flatMap(([kind, has]) => (has ? [kind] : []));
  return `${id} (${name}): ${offered.join(' ')}; stream ${stream ?? 'none'}; intervals ${intervals.join(' ')}`;
};

export const exchangesText = (exchanges: readonly ExchangeEntry[]): string =>
  [`${exchanges.length} exchanges are enabled.`, ...exchanges.map(exchangeLine)].join('\n');

/** `next_from`: where ranges follow that are not in the answer. */
export const coverageText = (body: CoverageBody & { readonly next_from?: Millis }): string => {
  const { exchange, symbol, interval, series, ranges, next_from } = body;
  const shown = ranges.slice(0, MAX_TEXT_ROWS);
  const stored = series === null ? 'no candles are stored' : `${series.candles} candles are stored`;
  return [
    `${symbol} on ${exchange}, ${interval}: ${stored}; ranges oldest first, their end not in them.`,
    ...shownOf(shown.length, ranges.length, 'oldest'),
    'from,to,state,reason',
    ...shown.map(({ from, to, state, reason }) => row(time(from), time(to), state, reason ?? '')),
    ...(next_from === undefined
      ? []
      : [`More ranges follow that are not in this answer: call again with from=${time(next_from)}.`]),
  ].join('\n');
};
