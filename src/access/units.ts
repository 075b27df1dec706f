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
  /** Of them, what other processes of this server have spent and not told the store yet, as far as they said. */
  elsewhere: number;
  /** When they last said so. */
  elsewhereAt: Millis;
  /** Start of the day that `day` is of; that of the month likewise. */
  ofDay: Millis;
  ofMonth: Millis;
  /** The store has said what was used before. */
  isKnown: boolean;
}

/** About 150 bytes each. */
const MAX_ACCOUNTS = 100_000;
/** What is not written by then was lost with its process. */
const ELSEWHERE_MS: Millis = 60_000;

/** What a process did with units of a consumer: spent some, or told the store of some. */
export interface UnitsChange {
  readonly kind: 'spent' | 'written';
  readonly consumer: string;
  readonly units: number;
}

export class Units {
  readonly #accounts = new Map<string, Account>();
  readonly #now: () => Millis;
  readonly #maxAccounts: number;
  readonly #onChange: (change: UnitsChange) => void;
  #periods: UnitPeriods;

  constructor({
    now,
    maxAccounts = MAX_ACCOUNTS,
    onChange = () => undefined,
  }: {
    readonly now: () => Millis;
    readonly maxAccounts?: number;
    /** Of this process, for those that share the quotas. */
    readonly onChange?: ((change: UnitsChange) => void) | undefined;
  }) {
    this.#now = now;
    this.#onChange = onChange;
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
    const opened = {
      ...{ day: 0, month: 0, unwritten: 0, elsewhere: 0, elsewhereAt: 0 },
      ...{ ofDay: day, ofMonth: month, isKnown: false },
    };
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
    this.#onChange({ kind: 'spent', consumer, units });
  }

  /** What another process of this server did. */
  changedElsewhere({ kind, consumer, units }: UnitsChange): void {
    const account = this.#accountOf(consumer);
    account.elsewhereAt = this.#now();
    if (kind === 'written') {
      account.elsewhere = Math.max(0, account.elsewhere - units);
      return;
    }
    account.day += units;
    account.month += units;
    account.elsewhere += units;
  }

  /** `units` of what was spent are with the store now, or lost. */
  written(consumer: string, units: number): void {
    const account = this.#accountOf(consumer);
    account.unwritten = Math.max(0, account.unwritten - units);
    this.#onChange({ kind: 'written', consumer, units });
  }

  /** What all servers have written; `periods`: those that were asked about. */
  settle(consumer: string, sums: UsedUnits, { day, month }: Pick<UnitPeriods, 'day' | 'month'>): void {
    const account = this.#accountOf(consumer);
    account.isKnown = true;
    if (this.#now() - account.elsewhereAt > ELSEWHERE_MS) account.elsewhere = 0;
    const unwritten = account.unwritten + account.elsewhere;
    if (account.ofDay === day) account.day = sums.day + unwritten;
    if (account.ofMonth === month) account.month = sums.month + unwritten;
  }
}
