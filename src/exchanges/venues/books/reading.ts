/** What the readers of the venues' order book messages share. A reader takes a message as it came, whatever it is. */
import type { UnifiedSymbol } from '../../../schemas/common.js';
import type { BookIntegrity } from '../../../schemas/market.js';
import type { ChangeNumber } from '../../ccxt/feeds/book-chain.js';
import type { BookContext, BookMessage, BookRecord } from '../../ccxt/feeds/book-guard.js';
import { member } from '../../ccxt/ccxt-exchange.js';

/** How a venue's live books are checked; null: nothing in its messages is judged here. */
export interface VenueBooks {
  readonly kind: BookIntegrity;
  readonly record: BookRecord | null;
}

/** Messages in a row that prove numbers of which the venue's documentation does not say that they have no holes. */
export const UNDOCUMENTED = 3;

const WHOLE_NUMBER = /^-?\d{1,30}$/;

/** Exact beyond what JavaScript's numbers hold where it came as text, as CCXT hands on numbers of 15 digits and more. */
const exact = (value: unknown): ChangeNumber | undefined => {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value !== 'string' || !WHOLE_NUMBER.test(value)) return undefined;
  const figure = Number(value);
  return Number.isSafeInteger(figure) ? figure : BigInt(value);
};

/** The first of several members that is a whole number. */
export const countIn = (table: unknown, ...keys: readonly string[]): ChangeNumber | undefined => {
  for (const key of keys) {
    const found = exact(member(table, key));
    if (found !== undefined) return found;
  }
  return undefined;
};

export const textIn = (table: unknown, key: string): string => {
  const value = member(table, key);
  return typeof value === 'string' ? value : '';
};

export const entryAt = (list: unknown, index: number): unknown =>
  Array.isArray(list) ? (list as unknown[])[index] : undefined;

interface IdOptions {
  readonly delimiter?: string;
  readonly type?: string;
}

/** As CCXT's handler of the venue names the market; undefined for a message without an id. */
export const symbolOf = (
  { instance }: BookContext,
  id: unknown,
  { delimiter, type }: IdOptions = {},
): UnifiedSymbol | undefined =>
  typeof id === 'string' && id !== ''
    ? (instance.safeSymbol(id, undefined, delimiter, type) as UnifiedSymbol)
    : undefined;

/** The symbol that CCXT keeps with what it subscribed. */
export const subscribedSymbol = ({ subscription }: BookContext): UnifiedSymbol | undefined => {
  const symbol = member(subscription, 'symbol');
  return typeof symbol === 'string' ? symbol : undefined;
};

/** One book, or none where the symbol is not known; an update unless it has `reset`. */
export const book = (
  symbol: UnifiedSymbol | undefined,
  numbers: Omit<BookMessage, 'symbol' | 'reset'> & { readonly reset?: boolean },
): readonly BookMessage[] => (symbol === undefined ? [] : [{ symbol, reset: false, ...numbers }]);

/** Where each message has one number, the next one. */
export const counted = (value: ChangeNumber | undefined) => ({ first: value, last: value });

export const urlOf = ({ client }: BookContext): string => textIn(client, 'url');
