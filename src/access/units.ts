/**
 * Units that consumers have used this day and month, by UTC, as far as this server knows: what the store said last, and
 * what was spent here since. Every server writes what it spent to the store and reads the sums back (metering.ts), so
 * that together they exceed a quota by what they serve between two flushes at most.
 */
import type { Millis } from '../schemas/common.js';

export interface UnitPeriods {
  readonly day: Millis;
  readonly month: Millis;
  /** First instants behind them. */
  readonly nextDay: Millis;
  readonly nextMonth: Millis;
}

/** The UTC day and month that `now` lies in, by their starts. */
const periodsAt = (now: Millis): UnitPeriods => {
  const date = new Date(now);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  return {
    day: Date.UTC(year, month, day),
    month: Date.UTC(year, month),
    nextDay: Date.UTC(year, month, day + 1),
    nextMonth: Date.UTC(year, month + 1),
  };
};

export interface UsedUnits {
  readonly day: number;
  readonly month: number;
}

interface Account {
  day: number;
  month: number;
  /** Of them, what the store has not been told yet. */
  unwritten: number;
  /** Start of the day that `day` is of; that of the month likewise. */
  ofDay: Millis;
  ofMonth: Millis;
  /** The store has said what was used before. */
  isKnown: boolean;
}

/** About 150 bytes each. */
const MAX_ACCOUNTS = 100_000;

export class Units {
  readonly #accounts = new Map<string, Account>();
  readonly #now: () => Millis;
  readonly #maxAccounts: number;
  #periods: UnitPeriods;

  constructor({
    now,
    maxAccounts = MAX_ACCOUNTS,
  }: {
    readonly now: () => Millis;
    readonly maxAccounts?: number;
  }) {
    this.#now = now;
    this.#maxAccounts = maxAccounts;
    this.#periods = periodsAt(now());
  }

  /** The periods of this instant. */
  periods(): UnitPeriods {
    const at = this.#now();
    if (at >= this.#periods.nextDay || at < this.#periods.day) this.#periods = periodsAt(at);
    return this.#periods;
  }

  #accountOf(consumer: string): Account {
    const { day, month } = this.periods();
    const known = this.#accounts.get(consumer);
    if (known !== undefined) {
      if (known.ofDay !== day) {
        // The day before is over; what was spent in it and is not written yet belongs to it.
        known.day = 0;
        known.ofDay = day;
        if (known.ofMonth !== month) known.month = 0;
        known.ofMonth = month;
      }
      return known;
    }
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size < this.#maxAccounts) break;
      this.#accounts.delete(oldest);
    }
    const opened = { day: 0, month: 0, unwritten: 0, ofDay: day, ofMonth: month, isKnown: false };
    this.#accounts.set(consumer, opened);
    return opened;
  }

  used(consumer: string): UsedUnits {
    return this.#accountOf(consumer);
  }

  /** Whether the store has said what the consumer used before. */
  isKnown(consumer: string): boolean {
    return this.#accountOf(consumer).isKnown;
  }

  /** The store does not say: what was counted here has to do. */
  assume(consumer: string): void {
    this.#accountOf(consumer).isKnown = true;
  }

  spend(consumer: string, units: number): void {
    const account = this.#accountOf(consumer);
    account.day += units;
    account.month += units;
    account.unwritten += units;
  }

  /** `units` of what was spent are with the store now, or lost. */
  written(consumer: string, units: number): void {
    const account = this.#accountOf(consumer);
    account.unwritten = Math.max(0, account.unwritten - units);
  }

  /** What all servers have written; `periods`: those that were asked about. */
  settle(consumer: string, sums: UsedUnits, { day, month }: Pick<UnitPeriods, 'day' | 'month'>): void {
    const account = this.#accountOf(consumer);
    account.isKnown = true;
    if (account.ofDay === day) account.day = sums.day + account.unwritten;
    if (account.ofMonth === month) account.month = sums.month + account.unwritten;
  }
}
