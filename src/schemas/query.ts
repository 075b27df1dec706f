/** What callers may send. Symbols and exchanges are only bounded here; their meaning is checked by the services. */
import { z } from 'zod';
import { MAX_EXCHANGE_LENGTH, MAX_SYMBOL_LENGTH } from './common.js';

/** A decimal integer as it stands in a URL; anything else (`1e3`, ` 5`, `NaN`, `0x10`) is refused. */
const urlInteger = (min: number, max: number) =>
  z
    .string()
    .regex(/^-?\d{1,16}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.int().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .meta({ type: 'integer', minimum: min, maximum: max });

/** zod leaves the default out of what it tells of a converted input: `x-default` carries it to the documents. */
const atMost = (max: number, fallback: number) =>
  urlInteger(1, max).default(fallback).meta({ 'x-default': fallback });

/** For what is missing; anything else that is wrong is said in the words that all input shares. */
const requiredLike =
  (example: string) =>
  ({ input }: { readonly input?: unknown }): string | undefined =>
    input === undefined ? `is required, for example ${example}` : undefined;

const exchange = z
  .string({ error: requiredLike('binance') })
  .trim()
  .min(1, 'must not be empty; for example binance')
  .max(MAX_EXCHANGE_LENGTH, `must be at most ${MAX_EXCHANGE_LENGTH} characters`)
  .regex(/^[A-Za-z0-9_]+$/, 'must be a CCXT exchange id such as binance')
  .transform((id) => id.toLowerCase())
  .meta({ description: 'CCXT exchange id, any case', example: 'binance' });

/** A symbol of up to four bytes a character in base64. */
const MAX_CURSOR_LENGTH = 1024;

/** Line breaks, NUL and their like, and halves of characters: in no name, and harmful in logs. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;
const isPrintable = (text: string): boolean => !UNPRINTABLE.test(text);

/**
 * Only bounded here: what a symbol looks like is the venue's own, so that whatever its list of markets has can be asked
 * for (`Tokamak Network/KRW`, `GAMECOM_BSC/USDT`). What is not in the list is refused by the list.
 */
const symbol = z
  .string({ error: requiredLike('BTC/USDT') })
  .max(MAX_SYMBOL_LENGTH, `must be at most ${MAX_SYMBOL_LENGTH} characters`)
  .refine((text) => text.trim() !== '', 'must not be empty; for example BTC/USDT')
  .refine(isPrintable, 'must not contain control characters')
  .meta({
    description:
      "Symbol as /v1/markets lists it; BTC-USDT, BTC_USDT, lower case and the exchange's own id are accepted where they name one market",
    example: 'BTC/USDT',
  });

const currency = z
  .string()
  .trim()
  .regex(/^[A-Za-z0-9]{1,12}$/, 'must be a currency code such as USD')
  .transform((code) => code.toUpperCase());

const asset = z
  .string()
  .max(MAX_SYMBOL_LENGTH, `must be at most ${MAX_SYMBOL_LENGTH} characters`)
  .refine((text) => text.trim() !== '', 'must not be empty; for example BTC')
  .refine(isPrintable, 'must not contain control characters')
  .transform((code) => code.trim().toUpperCase())
  .meta({ description: 'Currency code, any case', example: 'BTC' });

const interval = z
  .string()
  .regex(/^\d{1,3}[smhdwMy]$/, 'must look like 1m, 5m, 15m, 1h or 1d')
  .meta({ example: '1m' });

/** 2100-01-01: later instants are typing errors (microseconds for milliseconds). */
const LATEST_INSTANT = 4_102_444_800_000;
/** 2001-01-01: earlier milliseconds that are an instant of this century as seconds are seconds. */
const CENTURY = 978_307_200;

const ISO_8601 =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?([Zz]|[+ -]\d\d(?::?\d\d)?)?)?$/;

const EXPECTED = 'must be milliseconds since the epoch or ISO 8601, for example 2026-01-31T12:00:00Z';

