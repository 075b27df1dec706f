/**
 * What the feeds of one exchange share: the order in which silent ones are compared with REST, and when each
 * socket last had a message. One check at a time, at intervals that leave most of the polls' budget to others: however many feeds are
 * silent in a quiet market, each waits in the queue, and waiting counts against none.
 *
 * A subscription that died among many silent ones must not wait for all of them: every second check goes to the feed whose
 * silence is the most unusual by its own rate of messages, the others to the one that has waited longest, so that none
 * starves. The more of them wait, the shorter the interval, up to two fifths of what polls may.
 */
import type { Millis } from '../../schemas/common.js';
import type { Timers } from '../../lib/timers.js';

/** What is known of a connection that several feeds share. */
export interface SharedSocket {
  /** When any of its feeds last had a message, by the clock of durations. */
  lastMessageAt: Millis;
}

/** Must not reject. Answers false where it did not ask the venue, so that the next need not wait. */
export type Check = () => Promise<boolean>;

/** How unusual the feed's silence is; only compared with others. */
export type SilenceScore = () => number;

/** All that wait are checked within this time, where the budget allows it. */
const ROUND_MS: Millis = 120_000;
/** A fifth of the polls' budget becomes two fifths. */
const CLOSEST = 0.5;

export interface SilenceChecksOptions {
  /** Between the beginnings of two checks while few wait; with many it shrinks, to half of this at least. */
  readonly spacingMs: Millis;
  readonly monotonic: () => Millis;
  readonly timers: Timers;
}

/** A connection is remembered while a feed holds it. */
interface HeldSocket extends SharedSocket {
  holders: number;
}

export class SilenceChecks {
  readonly #options: SilenceChecksOptions;
  /** In the order in which they came; bounded by the feeds, each of which waits once. */
  readonly #waiting = new Map<Check, SilenceScore>();
  #prefersUnusual = true;
  readonly #sockets = new Map<string, HeldSocket>();
  #notBefore: Millis = -Infinity;
  #busy = false;
  #cancelTimer: (() => void) | null = null;

  constructor(options: SilenceChecksOptions) {
    this.#options = options;
  }

  /** Runs the check when its turn comes; call what is returned to withdraw it. */
  ask(check: Check, score: SilenceScore): () => void {
    this.#waiting.set(check, score);
    this.#schedule();
    return () => {
      this.#waiting.delete(check);
      if (this.#waiting.size === 0) this.#stopTimer();
    };
  }

  /** This server may not ask the venue for so long. */
  holdOff(duration: Millis): void {
    this.#notBefore = Math.max(this.#notBefore, this.#options.monotonic() + duration);
  }

  /** The connection of this name, to be given back with `leave`. */
  join(name: string): SharedSocket {
    const known = this.#sockets.get(name);
    const socket = known ?? { lastMessageAt: -Infinity, holders: 0 };
    socket.holders += 1;
    if (known === undefined) this.#sockets.set(name, socket);
    return socket;
  }

  leave(name: string): void {
    const socket = this.#sockets.get(name);
    if (socket === undefined) return;
    socket.holders -= 1;
    if (socket.holders <= 0) this.#sockets.delete(name);
  }

  #schedule(): void {
    if (this.#busy || this.#cancelTimer !== null || this.#waiting.size === 0) return;
    const wait = this.#notBefore - this.#options.monotonic();
    if (wait <= 0) {
      void this.#next();
      return;
    }
    this.#cancelTimer = this.#options.timers.after(wait, () => {
      this.#cancelTimer = null;
      this.#schedule();
    });
  }

  async #next(): Promise<void> {
    const check = this.#nextCheck();
    if (check === undefined) return;
    this.#waiting.delete(check);
    this.#busy = true;
    const startedAt = this.#options.monotonic();
    const asked = await check();
    this.#busy = false;
    if (asked) {
      this.#notBefore = Math.max(this.#notBefore, startedAt + this.#spacing());
      this.#prefersUnusual = !this.#prefersUnusual;
    }
    this.#schedule();
  }

  #spacing(): Millis {
    const { spacingMs } = this.#options;
    return Math.min(spacingMs, Math.max(spacingMs * CLOSEST, ROUND_MS / this.#waiting.size));
  }

  #nextCheck(): Check | undefined {
    const [longest] = this.#waiting.keys();
    if (!this.#prefersUnusual) return longest;
    let mostUnusual = longest;
    let most = -Infinity;
    for (const [check, score] of this.#waiting) {
      const odd = score();
      if (odd > most) [mostUnusual, most] = [check, odd];
    }
    return mostUnusual;
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }
}
