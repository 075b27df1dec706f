/** Exit codes of the program; 128 and the number of a signal where a second one ends it at once (130: Ctrl-C). */
export const EXIT = {
  ok: 0,
  failed: 1,
  /** EX_USAGE of sysexits.h. */
  badUsage: 64,
  /** EX_CONFIG of sysexits.h. */
  badSettings: 78,
} as const;
