/** Waits that end: by the clock, or because the caller has left. Timers never keep the process alive. */

/** Longer delays overflow setTimeout and would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const end = (): void => {
      signal?.removeEventListener('abort', onAbort);
      clearTimeout(timer);
    };
    const onAbort = (): void => {
      end();
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the caller's own reason
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        end();
        resolve();
      },
      Math.min(ms, MAX_TIMER_MS),
    );
    timer.unref();
    signal?.addEventListener('abort', onAbort, { once: true });
  });

export interface Limits {
  /** From now. At most 0: the work is given no time at all. */
  readonly ms: number;
  readonly signal?: AbortSignal | undefined;
  /** What to reject with when the time is up, or when `signal` aborted (its reason is given). */
  readonly giveUp: (cause: { readonly timedOut: boolean; readonly reason: unknown }) => Error;
}

/** `work`'s outcome, or a rejection by the limits, whichever comes first. What `work` does later goes unnoticed. */
export const settleWithin = <T>(work: Promise<T>, { ms, signal, giveUp }: Limits): Promise<T> =>
  new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(giveUp({ timedOut: false, reason: signal?.reason }));
    };
    const timer = setTimeout(
      () => {
        end();
        reject(giveUp({ timedOut: true, reason: undefined }));
      },
      Math.min(Math.max(ms, 0), MAX_TIMER_MS),
    );
    timer.unref();
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    void work.finally(end).then(resolve, reject);
  });
