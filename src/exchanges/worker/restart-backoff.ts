/** When a dead worker gets its successor: the first at once, those that keep dying ever later. */
import type { Millis } from '../../schemas/common.js';

const FIRST_WAIT_MS = 100;
export const MAX_WAIT_MS = 30_000;
/** A worker that ran this long died of something new. */
export const STABLE_AFTER_MS = 20_000;

export class RestartBackoff {
  #deaths = 0;
  #runningSince: Millis | null = null;

  started(now: Millis): void {
    this.#runningSince = now;
  }

  /** The wait before the next start, in ms. */
  next(now: Millis): Millis {
    if (this.#runningSince !== null && now - this.#runningSince >= STABLE_AFTER_MS) this.#deaths = 0;
    this.#runningSince = null;
    const wait = this.#deaths === 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (this.#deaths - 1), MAX_WAIT_MS);
    this.#deaths += 1;
    return wait;
  }
}
