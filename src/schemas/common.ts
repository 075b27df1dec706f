/** The small words that every other schema is made of. */
import { z } from 'zod';

/** Milliseconds since the epoch, or a duration in milliseconds; the name says which. */
export type Millis = number;
export type Seconds = number;

/** A CCXT exchange id in lower case (`binance`), as CCXT itself spells it; never an alias. */
export type ExchangeId = string;
/** A symbol as the venue's list of markets writes it: `BTC/USDT`, `BTC/USDT:USDT`, `Tokamak Network/KRW`. */
export type UnifiedSymbol = string;

export const MAX_EXCHANGE_LENGTH = 32;
export const MAX_SYMBOL_LENGTH = 128;

/** A number that a venue may leave out. Never 0 for "unknown", never NaN or Infinity. */
export const nullableNumber = z.number().nullable();

/** A point in time: a whole number of milliseconds since the epoch. */
export const timestamp = z
  .int()
  .nonnegative()
  .meta({ description: 'Milliseconds since the epoch', example: 1699000000000 });

export const exchangeName = z
  .string()
  .meta({ description: 'Exchange name as asked for, in lower case', example: 'binance' });

export const unifiedSymbol = z.string().meta({ description: 'Unified symbol', example: 'BTC/USDT' });
