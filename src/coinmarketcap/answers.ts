/**
 * CoinMarketCap's answers. Versions differ in two places: v1 and v2 key the data by id (v2 with a list under a
 * symbol) and the quotes by currency; v3 has lists in both places. Everything else that they say is kept for `raw`.
 * https://coinmarketcap.com/api/documentation/v1/
 */
import { z } from 'zod';
import type { Millis } from '../schemas/common.js';

const money = z.looseObject({ price: z.number().nullable(), last_updated: z.string().optional() });
const bars = z.looseObject({
  open: z.number().nullable(),
  high: z.number().nullable(),
  low: z.number().nullable(),
  close: z.number().nullable(),
});

/** By currency code (v1, v2) or as a list of objects that name it (v3). */
const byCurrency = <T extends z.ZodType>(shape: T) =>
  z.union([
    z.array(z.intersection(z.looseObject({ symbol: z.string() }), shape)),
    z.record(z.string(), shape),
  ]);

const currency = z.looseObject({
  id: z.coerce.number(),
  symbol: z.string(),
  last_updated: z.string().optional(),
  quote: byCurrency(money),
});
const history = z.looseObject({
  id: z.coerce.number(),
  quotes: z.array(z.looseObject({ time_open: z.string(), quote: byCurrency(bars) })),
});

/** One object, a list of them, or either under keys. */
const listOf = <T extends z.ZodType>(shape: T) =>
  z
    .union([
      z.array(shape),
      shape.transform((one) => [one]),
      z.record(z.string(), z.union([shape, z.array(shape)])),
    ])
    .transform((data): z.output<T>[] =>
      Array.isArray(data) ? data : (Object.values(data).flat() as z.output<T>[]),
    );

/** `error_code` 0: all is well. */
export const statusAnswer = z.object({ status: z.object({ error_code: z.coerce.number() }) });
export const mapAnswer = z.object({
  data: z.array(
    z.object({
      id: z.number(),
      name: z.string(),
      symbol: z.string(),
      rank: z.number().nullish(),
      is_active: z.number().nullish(),
    }),
  ),
});
export const quotesAnswer = z.object({ data: listOf(currency) });
export const historyAnswer = z.object({ data: listOf(history) });

export type History = z.output<typeof history>;

/** The quote in `convert`, from either form. */
export const quoteIn = <T>(
  quote: (T & { symbol: string })[] | Record<string, T>,
  convert: string,
): T | undefined => {
  const quotes: [string, T][] = Array.isArray(quote)
    ? quote.map((one) => [one.symbol, one])
    : Object.entries(quote);
  return quotes.find(([symbol]) => symbol === convert)?.[1];
};

/** ISO 8601 as milliseconds; undefined where there is none or it is not one. */
export const instantOf = (text: string | undefined): Millis | undefined => {
  const at = text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
};
