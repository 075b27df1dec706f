/** Stored candles as a part of the answer's JSON: numbers exactly as JSON.stringify prints them. */
import type { StoredCandle } from './settle.js';

export const candleJson = ({ timestamp, open, high, low, close, volume }: StoredCandle): string =>
  `{"timestamp":${timestamp},"open":${open},"high":${high},"low":${low},"close":${close},"volume":${volume},"closed":true}`;
