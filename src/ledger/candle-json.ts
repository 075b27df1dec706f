/** Stored candles as a part of the answer's JSON: numbers exactly as JSON.stringify prints them. */
import type { JsonCandles, SqlValue } from './sql.js';

/** What of a row of the table of candles is read for an answer, in this order. */
export const CANDLE_COLUMNS = ['ts', 'open', 'high', 'low', 'close', 'volume'] as const;

type CandleValues = readonly (SqlValue | undefined)[];

const encoder = new TextEncoder();

const figure = (value: SqlValue | undefined): number | null => {
  if (value === null || typeof value === 'number') return value;
  throw new Error('The store holds something unexpected in candles.');
};

const candleJson = ([ts, open, high, low, close, volume]: CandleValues): string =>
  `{"timestamp":${figure(ts)},"open":${figure(open)},"high":${figure(high)},"low":${figure(low)},` +
  `"close":${figure(close)},"volume":${figure(volume)},"closed":true}`;

/** Rows of the table of candles, oldest first. */
export const jsonCandles = (rows: readonly CandleValues[]): JsonCandles => ({
  json: encoder.encode(rows.map(candleJson).join(',')),
  count: rows.length,
  first: figure(rows[0]?.[0] ?? null),
  last: figure(rows.at(-1)?.[0] ?? null),
});
