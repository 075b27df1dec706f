/** Keys that work wherever the focus is, but not in a field. */
import { signal } from '@preact/signals';
import { intervals, selectInterval, selection, selectMarket } from '../state/selection.js';
import { keyOf, singleKeys, watchList } from '../state/settings.js';
import { focusSearch } from './search.js';

export const isHelpOpen = signal(false);

const step = (by: number): void => {
  const list = watchList.peek();
  const now = selection.peek();
  const index = now === null ? -1 : list.findIndex((market) => keyOf(market) === keyOf(now));
  const next = list[Math.min(list.length - 1, Math.max(0, index + by))];
  if (next === undefined) return;
  selectMarket(next);
  const row = document.querySelector<HTMLElement>(`tr[data-market="${CSS.escape(keyOf(next))}"] a`);
  row?.focus();
};

const isTyped = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]');

const onKey = (event: KeyboardEvent): void => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || isTyped(target)) return;
  const inList = target instanceof HTMLElement && target.closest('.watch') !== null;
  if (inList && (key === 'ArrowDown' || key === 'ArrowUp')) step(key === 'ArrowDown' ? 1 : -1);
  else if (singleKeys.peek() === 'off' || isHelpOpen.peek()) return;
  else if (key === '/') focusSearch();
  else if (key === '?') isHelpOpen.value = true;
  else if (key === 'j' || key === 'k') step(key === 'j' ? 1 : -1);
  else if (/^[1-6]$/.test(key)) {
    const interval = intervals.peek()[Number(key) - 1];
    if (interval !== undefined) selectInterval(interval);
  } else return;
  event.preventDefault();
};

/** Ends by what it returns. */
export const listenToKeys = (): (() => void) => {
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
};
