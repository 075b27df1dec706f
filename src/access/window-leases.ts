/**
 * One limit for the processes of a server, exactly: of each window the primary lets a process use some hits without asking,
 * fewer the nearer the limit is; further ones wait until it has said yes, for which it calls back what the others have left.
 * A hit waits at the beginning of a window, then, for a client that is far from its limit, not any more. While the primary
 * does not answer, each process counts for itself.
 */
import type { Millis } from '../schemas/common.js';
import type {
  LeaseAnswer,
  LeaseQuestion,
  ReturnedLease,
  UsedOfWindow,
  WindowName,
} from '../lib/lease-messages.js';
import type { LeasedWindow, LimitState, SharableLimiter, WindowRule } from './client-limiter.js';

/** Hits that did not wait are told so long after the first of them. */
const TOLD_AFTER_MS: Millis = 1;
/** Windows a message; what is left waits for the next one, so that a flood of addresses costs a bounded time. */
const MAX_WINDOWS = 2_000;

/** The primary, which knows what each process may use. */
export interface LeaseSource {
  /** false: nobody to ask at the moment. */
  readonly isUp: boolean;
  /** In the same order; undefined where it could not be told. Never rejects. */
  ask(questions: readonly LeaseQuestion[]): Promise<readonly (LeaseAnswer | undefined)[]>;
  /** What is called when the others need what this process has left. */
  onRecall(give: (windows: readonly WindowName[]) => readonly ReturnedLease[]): void;
}

export interface WindowLeases {
  /** Whether `hit` of the limiter may be called at once. */
  isDecided(limiter: SharableLimiter, key: string, rule: WindowRule): boolean;
  /** Counts one hit, once it is known whether it is within the limit. Never rejects. */
  hit(limiter: SharableLimiter, key: string, rule: WindowRule): Promise<LimitState>;
  close(): void;
}

export interface WindowLeasesDeps {
  readonly limiters: readonly SharableLimiter[];
  readonly source: LeaseSource;
  /** The clock of the limiters. */
  readonly now: () => Millis;
}

type Settle = (isGranted: boolean | null) => void;

/** Takes what is to be told; it counts as told then. */
const takeUsed = (window: LeasedWindow): UsedOfWindow => {
  const used = { hits: window.untold, leased: window.untoldLeft };
  window.untold = window.untoldLeft = 0;
  return used;
};

export const leaseWindows = ({ limiters, source, now }: WindowLeasesDeps): WindowLeases => {
  const untold = new Set<LeasedWindow>();
  const waiting = new Map<LeasedWindow, Settle[]>();
  let soon: NodeJS.Timeout | undefined;
  let asking: NodeJS.Immediate | undefined;

  const settle = (
    window: LeasedWindow,
    answer: LeaseAnswer | undefined,
    waiters: readonly Settle[],
  ): void => {
    if (answer === undefined) {
      for (const done of waiters) done(null);
      return;
    }
    window.count = Math.max(window.count, answer.total + window.untold);
    window.resetAt = Math.min(window.resetAt, now() + answer.leftMs);
    window.left += answer.granted + answer.ahead;
    waiters.forEach((done, index) => done(index < answer.granted));
  };

  const exchange = async (windows: readonly LeasedWindow[]): Promise<void> => {
    const waiters = windows.map((window) => waiting.get(window) ?? []);
    const questions = windows.map((window, index): LeaseQuestion => {
      const { key, windowMs, requests, isNew } = window;
      const wanted = waiters[index]?.length ?? 0;
      untold.delete(window);
      waiting.delete(window);
      window.isNew = false;
      return { key, windowMs, requests, isNew, wanted, ...takeUsed(window) };
    });
    const answers = source.isUp ? await source.ask(questions) : [];
    windows.forEach((window, index) => settle(window, answers[index], waiters[index] ?? []));
  };

  const askNow = (): void => {
    asking = undefined;
    void exchange([...waiting.keys()]);
  };

  const tell = (): void => {
    soon = undefined;
    void exchange([...untold].slice(0, MAX_WINDOWS));
    if (untold.size > 0) soon = setTimeout(tell, TOLD_AFTER_MS).unref();
  };

  const onUntold = (window: LeasedWindow): void => {
    untold.add(window);
    soon ??= setTimeout(tell, TOLD_AFTER_MS).unref();
  };
  for (const limiter of limiters) limiter.onUntold = onUntold;

  source.onRecall((names) =>
    names.map(({ key, windowMs }) => {
      const window = limiters
        .map((limiter) => limiter.knownWindow(key, windowMs))
        .find((known) => known !== undefined);
      if (window === undefined) return { hits: 0, leased: 0, returned: 0 };
      const returned = window.left;
      window.left = 0;
      untold.delete(window);
      return { ...takeUsed(window), returned };
    }),
  );

  return {
    isDecided: (limiter, key, rule) => !source.isUp || limiter.isDecided(key, now(), rule),
    hit(limiter, key, rule) {
      const window = limiter.leasedWindow(key, now(), rule);
      return new Promise((resolve) => {
        const settled: Settle = (isGranted) => {
          // What was granted is there: nothing comes between the answer and this hit.
          if (isGranted !== false) resolve(limiter.hit(key, now(), rule));
          else resolve({ allowed: false, remaining: 0, resetAt: window.resetAt });
        };
        const others = waiting.get(window);
        if (others === undefined) waiting.set(window, [settled]);
        else others.push(settled);
        asking ??= setImmediate(askNow);
      });
    },
    close() {
      clearTimeout(soon);
      clearImmediate(asking);
      for (const limiter of limiters) limiter.onUntold = null;
      for (const waiters of waiting.values()) for (const done of waiters) done(null);
      waiting.clear();
    },
  };
};
