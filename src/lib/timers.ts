/** One-shot timers as the streams see them: handed in, so that no test waits for time to pass. */

export type Millis = number;

export interface Timers {
  /** Runs `run` once, `delay` milliseconds from now; the answer cancels it and may be called at any time. */
  after(delay: Millis, run: () => void): () => void;
}

/** Real time; a pending timer does not keep the process alive. */
export const systemTimers: Timers = {
  after: (delay, run) => {
    const timer = setTimeout(run, delay);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
};
