/** One-shot timers as the stream room sees them: injected, so that no test waits for time to pass. */
import type { Millis } from '../../schemas/common.js';

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