/** null: no instant. Without a zone it is UTC; a `+` that came unescaped in a URL is a blank. */
const parseIso = (text: string): number | null => {
  const match = ISO_8601.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  const date = `${year ?? ''}-${month ?? ''}-${day ?? ''}`;
  const utc = Date.parse(`${date}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0').slice(0, 3)}Z`);
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(utc) || (hour !== '24' && new Date(utc).toISOString().slice(0, 10) !== date)) return null;
  const digits = zone.replace(/\D/g, '').padEnd(4, '0');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  const ahead = zone.startsWith('-') ? -minutes : minutes;
  return /^z$/i.test(zone) ? utc : utc - ahead * 60_000;
};

/** The instant that a text names, or why it names none. */
const instantOf = (text: string): number | string => {
  const isNumber = /^-?\d{1,16}$/.test(text);
  const at = isNumber ? Number(text) : parseIso(text);
  if (at === null || !Number.isInteger(at)) return EXPECTED;
  if (isNumber && at >= CENTURY && at < CENTURY * 1000)
    return `must be in milliseconds: ${text} looks like seconds, which would be ${text}000`;
  if (at < 0) return 'must be at least 0';
  return at <= LATEST_INSTANT ? at : `must be at most ${LATEST_INSTANT}`;
};

/** An instant as callers write one, as milliseconds. */
const toInstant = (value: string, context: z.RefinementCtx): number => {
  const instant = instantOf(value);
  if (typeof instant === 'number') return instant;
  context.addIssue({ code: 'custom', message: instant });
  return z.NEVER;
};

const INSTANT = 'ms since the epoch, or ISO 8601 (UTC where it names no zone)';
const SINCE = `First candle wanted: ${INSTANT}; default: the latest candles before until`;
const UNTIL = `End of the range, itself not in it: ${INSTANT}; default: now`;

const urlInstant = z
  .string(EXPECTED)
  .max(40, EXPECTED)
  .transform(toInstant)
  .meta({ type: ['integer', 'string'] });

/** Off unless it is asked for; as people and programs write it in a URL. */
const urlFlag = z
  .enum(['0', '1', 'false', 'true'], 'must be true or false')
  .transform((text) => text === '1' || text === 'true');

const stats = urlFlag.optional().meta({
  ...{ type: 'boolean', enum: [true, false] },
  description: "true: with the venue's last 24 hours as stats",
});

export const tickerQuery = z.strictObject({
  exchange,
  symbol,
  stats,
  convert: currency.optional().meta({
    description: 'Currency of a CoinMarketCap fallback quote; default: the quote currency',
    example: 'USD',
  }),
});
/** Symbols of one request for several tickers. */
const MAX_TICKERS = 100;

export const tickersQuery = z.strictObject({
  exchange,
  symbols: z
    .string({ error: requiredLike('BTC/USDT,ETH/USDT') })
    .transform((text) => [...new Set(text.split(',').map((each) => each.trim()))])
    .pipe(z.array(symbol).max(MAX_TICKERS, `must be at most ${MAX_TICKERS} symbols, separated by commas`))
    .meta({ description: `At most ${MAX_TICKERS}, separated by commas`, example: 'BTC/USDT,ETH/USDT' }),
  stats,
});
/** Candles of an answer where no limit is given. */
export const DEFAULT_CANDLES = 500;

