/** Finds markets of all exchanges by their names: a combobox with a list of options (ARIA's pattern of that name). */
import { signal } from '@preact/signals';
import { createRef } from 'preact';
import type { Market } from '../../client/client.js';
import { access, client, describe, exchanges } from '../state/server.js';
import { selectMarket } from '../state/selection.js';
import type { WatchedMarket } from '../state/settings.js';

const PAUSE_MS = 150;
const LIMIT = 8;

const found = signal<readonly (WatchedMarket & { readonly type: string })[]>([]);
const isOpen = signal(false);
const active = signal(-1);
const note = signal('');
const input = createRef<HTMLInputElement>();
/** Preact's types know this role of a field with a `datalist` only. */
const COMBOBOX: object = { role: 'combobox' };

let asked = '';
let timer: ReturnType<typeof setTimeout> | undefined;

/** Each exchange answers for itself: one that does not is named, and the others are shown. */
const search = async (text: string): Promise<void> => {
  // Who the exchanges are is not known yet: whoever types at once is answered then.
  if (exchanges.peek().length === 0) {
    timer = setTimeout(() => void search(text), PAUSE_MS);
    return;
  }
  asked = text;
  const failures: string[] = [];
  const lists = await Promise.all(
    exchanges.peek().map(async ({ id }) => {
      try {
        const { markets } = await client.peek().markets({ exchange: id, search: text, limit: LIMIT });
        return markets.map(({ symbol, type }: Market) => ({ exchange: id, symbol, type }));
      } catch (error) {
        failures.push(`${id}: ${describe(error)}`);
        return [];
      }
    }),
  );
  if (asked !== text) return;
  // In turn, so that no exchange fills the list alone.
  const longest = Math.max(0, ...lists.map((list) => list.length));
  found.value = Array.from({ length: longest }, (_, index) =>
    lists.flatMap((list) => list[index] ?? []),
  ).flat();
  active.value = -1;
  isOpen.value = true;
  note.value = failures.join(' ');
  if (found.value.length === 0 && failures.length === 0) note.value = `No market is named like ${text}.`;
};

const type = (text: string): void => {
  clearTimeout(timer);
  const wanted = text.trim();
  if (wanted === '') {
    close();
    return;
  }
  // What was found for less than this must not be chosen by a quick Enter.
  found.value = [];
  timer = setTimeout(() => void search(wanted), PAUSE_MS);
};

const close = (): void => {
  clearTimeout(timer);
  asked = '';
  isOpen.value = false;
  found.value = [];
  note.value = '';
};

const choose = (market: WatchedMarket | undefined): void => {
  if (market === undefined) return;
  selectMarket({ exchange: market.exchange, symbol: market.symbol });
  if (input.current !== null) input.current.value = '';
  close();
  input.current?.blur();
};

const move = (step: number): void => {
  const { length } = found.value;
  if (length > 0) active.value = (active.value + step + length) % length;
  document.getElementById(`found-${active.value}`)?.scrollIntoView({ block: 'nearest' });
};

const onKey = (event: KeyboardEvent): void => {
  if (event.key === 'ArrowDown') move(1);
  else if (event.key === 'ArrowUp') move(active.value < 0 ? 0 : -1);
  else if (event.key === 'Enter') choose(found.value[Math.max(0, active.value)]);
  else if (event.key === 'Escape') {
    close();
    input.current?.blur();
  } else return;
  event.preventDefault();
};

export const focusSearch = (): void => input.current?.focus();

export const Search = () => (
  <div class="search" role="search">
    <input
      ref={input}
      type="search"
      {...COMBOBOX}
      aria-label="Search markets"
      aria-expanded={isOpen.value}
      aria-controls="found"
      aria-autocomplete="list"
      aria-activedescendant={active.value < 0 ? undefined : `found-${active.value}`}
      placeholder="Search markets  /"
      autocomplete="off"
      spellcheck={false}
      maxLength={64}
      disabled={access.value === 'needed' || access.value === 'refused'}
      onInput={(event) => type(event.currentTarget.value)}
      onKeyDown={onKey}
      onBlur={() => setTimeout(close, PAUSE_MS)}
    />
    <ul
      id="found"
      role="listbox"
      aria-label="Markets found"
      hidden={!isOpen.value || found.value.length === 0}
    >
      {found.value.map((market, index) => (
        <li
          id={`found-${index}`}
          role="option"
          aria-selected={index === active.value}
          onMouseDown={(event) => {
            event.preventDefault();
            choose(market);
          }}
        >
          <span>{market.symbol}</span> <small>{`${market.exchange} ${market.type}`}</small>
        </li>
      ))}
    </ul>
    <p class="search-note" role="status" hidden={note.value === ''}>
      {note}
    </p>
  </div>
);
