/** What an answer of this server has to be, from the payload and the venue's table. */
import type { BookCheck, CandlesCheck, Check, TickerCheck, TradesCheck } from './checks.js';
import { amountOf, at, idOf, priceOf, read, timeOf, type Path, type Read } from './payload.js';

/** Figures by their names; `time: null` stands for the moment of receipt. */
export type Row = Readonly<Record<string, unknown>>;

type Where = Path | ((answer: unknown) => unknown);
const placed = (answer: unknown, where: Where): unknown =>
  typeof where === 'function' ? where(answer) : at(answer, where);
const rowsOf = (answer: unknown, where: Where): unknown[] => {
  const rows = placed(answer, where);
  if (!Array.isArray(rows)) throw new Error('The table names no list in this recording.');
  return rows as unknown[];
};

const ticker = (check: TickerCheck, answer: unknown): Row[] => {
  const place = { row: placed(answer, check.of ?? ''), answer };
  const price = (field: Read | null): number | null => (field === null ? null : priceOf(read(place, field)));
  return [
    {
      bid: price(check.bid),
      ask: price(check.ask),
      last: price(check.last),
      time: check.time === null ? null : timeOf(place, check.time),
      raw: placed(answer, check.raw ?? check.of ?? ''),
    },
  ];
};

const book = (check: BookCheck, answer: unknown): Row[] => {
  const place = { row: placed(answer, check.of ?? ''), answer };
  const side = (where: Where, direction: 1 | -1): Row[] =>
    rowsOf(place.row, where)
      .map((row) => ({
        price: amountOf(read({ row, answer }, check.price)),
        amount: amountOf(read({ row, answer }, check.amount)),
      }))
      .filter(({ amount }) => amount !== 0)
      .sort((a, b) => direction * (Number(a.price) - Number(b.price)));
  return [
    { time: check.time === null ? null : timeOf(place, check.time) },
    ...side(check.bids, -1),
    ...side(check.asks, 1),
  ];
};

/** Whole numbers go by size; other ids say nothing of an order. */
const byId = (a: Row, b: Row): number => {
  const ids = [a['id'], b['id']].map(String);
  return ids.every((id) => /^\d+$/.test(id)) ? Number(BigInt(ids[0] ?? 0) - BigInt(ids[1] ?? 0)) : 0;
};

const trades = (check: TradesCheck, answer: unknown): Row[] => {
  const rows = rowsOf(answer, check.of ?? '').map((row): Row & { readonly time: number } => {
    const place = { row, answer };
    const side = read(place, check.side.at);
    return {
      id: check.id === null ? null : idOf(read(place, check.id)),
      price: priceOf(read(place, check.price)),
      amount: amountOf(read(place, check.amount)),
      time: timeOf(place, check.time),
      side: side === check.side.buy ? 'buy' : side === check.side.sell ? 'sell' : null,
    };
  });
  // Oldest first; those of a moment by ids that are numbers, else as the venue's list has them from its older end.
  const newestFirst = (rows[0]?.time ?? 0) >= (rows.at(-1)?.time ?? 0);
  return (newestFirst ? rows.reverse() : rows).sort((a, b) => a.time - b.time || byId(a, b));
};

const candles = (check: CandlesCheck, answer: unknown): Row[] => {
  const rows = rowsOf(answer, check.of ?? '').map((row) => {
    const place = { row, answer };
    return {
      time: timeOf(place, check.time),
      open: priceOf(read(place, check.open)),
      high: priceOf(read(place, check.high)),
      low: priceOf(read(place, check.low)),
      close: priceOf(read(place, check.close)),
      volume: amountOf(read(place, check.volume)),
    };
  });
  return [...new Map(rows.map((row) => [row.time, row])).values()].sort((a, b) => a.time - b.time);
};

export const expectedRows = (check: Check, answer: unknown): Row[] => {
  switch (check.kind) {
    case 'ticker':
      return ticker(check, answer);
    case 'orderbook':
      return book(check, answer);
    case 'trades':
      return trades(check, answer);
    case 'ohlcv':
      return candles(check, answer);
  }
};

const member = (value: unknown, key: string): unknown => at(value, key);
const listIn = (answer: unknown, key: string): unknown[] => {
  const list = member(answer, key);
  return Array.isArray(list) ? (list as unknown[]) : [];
};

/** This server's answer, or an item of its feed, as rows of the same names. */
export const shownRows = (check: Check, shown: unknown): Row[] => {
  const { kind } = check;
  if (kind === 'ticker') {
    const rawJson = member(shown, 'rawJson');
    return [
      {
        bid: member(shown, 'bid'),
        ask: member(shown, 'ask'),
        last: member(shown, 'last'),
        time: member(shown, 'timestamp'),
        raw: typeof rawJson === 'string' ? (JSON.parse(rawJson) as unknown) : member(shown, 'raw'),
      },
    ];
  }
  if (kind === 'orderbook') {
    const levels = [...listIn(shown, 'bids'), ...listIn(shown, 'asks')];
    return [
      { time: member(shown, 'timestamp') },
      ...levels.map((level) => ({ price: member(level, 'price'), amount: member(level, 'amount') })),
    ];
  }
  if (kind === 'trades')
    return listIn(shown, 'trades').map((trade) => ({
      id: member(trade, 'trade_id'),
      price: member(trade, 'price'),
      amount: member(trade, 'amount'),
      time: member(trade, 'timestamp'),
      side: member(trade, 'side'),
    }));
  return listIn(shown, 'candles').map((candle) => ({
    time: member(candle, 'timestamp'),
    open: member(candle, 'open'),
    high: member(candle, 'high'),
    low: member(candle, 'low'),
    close: member(candle, 'close'),
    volume: member(candle, 'volume'),
  }));
};
