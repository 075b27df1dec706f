/**
 * A monotonic clock for durations and deadlines. It counts milliseconds like the wall clock, and told the same
 * time when the process began, so that its readings and the wall clock's can be compared by eye; they are never mixed.
 */
export type Millis = number;

/** The kernel's monotonic clock, which all threads of the process share (`performance.now` begins anew in each). */
const elapsed = (): Millis => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
};

/** `origin`: of the thread whose readings are to agree with this clock's. */
export const createSteadyClock =
  (origin: Millis): (() => Millis) =>
  () =>
    origin + elapsed();

/** Handed to worker threads: deadlines cross between threads, and the wall clock may be set before a thread starts. */
export const STEADY_ORIGIN: Millis = Date.now() - elapsed();

export const steadyNow: () => Millis = createSteadyClock(STEADY_ORIGIN);
