/** Finding a venue's symbol: as written, in any case, and the nearest ones to what it does not have. */
import type { ExchangeId } from '../../schemas/common.js';
import type { Market } from '../../schemas/market.js';
import { editDistance } from '../../lib/edit-distance.js';

const MAX_SUGGESTIONS = 3;
/** Bases compared letter by letter per unknown symbol, so that hostile ones cost no more than a millisecond or two. */
const MAX_COMPARED = 4000;
const MAX_DISTANCE = 2;

/** The characters of a text as bits, several characters to a bit. */
const characterBits = (text: string): number => {
  let bits = 0;
  for (let i = 0; i < text.length; i += 1) bits |= 1 << (text.charCodeAt(i) & 31);
  return bits;
};

const countBits = (bits: number): number => {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1;
  return count;
};

/** An edit changes two characters' bits at most: texts that differ in more are too far apart, seen in nanoseconds. */
const mayBeNear = (a: number, b: number): boolean => countBits(a ^ b) <= 2 * MAX_DISTANCE;

/** A market by the names that it can be asked for. */
export type NamedMarket = Pick<Market, 'symbol' | 'base'> & { readonly id?: string };

/** Unified symbols that several markets of a venue share, with what each of them is listed as. */
export type AmbiguousSymbols = ReadonlyMap<string, readonly string[]>;

/** `symbols`: those that a text may mean; none: unknown; several: it names none of them. */
interface Resolution {
  readonly symbols: readonly string[];
}

export interface SymbolIndex {
  /** Exactly as listed, else in any case and with any separator, else the venue's own id. Safe for any text. */
  resolve(text: string): Resolution;
  /** At most three symbols like it, best first. */
  nearest(text: string): string[];
}

/** Coins that venues renamed for good; people go on asking for the old code. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['AGIX', 'FET'],
  ['BCC', 'BCH'],
  ['EOS', 'A'],
  ['FTM', 'S'],
  ['KLAY', 'KAIA'],
  ['LEND', 'AAVE'],
  ['LUNA', 'LUNC'],
  ['MATIC', 'POL'],
  ['MKR', 'SKY'],
  ['NANO', 'XNO'],
  ['OCEAN', 'FET'],
  ['RNDR', 'RENDER'],
  ['UST', 'USTC'],
  ['XBT', 'BTC'],
  ['XDG', 'DOGE'],
]);

const SEPARATOR = /[-_ ]/g;

/** `BTC-USDT` as `BTC/USDT`: with a slash in each place where it may belong, unless it has one. */
const spelled = (upper: string): string[] => {
  const [pair = '', ...settle] = upper.split(':');
  if (pair.includes('/')) return [upper];
  const pairs = Array.from(
    pair.matchAll(SEPARATOR),
    ({ index }) => `${pair.slice(0, index)}/${pair.slice(index + 1)}`,
  );
  return [upper, ...pairs.map((one) => [one, ...settle].join(':'))];
};

const ranked = (symbols: readonly string[], rank: (symbol: string) => number): string[] =>
  symbols
    .map((symbol) => ({ symbol, score: rank(symbol) }))
    .filter(({ score }) => Number.isFinite(score))
    .sort((a, b) => a.score - b.score || a.symbol.length - b.symbol.length || (a.symbol < b.symbol ? -1 : 1))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ symbol }) => symbol);

const grouped = (pairs: Iterable<readonly [key: string, symbol: string]>): Map<string, string[]> => {
  const groups = new Map<string, string[]>();
  for (const [key, symbol] of pairs) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [symbol]);
    else if (!group.includes(symbol)) group.push(symbol);
  }
  return groups;
};

