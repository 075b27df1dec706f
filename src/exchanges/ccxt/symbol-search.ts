/** Finding a venue's symbol: as written, in any case, and the nearest ones to what it does not have. */
import type { Market } from '../../schemas/market.js';

const MAX_SUGGESTIONS = 3;
/** Bases compared letter by letter per unknown symbol, so that hostile ones cost no more than a millisecond or two. */
const MAX_COMPARED = 4000;
const MAX_DISTANCE = 2;

/** Levenshtein distance, or Infinity once it is certain to exceed `most`. */
export const editDistance = (a: string, b: string, most = Infinity): number => {
  if (Math.abs(a.length - b.length) > most) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    let best = i;
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const cost = Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(cost);
      best = Math.min(best, cost);
    }
    if (best > most) return Infinity;
    row = next;
  }
  return row[b.length] ?? Infinity;
};

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

export interface SymbolIndex {
  /** The venue's spelling; undefined where it has no such symbol. Safe for any text. */
  resolve(symbol: string): string | undefined;
  /** At most three symbols like it, best first. */
  nearest(symbol: string): string[];
}

const ranked = (symbols: readonly string[], rank: (symbol: string) => number): string[] =>
  symbols
    .map((symbol) => ({ symbol, score: rank(symbol) }))
    .filter(({ score }) => Number.isFinite(score))
    .sort((a, b) => a.score - b.score || a.symbol.length - b.symbol.length || (a.symbol < b.symbol ? -1 : 1))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ symbol }) => symbol);

export const createSymbolIndex = (markets: readonly Market[]): SymbolIndex => {
  const exact = new Set(markets.map(({ symbol }) => symbol));
  const anyCase = new Map(markets.map(({ symbol }) => [symbol.toUpperCase(), symbol]));
  const byBase = new Map<string, { readonly bits: number; readonly symbols: string[] }>();
  for (const { symbol, base } of markets) {
    const key = base.toUpperCase();
    const known = byBase.get(key);
    if (known === undefined) byBase.set(key, { bits: characterBits(key), symbols: [symbol] });
    else known.symbols.push(symbol);
  }

  /** The base is known: its other pairs, those with the likest quote first. */
  const otherPairs = (base: string, rest: string): string[] => {
    const pairs = (byBase.get(base)?.symbols ?? []).slice(0, MAX_COMPARED);
    return ranked(pairs, (symbol) => editDistance(symbol.slice(base.length + 1).toUpperCase(), rest));
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

  return {
    resolve: (symbol) => (exact.has(symbol) ? symbol : anyCase.get(symbol.toUpperCase())),
    nearest: (symbol) => {
      const [base = '', ...rest] = symbol.toUpperCase().split('/');
      return byBase.has(base) ? otherPairs(base, rest.join('/')) : otherBases(base, rest.join('/'));
    },
  };
};
