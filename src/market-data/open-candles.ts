/** An OHLCV answer that outlived its open candle: the candle goes, for nobody knows any more how it closed. */
import { z } from 'zod';
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';

/** Members are checked here and kept as they came: the first one, the exchange's name, has to stay the first. */
const candleList = z.looseObject({ candles: z.array(z.looseObject({ closed: z.boolean() })) });

/** The entry with its closed candles only; itself where none is open. Costs a parse of the body. */
export const withoutOpenCandles = (entry: CacheEntry): CacheEntry => {
  const parsed: unknown = JSON.parse(entry.body.toString());
  const answer = candleList.parse(parsed);
  const candles = answer.candles.filter(({ closed }) => closed);
  if (candles.length === answer.candles.length) return entry;
  const body = Buffer.from(JSON.stringify({ ...Object(parsed), candles }));
  return { ...entry, body, etag: etagOf(body), closesAt: null };
};
