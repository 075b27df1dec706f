/**
 * A view: what all clients that asked the same way (exchange name, threshold, stats) see of one topic. Events are made once for
 * all of them.
 *
 * A ticker event is due when `last` has moved by the threshold since the last event of that client's own stream. Clients
 * whose last event had the same price are one cohort: they share that decision and the event's bytes. A new subscriber
 * starts a cohort at the tick that it was shown; cohorts that move at the same tick become one.
 */
import type { StreamItem } from '../exchanges/exchange-client.js';
import type { Timers } from '../lib/timers.js';
import type { Millis } from '../schemas/common.js';
import type { SharedEvent, Subscriber } from './hub-api.js';
import { type EventSource, plainEventOf, tickerEventOf } from './events.js';
import type { Tick } from './history.js';

/** Decimal prices are no binary fractions: 100 to 100.1 is 0.1 % to a reader and a hair less to a double. */
const TOLERANCE = 1e-9;
const PERCENT_DECIMALS = 1e8;

/**
 * Whether `last` is at least `threshold` (a fraction) away from `base`. Without a price on either side, or from a base of
 * zero, any difference counts; a price that went missing is never an event.
 */
export const hasMoved = (base: number | null, last: number | null, threshold: number): boolean => {
  if (last === null) return false;
  if (base === null || base === 0) return last !== base;
  return Math.abs(last - base) >= threshold * Math.abs(base) * (1 - TOLERANCE);
};

/** Signed move in percent; 0 where there is nothing to compare with. */
export const percentMove = (base: number | null, last: number | null): number => {
  if (last === null || base === null || base === 0) return 0;
  const percent = ((last - base) / Math.abs(base)) * 100;
  return Math.round(percent * PERCENT_DECIMALS) / PERCENT_DECIMALS;
};

export interface Member {
  readonly subscriber: Subscriber;
  /** The id of its first event, which may be published once more while order books wait for their turn. */
  firstId?: string | undefined;
}

export interface View {
  readonly source: EventSource;
  readonly members: Set<Member>;
  /** Hands the item to every member for whom it is an event. Answers how many got it. */
  publish(tick: Tick): number;
  /** Takes the member in. Its own first event; undefined where nothing is known, or nothing that is new to `seenId`. */
  join(member: Member, tick: Tick | null, seenId: string | undefined): SharedEvent | undefined;
  /** May be called while the member is handed an event. */
  leave(member: Member): void;
}

export interface ViewOptions {
  readonly source: EventSource;
  readonly threshold: number;
  /** Tickers tell the venue's last 24 hours. */
  readonly stats: boolean;
  /** Hands over one event; a subscriber that throws affects no other. */
  readonly deliver: (subscriber: Subscriber, event: SharedEvent) => void;
}

type TickerItem = Extract<StreamItem, { channel: 'ticker' }>;

/** Members whose streams' last event had the same price. */
interface Cohort {
  base: number | null;
  /** Of the latest such event. */
  id: string;
  readonly members: Set<Member>;
}

class TickerView implements View {
  readonly members = new Set<Member>();
  readonly source: EventSource;
  readonly #options: ViewOptions;
  readonly #conflationKey: string;
  /** By base. */
  readonly #cohorts = new Map<number | null, Cohort>();
  readonly #cohortOf = new WeakMap<Member, Cohort>();
  #firstEvent: { readonly id: string; readonly event: SharedEvent } | null = null;

  constructor(options: ViewOptions) {
    this.#options = options;
    this.source = options.source;
    const { source, threshold, stats } = options;
    this.#conflationKey = `ticker ${source.name} ${source.topic.symbol} ${threshold}${stats ? ' stats' : ''}`;
  }