export const createSymbolIndex = (
  markets: readonly NamedMarket[],
  ambiguous: AmbiguousSymbols = new Map(),
): SymbolIndex => {
  const exact = new Set(markets.map(({ symbol }) => symbol));
  const anyCase = grouped([
    ...markets.map(({ symbol }) => [symbol.toUpperCase(), symbol] as const),
    ...[...ambiguous].flatMap(([shared, names]) =>
      names.map((name) => [shared.toUpperCase(), name] as const),
    ),
  ]);
  const ids = grouped(markets.map(({ id, symbol }) => [id ?? symbol, symbol]));
  const idsInAnyCase = grouped(markets.map(({ id, symbol }) => [(id ?? symbol).toUpperCase(), symbol]));
  const byBase = new Map<string, { readonly bits: number; readonly symbols: string[] }>();
  for (const { symbol, base } of markets) {
    const key = base.toUpperCase();
    const known = byBase.get(key);
    if (known === undefined) byBase.set(key, { bits: characterBits(key), symbols: [symbol] });
    else known.symbols.push(symbol);
  }

  const resolve = (text: string): Resolution => {
    if (exact.has(text)) return { symbols: [text] };
    const trimmed = text.trim();
    if (exact.has(trimmed)) return { symbols: [trimmed] };
    const upper = trimmed.toUpperCase();
    const forgiven = new Set(spelled(upper).flatMap((spelling) => anyCase.get(spelling) ?? []));
    if (forgiven.size > 0) return { symbols: [...forgiven] };
    return { symbols: ids.get(trimmed) ?? idsInAnyCase.get(upper) ?? [] };
  };

  /** The base is known: its other pairs, those with the likest quote first. */
  const otherPairs = (base: string, rest: string): string[] | undefined => {
    const pairs = byBase.get(base)?.symbols.slice(0, MAX_COMPARED);
    return (
      pairs && ranked(pairs, (symbol) => editDistance(symbol.slice(base.length + 1).toUpperCase(), rest))
    );
  };

  /** The base is unknown: the same pair of the likest bases. */
  const otherBases = (base: string, rest: string): string[] => {
    const likely: string[] = [];
    const wantedBits = characterBits(base);
    let compared = 0;
    for (const [candidate, { bits, symbols }] of byBase) {
      if (!mayBeNear(bits, wantedBits)) continue;
      compared += 1;
      if (compared > MAX_COMPARED) break;
      if (editDistance(candidate, base, MAX_DISTANCE) <= MAX_DISTANCE) likely.push(...symbols);
    }
    const wanted = `${base}/${rest}`;
    return ranked(likely.slice(0, MAX_COMPARED), (symbol) => editDistance(symbol.toUpperCase(), wanted));
  };

  const near = (base: string, rest: string): string[] =>
    otherPairs(base, rest) ?? otherPairs(RENAMED.get(base) ?? base, rest) ?? otherBases(base, rest);

  return {
    resolve,
    nearest: (text) => {
      // Without a slash it may be a base alone, or an id of another venue.
      for (const spelling of spelled(text.trim().toUpperCase()).reverse()) {
        const [base = '', ...rest] = spelling.split('/');
        const found = near(base, rest.join('/'));
        if (found.length > 0) return found;
      }
      return [];
    },
  };
};

/** What a message repeats of a symbol, and how many symbols it names. */
const SHOWN_LENGTH = 64;
const SHOWN_SYMBOLS = 5;
/** Invisible characters could make a message read as something else. */
const printable = (text: string): string => text.replaceAll(/\p{C}/gu, '?');
const didYouMean = (symbols: readonly string[]): string =>
  symbols.length > 0 ? ` Did you mean ${symbols.join(', ')}?` : '';

/** Why `text` names no market of an exchange, or more than one, with the symbols that may be meant. */
export const whyUnresolved = (exchange: ExchangeId, text: string, index: SymbolIndex): string => {
  const { symbols } = index.resolve(text);
  const shown = printable(text.trim()).slice(0, SHOWN_LENGTH);
  return symbols.length === 0
    ? `${exchange} has no ${shown}.${didYouMean(index.nearest(text))}`
    : `${shown} is ambiguous on ${exchange}.${didYouMean(symbols.slice(0, SHOWN_SYMBOLS))}`;
};
