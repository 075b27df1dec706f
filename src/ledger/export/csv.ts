/** Candles as CSV: columns that never change, CRLF, empty for what the exchange did not give. */
import type { StoredCandle } from '../settle.js';

const CSV_HEADER = 'timestamp,open,high,low,close,volume,closed\r\n';

const cell = (value: number | null): string => (value === null ? '' : String(value));

const csvRow = (candle: StoredCandle & { readonly closed?: boolean }): string => {
  const { timestamp, open, high, low, close, volume, closed = true } = candle;
  return `${timestamp},${cell(open)},${cell(high)},${cell(low)},${cell(close)},${cell(volume)},${closed}\r\n`;
};

/** All rows at once. */
export const csvText = (rows: readonly (StoredCandle & { readonly closed?: boolean })[]): string =>
  CSV_HEADER + rows.map(csvRow).join('');

export async function* csvOf(pages: AsyncIterable<readonly StoredCandle[]>): AsyncGenerator<string> {
  yield CSV_HEADER;
  for await (const rows of pages) yield rows.map(csvRow).join('');
}
