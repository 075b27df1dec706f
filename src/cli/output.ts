/** What commands print: lines, and on a terminal one line that is written over. */
import type { Writable } from 'node:stream';

/** Resolves when it is written: a process that exits earlier may lose it. */
export const write = (stream: Writable, text: string): Promise<void> =>
  new Promise((resolve) => stream.write(text, () => resolve()));

export interface ProgressLine {
  /** How far it is, 0 to 100, and in words; off a terminal printed where it has changed, and not too often. */
  show(percent: number, text: string): Promise<void>;
  /** The last word: always printed, and the line is ended. */
  end(text: string): Promise<void>;
}

/** Off a terminal: milliseconds between two lines. */
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
