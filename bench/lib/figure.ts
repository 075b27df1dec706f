/** What a benchmark is and what it hands back. */
import type { Spread } from './statistics.js';

export interface Row {
  /** B1, B1a, B6 …: the id of PERFORMANCE's table of goals. */
  readonly id: string;
  readonly what: string;
  readonly unit: string;
  readonly product: Spread;
  readonly floor: Spread | null;
  /** Product to floor, or the product's own figure where the goal is absolute. */
  readonly figure: Spread;
  readonly goal: number;
  /** at least: a higher figure is better. */
  readonly sense: 'at least' | 'at most';
  /** Floor against floor in the same run; outside 0.9–1.1 the figure is no verdict. */
  readonly control?: number | undefined;
  readonly note?: string | undefined;
  /** What was counted (answers, delivered events, clients): never 0 in a run that means something. */
  readonly counted: number;
}

export interface Context {
  /** Counts once and judges nothing: for CI. */
  readonly smoke: boolean;
  /** Whether this id was asked for; every id where none was named. */
  wants(id: string): boolean;
  /** Tells what is going on, on stderr. */
  progress(text: string): void;
}

export interface Figure {
  readonly ids: readonly string[];
  readonly run: (context: Context) => Promise<readonly Row[]>;
}

export const meets = (row: Row): boolean =>
  row.sense === 'at least' ? row.figure.median >= row.goal : row.figure.median <= row.goal;

/** A figure measured once. */
export const single = (value: number): Spread => ({ q1: value, median: value, q3: value });
