/**
 * CCXT renames currencies whose code means another coin elsewhere (Kraken's LUNA is LUNC, its LUNA2 is LUNA), but some
 * of its feeds subscribe by the unified name: the venue then sends another coin's prices under the asked-for name. Here
 * either the venue's own name goes out and comes back, or the feed is refused, so that the market is polled.
 */
import { AppError } from '../../../errors.js';
import type { UnifiedSymbol } from '../../../schemas/common.js';
import type { CcxtExchange } from '../ccxt-exchange.js';
import { isMethod, isTable, member } from '../tables.js';

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

const namesOf = (markets: unknown, nameOf: FeedNameOf): FeedNames | undefined => {
  if (!isTable(markets)) return undefined;
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
  if (!isTable(frame) || !isTable(params) || !('symbol' in params)) return frame;
  return { ...frame, params: { ...params, symbol: swapped(params['symbol'], venue) } };
};

/** Rows as the venue sent them, by those that CCXT was given in their place. */
const asSent = new WeakMap<object, unknown>();

/** What CCXT has as `info`, as the venue sent it. */
export const rowAsSent = (info: unknown): unknown => (isTable(info) ? (asSent.get(info) ?? info) : info);

/** `data[].symbol` of a frame from the venue. */
const incoming = (frame: unknown, { unified }: FeedNames): unknown => {
  const data = member(frame, 'data');
  if (!isTable(frame) || !Array.isArray(data)) return frame;
  const renamed = (row: unknown): unknown => {
    const symbol = member(row, 'symbol');
    const name = isText(symbol) ? unified.get(symbol) : undefined;
    if (name === undefined || !isTable(row)) return row;
    const changed = { ...row, symbol: name };
    asSent.set(changed, row);
    return changed;
  };
  return { ...frame, data: data.map(renamed) };
};

/** Once per instance, before it has a socket: CCXT binds `handleMessage` when it makes one. */
export const nameMarkets = (instance: CcxtExchange, nameOf: FeedNameOf): void => {
  for (const method of ['watch', 'watchMultiple']) {
    const original: unknown = Reflect.get(instance, method);
    if (!isMethod(original)) continue;
    Reflect.set(instance, method, (...args: readonly unknown[]) => {
      const names = namesOf(instance.markets, nameOf);
      const [url, hashes, frame, ...rest] = args;
      return original.call(
        instance,
        url,
        hashes,
        names === undefined ? frame : outgoing(frame, names),
        ...rest,
      );
    });
  }
  const handle: unknown = Reflect.get(instance, 'handleMessage');
  if (!isMethod(handle)) return;
  Reflect.set(instance, 'handleMessage', (client: unknown, frame: unknown) => {
    const names = namesOf(instance.markets, nameOf);
    return handle.call(instance, client, names === undefined ? frame : incoming(frame, names));
  });
};
