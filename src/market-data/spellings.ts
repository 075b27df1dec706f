/** Symbols that callers write otherwise than the venue's list. */
import { LRUCache } from 'lru-cache';
import type { ExchangeId, UnifiedSymbol } from '../schemas/common.js';

/**
 * What a text most likely means before a list of markets is there to say it: for CoinMarketCap, and for events of a
 * venue that can not be asked.
 */
export const likelySymbol = (text: string): UnifiedSymbol => {
  const [pair = '', ...settle] = text.trim().toUpperCase().split(':');
  return [pair.includes('/') ? pair : pair.replace(/[-_ ]/, '/'), ...settle].join(':');
};

const MAX_SPELLINGS = 10_000;

export interface Spellings {
  /** The symbol as the venue spells it, where that is known to differ; else as it came. */
  of(exchange: ExchangeId, symbol: string): string;
  learn(exchange: ExchangeId, symbol: string, spelling: UnifiedSymbol): void;
}

export const createSpellings = (): Spellings => {
  const known = new LRUCache<string, UnifiedSymbol>({ max: MAX_SPELLINGS });
  return {
    of: (exchange, symbol) => (known.size === 0 ? symbol : (known.get(`${exchange} ${symbol}`) ?? symbol)),
    learn: (exchange, symbol, spelling) => {
      known.set(`${exchange} ${symbol}`, spelling);
    },
  };
};
