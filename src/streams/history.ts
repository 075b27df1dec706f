/** What a topic has sent last, so that a client that comes back gets what it missed: nothing is kept for each client. */
import type { Gap } from './channels/channel-state.js';
import { type EventId, positionOf } from './event-ids.js';
import type { BookIntegrity } from '../schemas/market.js';
import type { StreamItem } from '../exchanges/exchange-client.js';

/** An item with its place in the hub's order. */
export interface Tick {
  readonly item: StreamItem;
  readonly id: EventId;
  /** How the order books of this stream are checked at present; undefined on other channels. */
  readonly bookIntegrity?: BookIntegrity | undefined;
}

/** Trades and candles are counted one by one. */
export const rowsOf = (item: StreamItem): number => {
  if (item.channel === 'trades') return item.trades.length;
  return item.channel === 'ohlcv' ? item.candles.length : 1;
};

/** What an open candle's next version takes the place of; null: nothing may. */
const movingCandle = (item: StreamItem): string | null => {
  const [candle, ...more] = item.channel === 'ohlcv' ? item.candles : [];
  return candle === undefined || candle.closed || more.length > 0 ? null : String(candle.timestamp);
};

/** Rows that are missing for good: a number where that is known, or a stretch of time. */
export type Loss = { readonly count: number | undefined } | Gap;

/** An event, or what was told to be lost between two of them. */
type Remembered = { readonly tick: Tick } | { readonly loss: Loss };

/** `complete`: `events` are all that came after the id. `partial`: `lost` rows came before them. `none`: it is not known. */
export type Resumption =
  | { readonly resumed: 'none' }
  | {
      readonly resumed: 'complete' | 'partial';
      /** Rows that are not remembered any more. */
      readonly lost: number | undefined;
      readonly events: readonly Remembered[];
      /** The id before the first of the events. */
      readonly after: EventId;
    };

/** What servers that share a feed keep of it behind an event. */
export interface Recalled {
  /** Rows in between that they do not keep any more; undefined: not known how many. */
  readonly lost: number | undefined;
  readonly ticks: readonly Tick[];
}

interface Kept {
  /** By rows, over all epochs of the topic: from where (exclusive) to where. */
  readonly start: number;
  readonly end: number;
  readonly what: Remembered;
  /** An entry right behind it with the same key takes its place; null: none may. */
  readonly key: string | null;
}

interface Epoch {
  /** The place of its `seq` 0. */
  readonly offset: number;
  /** Its highest `seq`. */
  last: number;
}

/** Feeds of a topic whose ids are known; the oldest is forgotten. */
const MAX_EPOCHS = 32;
/**
 * A server's own clients get an event before the others do: the id of one that was the last of its server may be ahead of
 * all that are known here. One event has no more rows.
 */
const MAX_AHEAD = 1_000;

export class History {
  readonly #capacity: number;
  readonly #epochs = new Map<string, Epoch>();
  #kept: Kept[] = [];
  /** The place of the latest row, and that of the last which is not remembered, with its id. */
  #end = 0;
  #begin = 0;
  #beginId: EventId = '';

  /** `capacity`: events that are remembered. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The event was made. */
  add(tick: Tick): void {
    const [rows, key] = [rowsOf(tick.item), movingCandle(tick.item)];
    const end = this.#place(tick.id, rows);
    const last = this.#kept.at(-1);
    const replaced = key !== null && last?.key === key ? last : null;
    if (replaced !== null) this.#kept.pop();
    if (this.#kept.length === 0 && replaced === null) this.#begin = end - rows;
    this.#kept.push({ start: replaced?.start ?? end - rows, end, what: { tick }, key });
    this.#trim();
  }

  /** Something is missing behind the latest event. */
  lose(loss: Loss): void {
    // Who has seen that event may have left before it was told.
    this.#kept.push({ start: this.#end, end: this.#end + 0.5, what: { loss }, key: null });
    this.#trim();
  }

  /** The place that ids of a feed count from: a client that has seen nothing but this id has missed nothing before. */
  begin(id: EventId): void {
    this.#end = this.#begin = this.#place(id, 0);
    this.#beginId = id;
  }

  knows(id: EventId): boolean {
    return this.#find(id) !== null;
  }

  since(id: EventId): Resumption {
    const place = this.#find(id);
    if (place === null) return { resumed: 'none' };
    const lost = Math.max(0, this.#begin - place);
    const events = this.#kept.filter(({ end }) => end > place).map(({ what }) => what);
    const isWhole = lost === 0 && events.every((event) => 'tick' in event);
    return { resumed: isWhole ? 'complete' : 'partial', lost, events, after: lost > 0 ? this.#beginId : id };
  }

  #find(id: EventId): number | null {
    const position = positionOf(id);
    const epoch = position === null ? undefined : this.#epochs.get(position.epoch);
    if (position === null || epoch === undefined || position.seq > epoch.last + MAX_AHEAD) return null;
    return epoch.offset + Math.min(position.seq, epoch.last);
  }

  /** Files the id; the answer is its place. */
  #place(id: EventId, rows: number): number {
    const position = positionOf(id);
    if (position === null) throw new Error(`${id} is no event id.`);
    let epoch = this.#epochs.get(position.epoch);
    if (epoch === undefined) {
      epoch = { offset: this.#end - (position.seq - rows), last: position.seq };
      this.#epochs.set(position.epoch, epoch);
      const [oldest] = this.#epochs.keys();
      if (this.#epochs.size > MAX_EPOCHS && oldest !== undefined) this.#epochs.delete(oldest);
    }
    epoch.last = Math.max(epoch.last, position.seq);
    this.#end = Math.max(this.#end, epoch.offset + position.seq);
    return this.#end;
  }

  #trim(): void {
    while (this.#kept.length > this.#capacity) {
      const dropped = this.#kept.shift();
      if (dropped === undefined) return;
      this.#begin = Math.floor(dropped.end);
      if ('tick' in dropped.what) this.#beginId = dropped.what.tick.id;
    }
  }

  /** The same, where servers that share the feed remember more than this one. */
  sinceWith(id: EventId, { lost, ticks }: Recalled): Resumption {
    const own = this.since(id);
    if (own.resumed === 'complete') return own;
    // What is not known here yet comes by itself.
    const last = ticks.findLastIndex((tick) => this.#isPast(tick.id));
    const known = ticks.slice(0, last + 1);
    const rest = known.length === 0 ? null : this.since(known.at(-1)?.id ?? '');
    if (known.length === 0 && lost === 0) return { resumed: 'complete', lost: 0, events: [], after: id };
    if (rest === null || rest.resumed === 'none') return own;
    const isWhole = lost === 0 && rest.resumed === 'complete';
    const events = [...known.map((tick) => ({ tick })), ...rest.events];
    return { resumed: isWhole ? 'complete' : 'partial', lost, events, after: id };
  }

  #isPast(id: EventId): boolean {
    const position = positionOf(id);
    const last = this.#epochs.get(position?.epoch ?? '')?.last;
    return position !== null && (last === undefined || position.seq <= last);
  }
}
