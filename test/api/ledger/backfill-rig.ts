/** Backfills in tests: ranges, what the venues were asked, and the simulated truth to compare with. */
import type { FastifyInstance } from 'fastify';
import { MINUTE, rangesOf, type LedgerRig } from './ledger-app.js';

export interface Asked {
  readonly exchange: string;
  readonly symbol: string;
  readonly interval: string;
  readonly from: number;
  readonly to: number;
}

/** `count` minutes of BTC/USDT on Binance that ended two hours ago. */
export const minutes = (rig: LedgerRig, count: number): Asked => {
  const to = Math.floor(rig.now() / MINUTE) * MINUTE - 120 * MINUTE;
  return { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from: to - count * MINUTE, to };
};

/** The start of each page that Binance was asked for. */
export const startTimes = (rig: LedgerRig): number[] =>
  rig.sandbox.control
    .requestLog()
    .filter(({ kind }) => kind === 'ohlcv')
    .map(({ query }) => Number(new URLSearchParams(query).get('startTime')));

const seriesOf = ({ exchange, symbol, interval }: Asked): string =>
  `exchange=${exchange}&symbol=${encodeURIComponent(symbol)}&interval=${interval}`;

/** Lines of the export of what a job asked for. */
export const exported = async (app: FastifyInstance, asked: Asked): Promise<string[]> => {
  const span = `&from=${asked.from}&to=${asked.to}`;
  const csv = await app.inject(`/v1/markets/ohlcv/export?${seriesOf(asked)}${span}&format=csv`);
  return csv.body.split('\r\n').slice(1, -1);
};

/** The same lines as they should be, of one-minute candles. */
export const truth = (rig: LedgerRig, { exchange, symbol, from, to }: Asked): string[] => {
  const venue = exchange === 'binance' ? 'binance' : 'coinbaseexchange';
  return rig.sandbox.market
    .candles(venue, symbol, { interval: '1m', from, to: to - MINUTE, now: rig.now() })
    .map(({ timestamp, open, high, low, close, volume }) =>
      [timestamp, open, high, low, close, volume, true].join(','),
    );
};

/** What coverage says of it: minutes since its beginning, state, reason. */
export const states = async (app: FastifyInstance, asked: Asked): Promise<unknown[][]> =>
  (await rangesOf(app, seriesOf(asked), `&from=${asked.from}&to=${asked.to}`)).map((range) => [
    (range.from - asked.from) / MINUTE,
    (range.to - asked.from) / MINUTE,
    range.state,
    ...(range.reason === undefined ? [] : [range.reason]),
  ]);
