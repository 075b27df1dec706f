/** A ledger with jobs over a real SQLite file and a venue in the test's hands, under fake timers. */
import { vi } from 'vitest';
import type { Ledger } from '../../../../src/ledger/ledger.js';
import type { SeriesName } from '../../../../src/ledger/settle.js';
import type { Job } from '../../../../src/ledger/store.js';
import { DAY, MINUTE, NAME, T0 } from '../candle-data.js';
import { UnitRig } from '../ledger-rig.js';

export const HOUR = 60 * MINUTE;
/** The time at the beginning of each test. */
export const START = T0 + DAY + MINUTE / 2;
export const ETH = { ...NAME, symbol: 'ETH/USDT' };

/** Queues a job for minutes [from, to) since T0. */
export const add = (
  ledger: Ledger,
  [from, to]: readonly [from: number, to: number],
  name: SeriesName = NAME,
): Promise<Job> => ledger.addJob(name, { from: T0 + from * MINUTE, to: T0 + to * MINUTE });

export class JobRig extends UnitRig {
  started(...given: Parameters<UnitRig['ledger']>): Ledger {
    const ledger = this.ledger(...given);
    ledger.start();
    return ledger;
  }

  /** The job after so many milliseconds. */
  async after(ms: number, { id }: Job): Promise<Job | null> {
    await vi.advanceTimersByTimeAsync(ms);
    return this.store.job(id);
  }

  /** The venue fails for this symbol only. */
  failFor(symbol: string, error: Error): void {
    const answer = this.venue.fetch;
    this.venue.fetch = async (request, options) => {
      const answered = await answer(request, options);
      if ('symbol' in request && request.symbol === symbol) throw error;
      return answered;
    };
  }
}
