/**
 * How much a tool answers with at most. Clients hand an answer to a model whole, or refuse it: Claude Code takes 25,000
 * tokens, some 100 kB. The structured content has the larger part, the text form the rest.
 */
const MAX_STRUCTURED_BYTES = 70_000;
/** Most rows in the text form, which is a summary for reading rather than a second copy of a long answer. */
export const MAX_TEXT_ROWS = 100;

export const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

export const fits = (value: unknown): boolean => jsonBytes(value) <= MAX_STRUCTURED_BYTES;

/** The most of `count` rows with which the answer that `make` makes of them fits. */
export const rowsThatFit = (count: number, make: (rows: number) => unknown): number => {
  let rows = count;
  while (rows > 0) {
    const size = jsonBytes(make(rows));
    if (size <= MAX_STRUCTURED_BYTES) break;
    rows = Math.min(rows - 1, Math.floor((rows * MAX_STRUCTURED_BYTES) / size));
  }
  return rows;
};
