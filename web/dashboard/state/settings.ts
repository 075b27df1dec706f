/** What a person has chosen, kept by the browser: looks, keys, the watch list. Never a credential. */
import { effect, signal } from '@preact/signals';

const PREFIX = 'dashboard.';

const read = (name: string): string | null => {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    // Storage may be forbidden: then nothing is kept.
    return null;
  }
};

const write = (name: string, value: string): void => {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // As above.
  }
};

const kept = <T extends string>(name: string, values: readonly T[], fallback: T) => {
  const known = values.find((value) => value === read(name));
  const chosen = signal<T>(known ?? fallback);
  effect(() => write(name, chosen.value));
  return chosen;
};

export const THEMES = ['auto', 'light', 'dark'] as const;
export const theme = kept('theme', THEMES, 'auto');
export const PALETTES = ['green-red', 'blue-orange'] as const;
export const palette = kept('palette', PALETTES, 'green-red');
/** Shortcuts of one key can be turned off: people who dictate, or whose hands shake, press them unawares (WCAG 2.1.4). */
export const singleKeys = kept('keys', ['on', 'off'] as const, 'on');

effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
  document.documentElement.dataset['palette'] = palette.value;
});

export interface WatchedMarket {
  readonly exchange: string;
  readonly symbol: string;
}

export const keyOf = ({ exchange, symbol }: WatchedMarket): string => `${exchange} ${symbol}`;

/** `binance:BTC/USDT,kraken:BTC/USD`, split at the first colon of each: symbols may have one as well. */
const parseList = (text: string): WatchedMarket[] =>
  text.split(',').flatMap((entry) => {
    const [, exchange, symbol] = /^\s*([^:]+):(.+?)\s*$/.exec(entry) ?? [];
    return exchange === undefined || symbol === undefined
      ? []
      : [{ exchange: exchange.toLowerCase(), symbol }];
  });

const readList = (): readonly WatchedMarket[] => {
  const saved = read('watch');
  if (saved === null)
    return parseList(document.querySelector('meta[name=dashboard-watch]')?.getAttribute('content') ?? '');
  try {
    const list = JSON.parse(saved) as readonly WatchedMarket[];
    return list.filter(({ exchange, symbol }) => typeof exchange === 'string' && typeof symbol === 'string');
  } catch {
    return [];
  }
};

/** A row is a subscription, of which a connection has at most 200. */
const MAX_WATCHED = 100;

export const watchList = signal<readonly WatchedMarket[]>(readList());

const change = (list: readonly WatchedMarket[]): void => {
  watchList.value = list;
  write('watch', JSON.stringify(list));
};

export const watch = ({ exchange, symbol }: WatchedMarket): void => {
  const list = watchList.peek();
  if (list.some((other) => keyOf(other) === keyOf({ exchange, symbol }))) return;
  change([...list, { exchange, symbol }].slice(-MAX_WATCHED));
};

export const unwatch = (market: WatchedMarket): void =>
  change(watchList.peek().filter((other) => keyOf(other) !== keyOf(market)));