  publish({ item, id }: Tick): number {
    const { threshold, deliver } = this.#options;
    if (item.channel !== 'ticker') return 0;
    const moved: Cohort[] = [];
    for (const cohort of this.#cohorts.values())
      if (threshold <= 0 || hasMoved(cohort.base, item.last, threshold)) moved.push(cohort);
    let delivered = 0;
    for (const cohort of moved) {
      const event = this.#event(item, id, percentMove(cohort.base, item.last));
      delivered += cohort.members.size;
      for (const { subscriber } of cohort.members) deliver(subscriber, event);
    }
    for (const cohort of moved) this.#cohorts.delete(cohort.base);
    for (const cohort of moved) this.#rebase(cohort, item.last ?? cohort.base, id);
    return delivered;
  }

  join(member: Member, tick: Tick | null, seenId: string | undefined): SharedEvent | undefined {
    this.members.add(member);
    const item = tick?.item;
    if (tick === null || item?.channel !== 'ticker') {
      this.#enter(member, this.#cohortFor(null, ''));
      return undefined;
    }
    const { id } = tick;
    // A client that saw the last event of a cohort has missed none since; one that saw this very tick gets it no second time.
    const seen = seenId === undefined ? undefined : this.#cohortAt(seenId);
    this.#enter(member, seen ?? this.#cohortFor(item.last, id));
    if (seen !== undefined || seenId === id) return undefined;
    if (this.#firstEvent?.id !== id) this.#firstEvent = { id, event: this.#event(item, id, 0) };
    return this.#firstEvent.event;
  }

  leave(member: Member): void {
    this.members.delete(member);
    const cohort = this.#cohortOf.get(member);
    cohort?.members.delete(member);
    if (cohort?.members.size === 0 && this.#cohorts.get(cohort.base) === cohort)
      this.#cohorts.delete(cohort.base);
  }

  #cohortAt(seenId: string): Cohort | undefined {
    for (const cohort of this.#cohorts.values()) if (cohort.id === seenId) return cohort;
    return undefined;
  }

  #cohortFor(base: number | null, id: string): Cohort {
    const present = this.#cohorts.get(base);
    if (present !== undefined) return present;
    const cohort = { base, id, members: new Set<Member>() };
    this.#cohorts.set(base, cohort);
    return cohort;
  }

  #enter(member: Member, cohort: Cohort): void {
    cohort.members.add(member);
    this.#cohortOf.set(member, cohort);
  }

  /** Gives the cohort its new base, and unites it with the one that is there; the smaller one moves. */
  #rebase(cohort: Cohort, base: number | null, id: string): void {
    const present = this.#cohorts.get(base);
    const smaller = present !== undefined && present.members.size < cohort.members.size ? present : cohort;
    const larger = smaller === cohort ? present : cohort;
    if (larger !== undefined) for (const member of smaller.members) this.#enter(member, larger);
    const united = larger ?? cohort;
    united.base = base;
    united.id = id;
    if (united.members.size > 0) this.#cohorts.set(base, united);
  }

  #event(item: TickerItem, id: string, percent: number): SharedEvent {
    const { stats } = this.#options;
    return tickerEventOf(this.source, item, { percent, stats, id, conflationKey: this.#conflationKey });
  }
}

/** Trades, order books and candles: every item is an event. */
class PlainView implements View {
  readonly members = new Set<Member>();
  readonly source: EventSource;
  readonly #options: ViewOptions;

  constructor(options: ViewOptions) {
    this.#options = options;
    this.source = options.source;
  }

  publish({ item, ...place }: Tick): number {
    if (item.channel === 'ticker') return 0;
    const event = plainEventOf(this.source, item, place);
    for (const { subscriber, firstId } of this.members)
      if (firstId !== place.id) this.#options.deliver(subscriber, event);
    return this.members.size;
  }

  join(member: Member, tick: Tick | null, seenId: string | undefined): SharedEvent | undefined {
    this.members.add(member);
    if (tick === null) return undefined;
    const { item, ...place } = tick;
    member.firstId = place.id;
    if (item.channel === 'ticker' || seenId === place.id) return undefined;
    return plainEventOf(this.source, item, place);
  }

  leave(member: Member): void {
    this.members.delete(member);
  }
}

export const createView = (options: ViewOptions): View =>
  options.source.topic.channel === 'ticker' ? new TickerView(options) : new PlainView(options);

/** A client's first status says why a stream may be quiet although the market moves, and what to do about it. */
export const thresholdDetail = (threshold: number): string =>
  threshold <= 0
    ? 'Every tick is sent.'
    : `A ticker is sent when last has moved by ${Number((threshold * 100).toPrecision(6))} % since the one before; threshold=0 sends every tick.`;

/** For so long a new subscriber's first status waits for a feed that connects for the first time. */
const HELD_STATUS_MS: Millis = 1_000;

/**
 * A new subscriber's first status. While a feed connects for the first time nothing is wrong: for one second no status is
 * sent, and where its first message comes within that time, the first status is `live` without a `reconnecting` before it.
 */
export class FirstStatus {
  /** Of each member without a status: sends it. Empty once the second is over. */
  readonly #pending = new Map<object, () => void>();
  readonly #cancel: () => void;
  #holding = true;

  constructor(timers: Timers) {
    this.#cancel = timers.after(HELD_STATUS_MS, () => {
      this.end();
    });
  }

  /** Runs `tell` once the second is over, or at once where it is. */
  add(member: object, tell: () => void): void {
    if (this.#holding) this.#pending.set(member, tell);
    else tell();
  }

  /** The member has left. */
  forget(member: object): void {
    this.#pending.delete(member);
  }

  /** Sends their status to all that wait; later members get it at once. Returns those that got one. */
  end(): ReadonlySet<object> {
    this.#holding = false;
    this.#cancel();
    const informed = new Set(this.#pending.keys());
    for (const tell of this.#pending.values()) tell();
    this.#pending.clear();
    return informed;
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#cancel();
    this.#pending.clear();
  }
}