export const ohlcvQuery = z.strictObject({
  exchange,
  symbol,
  interval: interval.default('1m'),
  since: urlInstant.optional().meta({ description: SINCE, example: '1699000000000' }),
  until: urlInstant.optional().meta({ description: UNTIL, example: '2026-01-31T12:00:00Z' }),
  limit: atMost(2000, DEFAULT_CANDLES),
});
/** Candles over HTTP, which leave in two forms. */
export const candlesQuery = ohlcvQuery.extend({
  // Without a default: a plan may have a lower one.
  limit: urlInteger(1, 2000).optional().meta({ 'x-default': DEFAULT_CANDLES }),
  format: z.enum(['json', 'csv'], 'must be json or csv').optional().meta({
    description: 'Default: CSV where Accept prefers text/csv, else JSON',
  }),
  download: z
    .enum(['0', '1', 'false', 'true'], 'must be 1 or 0')
    .default('0')
    .transform((text) => text === '1' || text === 'true')
    .meta({ type: 'integer', enum: [0, 1], 'x-default': 0, description: '1: as a file to be saved' }),
});
export const orderBookQuery = z.strictObject({ exchange, symbol, limit: atMost(1000, 50) });
export const tradesQuery = z.strictObject({ exchange, symbol, limit: atMost(1000, 100) });
export const marketsQuery = z.strictObject({
  exchange,
  base: asset.optional(),
  quote: asset.optional(),
  search: z
    .string()
    .trim()
    .min(1)
    .max(MAX_SYMBOL_LENGTH)
    .optional()
    .meta({ description: "Part of a symbol or of the exchange's own id, any case" }),
  limit: atMost(1000, 100),
  cursor: z
    .string()
    .max(MAX_CURSOR_LENGTH)
    .optional()
    .meta({ description: 'next_cursor of the page before' }),
});
/** A decimal number below 10 in every form in which languages print one, `1e-7` included; no sign, no hex. */
const SMALL_NUMBER = /^\d(?:\.\d{1,24})?(?:[eE][+-]?\d{1,3})?$/;

/** A browser repeats the id that the server gave it; ours are short. */
export const MAX_LAST_EVENT_ID_LENGTH = 128;

/** Judged before the query is read. */
const ticket = z.string().max(64, 'must be a ticket of POST /v1/tickets').optional().meta({
  description: 'Ticket of POST /v1/tickets, in the place of a credential in a header',
});

export const tickerStreamQuery = z.strictObject({
  exchange,
  symbol,
  threshold: z
    .string()
    .regex(SMALL_NUMBER, 'must be a fraction from 0 to 1, for example 0.001')
    .transform(Number)
    .pipe(z.number().min(0).max(1, 'must be at most 1'))
    .optional()
    .meta({
      description: 'Fraction that last must move before an event is sent; 0: every tick',
      type: 'number',
      minimum: 0,
      maximum: 1,
      example: 0.001,
    }),
  stats,
  last_event_id: z
    .string()
    .max(MAX_LAST_EVENT_ID_LENGTH, `must be at most ${MAX_LAST_EVENT_ID_LENGTH} characters`)
    .optional()
    .meta({
      description:
        'Id of the last event that was seen, for pages that open a new EventSource with a new ticket; a Last-Event-ID header counts more',
    }),
  ticket,
});

/** Of the addresses that need no more than a credential. */
export const ticketQuery = z.strictObject({ ticket });

const storedSeries = { exchange, symbol, interval: interval.default('1m') };
export const coverageQuery = z.strictObject({
  ...storedSeries,
  from: urlInstant.optional(),
  to: urlInstant.optional(),
});
export const revisionsQuery = z.strictObject({
  ...storedSeries,
  from: urlInstant.optional(),
  to: urlInstant.optional(),
  limit: atMost(1000, 100),
});
export const exportQuery = z.strictObject({
  ...storedSeries,
  from: urlInstant.optional(),
  to: urlInstant.optional(),
  format: z.enum(['csv', 'parquet'], 'must be csv or parquet').default('csv'),
});
const instantInJson = z
  .preprocess((value) => (typeof value === 'number' ? String(value) : value), z.string().transform(toInstant))
  .meta({ type: ['integer', 'string'] });
export const backfillBody = z.strictObject({
  exchange,
  symbol,
  interval,
  from: instantInJson,
  to: instantInJson.optional(),
});
export const backfillParams = z.strictObject({ id: z.string().trim().min(1).max(64) });
