/** The table on the terminal and the JSON beside it. */
import { cpus, totalmem } from 'node:os';
import { meets, type Row } from './figure.js';
import type { Spread } from './statistics.js';

const digits = (value: number): string =>
  !Number.isFinite(value) ? '–' : Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);

const quartiles = (value: Spread | null): string =>
  value === null
    ? '–'
    : value.q1 === value.q3
      ? digits(value.median)
      : `${digits(value.median)} (${digits(value.q1)}–${digits(value.q3)})`;

const verdict = (row: Row): string => {
  if (!Number.isFinite(row.goal)) return '';
  if (row.control !== undefined && (row.control < 0.9 || row.control > 1.1)) return 'noisy: run again';
  return meets(row) ? 'met' : 'missed';
};

const HEAD = ['id', 'what', 'unit', 'product', 'floor', 'figure', 'goal', '', 'control', 'counted'] as const;

const cells = (row: Row, smoke: boolean): string[] => [
  row.id,
  row.what,
  row.unit,
  quartiles(row.product),
  quartiles(row.floor),
  quartiles(row.figure),
  Number.isFinite(row.goal) ? `${row.sense === 'at least' ? '≥' : '≤'} ${row.goal}` : '–',
  smoke ? 'not judged' : verdict(row),
  row.control === undefined ? '–' : digits(row.control),
  String(row.counted),
];

/**
 * A GitHub-flavoured Markdown table, padded so that a terminal shows it in columns; medians with quartiles. A smoke run
 * measures nothing that deserves a verdict.
 */
export const table = (rows: readonly Row[], { smoke }: { readonly smoke: boolean }): string => {
  const lines = [[...HEAD], ...rows.map((row) => cells(row, smoke))];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  const print = (line: readonly string[]): string =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(Math.max(3, width))).join(' | ')} |`;
  const notes = rows.filter((row) => row.note !== undefined).map((row) => `${row.id}: ${row.note ?? ''}`);
  return [print(lines[0] ?? []), rule, ...lines.slice(1).map(print), '', ...notes].join('\n');
};

export const machine = () => ({
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 2 ** 30),
});
