/** Answers and events as lines: for people, and as CSV. */
import { z } from 'zod';
import { ohlcv, orderBook, priceLevel, ticker, type Candle, type PriceLevel } from '../../schemas/market.js';
import { serverStatus } from '../../schemas/status.js';
import { table } from '../output.js';

type Cell = string | number | boolean | null | undefined;

const shown = (value: Cell): string => (value === null || value === undefined ? '-' : String(value));
/** Quoted where it has to be; nothing for null. */
const csvCell = (value: Cell): string => {
  const text = value === null || value === undefined ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const csvLine = (cells: readonly Cell[]): string => cells.map(csvCell).join(',');
const time = (at: number): string => new Date(at).toISOString();

/** Of a REST answer and of an event alike. */
const tickerLike = ticker.omit({ raw: true });
const bookLike = orderBook;
const candlesLike = ohlcv.pick({ exchange: true, symbol: true, interval: true, candles: true });

export interface Form {
  /** Head of CSV; null where there is none. */
  readonly csvHead: string | null;
  /** Lines of an answer or event. `first`: nothing was printed before. */
  csv(body: unknown): string[];
  plain(body: unknown): string[];
}

const levelsOf = (side: string, levels: readonly PriceLevel[]): [string, number, number][] =>
  levels.map(({ price, amount }) => [side, price, amount]);

const candleCells = ({ timestamp, open, high, low, close, volume, closed }: Candle): Cell[] => [
  ...[timestamp, open, high, low, close, volume, closed],
];

export const TICKER_FORM: Form = {
  csvHead: 'exchange,symbol,bid,ask,last,timestamp',
  csv(body) {
    const { exchange, symbol, bid, ask, last, timestamp } = tickerLike.parse(body);
    return [csvLine([exchange, symbol, bid, ask, last, timestamp])];
  },
  plain(body) {
    const { exchange, symbol, bid, ask, last, timestamp } = tickerLike.parse(body);
    return [
      `${exchange} ${symbol}  last ${shown(last)}  bid ${shown(bid)}  ask ${shown(ask)}  ${time(timestamp)}`,
    ];
  },
};

export const CANDLES_FORM: Form = {
  csvHead: 'timestamp,open,high,low,close,volume,closed',
  csv: (body) => candlesLike.parse(body).candles.map((candle) => csvLine(candleCells(candle))),
  plain: (body) =>
    candlesLike.parse(body).candles.map((candle) => {
      const { timestamp, open, high, low, close, volume, closed } = candle;
      const figures = `open ${shown(open)}  high ${shown(high)}  low ${shown(low)}  close ${shown(close)}`;
      return `${time(timestamp)}  ${figures}  volume ${shown(volume)}${closed ? '' : '  (open)'}`;
    }),
};

export const BOOK_FORM: Form = {
  csvHead: 'side,price,amount',
  csv(body) {
    const { bids, asks } = bookLike.parse(body);
    return [...levelsOf('bid', bids), ...levelsOf('ask', asks)].map(csvLine);
  },
  plain(body) {
    const { exchange, symbol, bids, asks, timestamp } = bookLike.parse(body);
    const rows = [['side', 'price', 'amount'], ...levelsOf('ask', asks).reverse(), ...levelsOf('bid', bids)];
    return [
      `${exchange} ${symbol}  ${time(timestamp)}`,
      ...table(rows.map((row) => row.map(String))).split('\n'),
    ];
  },
};

const top = z.object({ bids: z.array(priceLevel), asks: z.array(priceLevel), timestamp: z.number() });
/** A change of a book in one line. */
export const bookLine = (body: unknown): string => {
  const { bids, asks, timestamp } = top.parse(body);
  const [bid, ask] = [bids[0], asks[0]];
  return `bid ${shown(bid?.price)} (${shown(bid?.amount)})  ask ${shown(ask?.price)} (${shown(ask?.amount)})  ${time(timestamp)}`;
};

export const STATUS_FORM: Form = {
  csvHead: null,
  csv: () => [],
  plain(body) {
    const { version, uptime, sandbox, exchanges } = serverStatus.parse(body);
    const rows = exchanges.map(({ id, state, feeds, budget, circuit, last_error }) => [
      ...[id, state, `${feeds.live}/${feeds.polling}/${feeds.stale}`],
      ...[`${budget.remaining}/${budget.limit}`, circuit, last_error?.code ?? '-'],
    ]);
    const head = ['exchange', 'state', 'live/polling/stale', 'budget', 'circuit', 'last error'];
    return [
      `version ${version}, up ${Math.floor(uptime)} s${sandbox ? ', sandbox: simulated venues' : ''}`,
      ...table([head, ...rows]).split('\n'),
    ];
  },
};
