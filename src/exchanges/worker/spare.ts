/**
 * A successor made ready while a thread is only suspected to hang: if it does, nobody waits for a start. One at a time,
 * and seldom: on a busy machine a thread may be late again and again, and starts would make that worse.
 */
import type { Millis } from '../../schemas/common.js';
import { AppError } from '../../errors.js';
import type { Connection } from './connection.js';

/** After a false alarm the next suspicion is not acted upon for this long. */
export const CALM_MS: Millis = 30_000;

export class Spare {
  readonly #start: (onDeath: () => void) => Connection;
  readonly #now: () => Millis;
  #connection: Connection | null = null;
  #calmUntil: Millis = -Infinity;

  /** `start` makes a connection that tells `onDeath` when its thread has died by itself. */
  constructor(start: (onDeath: () => void) => Connection, now: () => Millis) {
    this.#start = start;
    this.#now = now;
  }

  /** Starts one unless there is one, or the last was not needed. Never throws. */
  prepare(): void {
    if (this.#connection !== null || this.#now() < this.#calmUntil) return;
    this.#calmUntil = this.#now() + CALM_MS;
    try {
      const connection = this.#start(() => {
        if (this.#connection === connection) this.#connection = null;
      });
      this.#connection = connection;
    } catch {
      // A thread that could not be started is told of when one is needed.
    }
  }

  /** The one that is ready, which is the caller's from now on. */
  take(): Connection | null {
    const connection = this.#connection;
    this.#connection = null;
    return connection;
  }

  /** It is not needed after all. */
  dismiss(): void {
    this.take()?.end(new AppError('shutting_down', 'This thread is not needed.'));
  }
}
