/** A wall clock at half past the hour in which it was made: no minute, hour or day ends while a test runs. */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Whole milliseconds. Starts half a minute into its minute, and goes on with the clock of durations. */
export const midHour = (): (() => number) => {
  const start = Math.floor(Date.now() / HOUR_MS) * HOUR_MS + 30.5 * MINUTE_MS;
  const from = performance.now();
  return () => Math.floor(start + performance.now() - from);
};
