/**
 * CCXT renames currencies whose code means another coin elsewhere (Kraken's LUNA is LUNC, its LUNA2 is LUNA), but some
 * of its feeds subscribe by the unified name: the venue then sends another coin's prices under the asked-for name. Here
 * either the venue's own name goes out and comes back, or the feed is refused, so that the market is polled.
 */
import { AppError } from '../../../errors.js';
import type { UnifiedSymbol } from '../../../schemas/common.js';
import { type CcxtExchange, type Table, isTable, member, wrapMethod } from '../ccxt-exchange.js';

/** The name that a market has in the venue's feeds; undefined: the unified one. */
export type FeedNameOf = (market: unknown) => string | undefined;

const isText = (value: unknown): value is string => typeof value === 'string';
const sameCode = (id: unknown, code: unknown): boolean =>
  !isText(id) || !isText(code) || id.toUpperCase() === code.toUpperCase();

/**
 * Throws `not_supported_by_exchange` for a market whose currency CCXT renamed, at a venue whose feeds are subscribed by
 * unified codes.
 */
export const refuseRenamed = ({ markets, id }: CcxtExchange, symbol: UnifiedSymbol): void => {
  const market = member(markets, symbol);
  if (sameCode(member(market, 'baseId'), member(market, 'base'))) {
    if (sameCode(member(market, 'quoteId'), member(market, 'quote'))) return;
  }
  throw new AppError('not_supported_by_exchange', `${id}'s feeds know ${symbol} by another name only.`);
};

interface FeedNames {
  readonly venue: ReadonlyMap<UnifiedSymbol, string>;
  readonly unified: ReadonlyMap<string, UnifiedSymbol>;
}

/** By list of markets: CCXT makes a new object with each load. */
const known = new WeakMap<object, FeedNames>();

const NONE: FeedNames = { venue: new Map(), unified: new Map() };

const namesOf = (markets: CcxtExchange['markets'], nameOf: FeedNameOf): FeedNames => {
  if (markets === undefined) return NONE;
  const found = known.get(markets);
  if (found !== undefined) return found;
  const venue = new Map<UnifiedSymbol, string>();
  const unified = new Map<string, UnifiedSymbol>();
  for (const [symbol, market] of Object.entries(markets)) {
    const name = nameOf(market);
    if (name === undefined || name === symbol) continue;
    venue.set(symbol, name);
    unified.set(name, symbol);
  }
  const names = { venue, unified };
  known.set(markets, names);
  return names;
};

const swapped = (symbol: unknown, names: ReadonlyMap<string, string>): unknown => {
  if (isText(symbol)) return names.get(symbol) ?? symbol;
  return Array.isArray(symbol) ? symbol.map((one: unknown) => swapped(one, names)) : symbol;
};

/** `params.symbol` of a frame to the venue. */
const outgoing = (frame: unknown, { venue }: FeedNames): unknown => {
  const params = member(frame, 'params');
  const symbol = member(params, 'symbol');
  if (symbol === undefined) return frame;
  return { ...(frame as Table), params: { ...(params as Table), symbol: swapped(symbol, venue) } };
};

/** Rows as the venue sent them, by those that CCXT was given in their place. */
const asSent = new WeakMap<object, unknown>();

/** What CCXT has as `info`, as the venue sent it. */
export const rowAsSent = (info: unknown): unknown => (isTable(info) ? (asSent.get(info) ?? info) : info);

/** `data[].symbol` of a frame from the venue. */
const incoming = (frame: unknown, { unified }: FeedNames): unknown => {
  const data = member(frame, 'data');
  if (!Array.isArray(data)) return frame;
  const renamed = (row: unknown): unknown => {
    const symbol = member(row, 'symbol');
    const name = isText(symbol) ? unified.get(symbol) : undefined;
    if (name === undefined) return row;
    const changed = { ...(row as Table), symbol: name };
    asSent.set(changed, row);
    return changed;
  };
  return { ...(frame as Table), data: data.map(renamed) };
};

/** Once per instance, before it has a socket: CCXT binds `handleMessage` when it makes one. */
export const nameMarkets = (instance: CcxtExchange, nameOf: FeedNameOf): void => {
  for (const method of ['watch', 'watchMultiple'])
    wrapMethod(instance, method, (original) => (...args) => {
      const [url, hashes, frame, ...rest] = args;
      const named = outgoing(frame, namesOf(instance.markets, nameOf));
      return original.call(instance, url, hashes, named, ...rest);
    });
  wrapMethod(
    instance,
    'handleMessage',
    (original) => (client, frame) =>
      original.call(instance, client, incoming(frame, namesOf(instance.markets, nameOf))),
  );
};
