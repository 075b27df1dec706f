/** Output of commands: lines, and on a terminal a progress line that is overwritten in place. */
import type { Writable } from 'node:stream';

/** Resolves when the text is written; a process that exits earlier may lose it. */
export const write = (stream: Writable, text: string): Promise<void> =>
  new Promise((resolve) => stream.write(text, () => resolve()));

export interface ProgressLine {
  /** Progress, 0 to 100, and in words; off a terminal printed when it changes, at most once per LINE_EVERY_MS. */
  show(percent: number, text: string): Promise<void>;
  /** The final message: always printed, with the end of the line. */
  end(text: string): Promise<void>;
}

/** Shortest time between two progress lines off a terminal, in milliseconds. */
const LINE_EVERY_MS = 2_000;
const USUAL_COLUMNS = 80;
const BAR = 24;

const isTerminal = (stream: Writable): boolean => 'isTTY' in stream && stream.isTTY === true;
const columnsOf = (stream: Writable): number =>
  'columns' in stream && typeof stream.columns === 'number' ? stream.columns : USUAL_COLUMNS;

const barOf = (percent: number): string => {
  const full = Math.round((Math.min(100, Math.max(0, percent)) / 100) * BAR);
  return `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}]`;
};

/** `title` stands before everything. `monotonic`: the clock of durations, in milliseconds. */
export const progressLine = (
  stream: Writable,
  { title, monotonic }: { readonly title: string; readonly monotonic: () => number },
): ProgressLine => {
  if (isTerminal(stream)) {
    const over = (text: string): string => `\r\u001B[2K${text.slice(0, columnsOf(stream) - 1)}`;
    return {
      show: (percent, text) => write(stream, over(`${title} ${barOf(percent)} ${text}`)),
      end: (text) => write(stream, `\r\u001B[2K${title}: ${text}\n`),
    };
  }
  let shown = '';
  let shownAt = -Infinity;
  return {
    async show(_percent, text) {
      if (text === shown || monotonic() - shownAt < LINE_EVERY_MS) return;
      shown = text;
      shownAt = monotonic();
      await write(stream, `${title}: ${text}\n`);
    },
    end: (text) => write(stream, `${title}: ${text}\n`),
  };
};

/** Rows of cells as lines, each column as wide as its widest cell. The first row is the head. */
export const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};
