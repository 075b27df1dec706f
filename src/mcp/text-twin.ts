/**
 * The compact text of an answer, for clients that show or read no structured content: a line of what it is, then rows
 * of comma-separated values, which cost a model a third of the tokens of the same JSON.
 */
import type { ExchangeEntry, MarketsPage, Ohlcv, OrderBook, Ticker, Trades } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';

const time = (at: Millis): string => new Date(at).toISOString();
const row = (...cells: readonly (string | number | boolean | null)[]): string => cells.map(String).join(',');

export const tickerText = ({ exchange, symbol, last, bid, ask, timestamp }: Omit<Ticker, 'raw'>): string =>
  `${symbol} on ${exchange}: last ${String(last)}, bid ${String(bid)}, ask ${String(ask)} at ${time(timestamp)}.`;

export const ohlcvText = ({ exchange, symbol, interval, candles, gaps = [] }: Ohlcv): string =>
  [
    `${symbol} on ${exchange}: ${candles.length} candles of ${interval}, oldest first.`,
    'start,open,high,low,close,volume,closed',
    ...candles.map((c) => row(time(c.timestamp), c.open, c.high, c.low, c.close, c.volume, c.closed)),
    ...gaps.map(({ from, to, reason }) => `Gap from ${time(from)} to ${time(to)}: ${reason}.`),
  ].join('\n');

export const orderBookText = ({ exchange, symbol, bids, asks, timestamp }: OrderBook): string =>
  [
    `${symbol} on ${exchange}: ${bids.length} bids and ${asks.length} asks, best first, at ${time(timestamp)}.`,
    'side,price,amount',
    ...bids.map(({ price, amount }) => row('bid', price, amount)),
    ...asks.map(({ price, amount }) => row('ask', price, amount)),
  ].join('\n');

export const tradesText = ({ exchange, symbol, trades }: Trades): string =>
  [
    `${symbol} on ${exchange}: the latest ${trades.length} trades, oldest first, side is the taker's.`,
    'time,side,price,amount,trade_id',
    ...trades.map((t) => row(time(t.timestamp), t.side, t.price, t.amount, t.trade_id)),
  ].join('\n');

export const marketsText = ({ exchange, markets, next_cursor }: MarketsPage): string =>
  [
    `${markets.length} markets on ${exchange}.`,
    'symbol,type,active',
    ...markets.map(({ symbol, type, active }) => row(symbol, type, active)),
    ...(next_cursor === null ? [] : [`More: ask again with cursor ${next_cursor}.`]),
  ].join('\n');

const exchangeLine = ({ id, name, capabilities, intervals }: ExchangeEntry): string => {
  if (capabilities === null) return `${id} (${name}): what it offers is not known at the moment`;
  const { stream, ...kinds } = capabilities;
  const offered = Object.entries(kinds).flatMap(([kind, has]) => (has ? [kind] : []));
  return `${id} (${name}): ${offered.join(' ')}; stream ${stream ?? 'none'}; intervals ${intervals.join(' ')}`;
};

export const exchangesText = (exchanges: readonly ExchangeEntry[]): string =>
  [`${exchanges.length} exchanges are enabled.`, ...exchanges.map(exchangeLine)].join('\n');
