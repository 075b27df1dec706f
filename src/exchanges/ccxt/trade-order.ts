/**
 * The venue's own order of trades of one millisecond. CCXT sorts by time and id, whose order says nothing where ids are
 * none or random: the row's place in the venue's list does, read from whichever end is the older one.
 */
import { isTable, member } from './tables.js';

/** Envelopes around a venue's list. */
const MAX_DEPTH = 4;

/** The list in an answer that holds this very row. */
const listWith = (row: unknown, json: unknown, depth = 0): readonly unknown[] | undefined => {
  if (Array.isArray(json)) return json.includes(row) ? (json as readonly unknown[]) : undefined;
  if (!isTable(json) || depth >= MAX_DEPTH) return undefined;
  for (const value of Object.values(json)) {
    const found = listWith(row, value, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
};

/** CCXT's trades in the order of the venue's list, oldest first; as they came where their rows are not in the answer. */
export const inListOrder = (trades: unknown, answer: unknown): unknown => {
  if (!Array.isArray(trades) || trades.length < 2) return trades;
  const rows = listWith(member(trades[0], 'info'), answer);
  if (rows === undefined) return trades;
  const places = new Map(rows.map((row, index) => [row, index]));
  const placed = Array.from(trades, (trade: unknown) => ({
    trade,
    place: places.get(member(trade, 'info')) ?? -1,
  }));
  if (placed.some(({ place }) => place < 0)) return trades;
  const sorted = placed.sort((a, b) => a.place - b.place).map(({ trade }) => trade);
  const [first, last] = [member(sorted[0], 'timestamp'), member(sorted.at(-1), 'timestamp')];
  const oldestFirst = typeof first === 'number' && typeof last === 'number' && first < last;
  return oldestFirst ? sorted : sorted.reverse();
};
