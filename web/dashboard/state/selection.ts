/** The selected market and interval, and the part of the page that is shown where there is room for one only. */
import { computed, effect, signal } from '@preact/signals';
import { DEFAULT_INTERVAL, formatAddress, parseAddress, type Selection } from './address.js';
import { findMarket } from './markets.js';
import { access, askAgain, describe, exchanges } from './server.js';
import { watch, watchList, type WatchedMarket } from './settings.js';

/** Where the address names no market, the first of the watch list is selected; null: there is none. */
const wanted = (): Selection | null => {
  const [first] = watchList.peek();
  const fallback = first === undefined ? null : { ...first, interval: DEFAULT_INTERVAL };
  return parseAddress(location.hash) ?? fallback;
};

export const selection = signal<Selection | null>(wanted());
/** Why the selected market cannot be shown. */
export const selectionFault = signal<string | null>(null);

/** Changes the address too. At once: the browser tells of it later, when the next key may have been pressed. */
const select = (next: Selection): void => {
  selection.value = next;
  location.hash = formatAddress(next);
};

export const selectMarket = (market: WatchedMarket): void =>
  select({ ...market, interval: selection.peek()?.interval ?? DEFAULT_INTERVAL });

export const selectInterval = (interval: string): void => {
  const now = selection.peek();
  if (now !== null) select({ ...now, interval });
};

export const intervals = computed<readonly string[]>(() => {
  const id = selection.value?.exchange;
  return exchanges.value.find((exchange) => exchange.id === id)?.intervals ?? [];
});

/** The spelling of the server takes the place of what was typed. A market that is selected is watched. */
const settle = async (asked: Selection): Promise<void> => {
  try {
    const market = await findMarket(asked);
    if (selection.peek() !== asked) return;
    if (market === null) selectionFault.value = `${asked.exchange} has no market ${asked.symbol}.`;
    else if (market.symbol === asked.symbol) {
      selectionFault.value = null;
      watch(asked);
    } else {
      history.replaceState(null, '', formatAddress({ ...asked, symbol: market.symbol }));
      selection.value = { ...asked, symbol: market.symbol };
    }
  } catch (error) {
    if (selection.peek() !== asked) return;
    selectionFault.value = describe(error);
    askAgain(error, () => {
      if (selection.peek() === asked) void settle(asked);
    });
  }
};

const WIDE = matchMedia('(min-width: 1100px)');
const NARROW = matchMedia('(max-width: 699px)');
export type Layout = 'wide' | 'medium' | 'narrow';
const layoutNow = (): Layout => (WIDE.matches ? 'wide' : NARROW.matches ? 'narrow' : 'medium');
export const layout = signal<Layout>(layoutNow());

export const PANELS = ['Watch', 'Chart', 'Book', 'Trades', 'Health'] as const;
export type Panel = (typeof PANELS)[number];
/** On a phone the panel that is seen. */
export const panel = signal<Panel>(parseAddress(location.hash) === null ? 'Watch' : 'Chart');
/** In a window of middle width, beside the chart. */
export const side = signal<'Book' | 'Trades'>('Book');
/** What is seen is subscribed, and nothing else. */
export const isSeen = (name: Panel): boolean => {
  if (layout.value === 'wide') return true;
  if (layout.value === 'narrow') return panel.value === name;
  return name === 'Book' || name === 'Trades' ? side.value === name : true;
};

export const startSelection = (): void => {
  addEventListener('hashchange', () => {
    const next = wanted();
    const now = selection.peek();
    if (next === null || now === null || formatAddress(next) !== formatAddress(now)) selection.value = next;
    if (parseAddress(location.hash) !== null && panel.peek() === 'Watch') panel.value = 'Chart';
  });
  for (const query of [WIDE, NARROW]) query.addEventListener('change', () => (layout.value = layoutNow()));
  effect(() => {
    const asked = selection.value;
    // The market was not in the address: it is written there without a step in the browser's history.
    if (asked !== null && parseAddress(location.hash) === null)
      history.replaceState(null, '', formatAddress(asked));
    if (asked !== null && access.value === 'open') void settle(asked);
    else selectionFault.value = null;
  });
};
