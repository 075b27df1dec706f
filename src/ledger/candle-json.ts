/** Stored candles as a part of the answer's JSON: numbers exactly as JSON.stringify prints them. */
import { candleOf } from './rows.js';
import type { StoredCandle } from './settle.js';
import type { JsonCandles, SqlRow } from './sql.js';

const encoder = new TextEncoder();

const candleJson = ({ timestamp, open, high, low, close, volume }: StoredCandle): string =>
  `{"timestamp":${timestamp},"open":${open},"high":${high},"low":${low},"close":${close},"volume":${volume},"closed":true}`;

/** Rows of the table of candles, oldest first. */
export const jsonCandles = (rows: readonly SqlRow[]): JsonCandles => {
  const candles = rows.map(candleOf);
  return {
    json: encoder.encode(candles.map(candleJson).join(',')),
    count: candles.length,
    first: candles[0]?.timestamp ?? null,
    last: candles.at(-1)?.timestamp ?? null,
  };
};
