/** Replays one recording through the running client and compares what comes out with what the payload says. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { MarketRequest, StreamItem } from '../../src/exchanges/exchange-client.js';
import { parseInterval } from '../../src/lib/intervals.js';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { reply, startFakeVenue, type Asked } from '../support/fake-venue.js';
import { venueClient } from '../support/venue-client.js';
import type { Check, VenueTable } from './checks.js';
import { expectedRows, shownRows, type Row } from './expected.js';
import { momentsIn } from './payload.js';

export interface Difference {
  readonly field: string;
  readonly expected: unknown;
  readonly shown: unknown;
  /** Why it may differ; undefined: it may not. */
  readonly reason: string | undefined;
}

export interface Outcome {
  readonly compared: number;
  readonly differences: readonly Difference[];
  /** Requests that nothing answers, where the replay failed. */
  readonly unanswered: readonly string[];
}

const SOME_DAY = Date.UTC(2026, 8, 1);
const ITEM_DEADLINE_MS = 5_000;

const recordingOf = (folder: string, file: string, rename: Check['rename'] = []): string => {
  let text = readFileSync(path.join(folder, `${file}.json`), 'utf8');
  for (const [from, to] of rename) text = text.replaceAll(from, to);
  return text;
};

const asText = ({ path: asked, query, body }: Asked): string => `${asked}?${query.toString()} ${body}`;

/** The wall clock of a replay: a moment after the latest time in the recording. */
const momentAfter = (check: Check, expected: readonly Row[]): number => {
  const times = expected.map(({ time }) => time).filter((time): time is number => typeof time === 'number');
  const ahead = check.kind === 'ohlcv' ? (parseInterval(check.interval)?.ms ?? 0) * 2 : 1_000;
  return times.length === 0 ? SOME_DAY : Math.max(...times) + ahead;
};

const isSame = (a: unknown, b: unknown): boolean => {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null)
    // CCXT keeps long numbers as text, so that no digit is lost.
    return (typeof a === 'number' || typeof b === 'number') && String(a) === String(b);
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => isSame(Reflect.get(a, key), Reflect.get(b, key)))
  );
};

const compare = (
  check: Check,
  { expected, shown, now }: Record<'expected' | 'shown', readonly Row[]> & { readonly now: number },
): Difference[] => {
  const reasonOf = (field: string) => check.except?.[field];
  const differences: Difference[] = [];
  if (expected.length !== shown.length)
    differences.push({
      field: 'rows',
      expected: expected.length,
      shown: shown.length,
      reason: reasonOf('rows'),
    });
  for (const [index, row] of expected.entries())
    for (const [field, value] of Object.entries(row)) {
      const wanted = field === 'time' && value === null ? now : value;
      const given = shown[index]?.[field];
      if (!isSame(wanted, given))
        differences.push({ field, expected: wanted, shown: given, reason: reasonOf(field) });
    }
  // An exception that nothing needs any more hides the next fault.
  for (const field of Object.keys(check.except ?? {}))
    if (!differences.some((difference) => difference.field === field))
      differences.push({
        field,
        expected: 'a difference (an exception is named)',
        shown: 'none',
        reason: undefined,
      });
  return differences;
};

/** Moments in an answer without a time of its own that the table says nothing about. */
const overlooked = (check: Check, answer: unknown): Difference[] => {
  if ((check.kind !== 'ticker' && check.kind !== 'orderbook') || check.time !== null) return [];
  return momentsIn(answer)
    .filter((found) => check.otherTimes?.[found.replaceAll(/\b\d+\b/g, '*')] === undefined)
    .map((found) => ({ field: 'time', expected: `that of "${found}"`, shown: 'none', reason: undefined }));
};

const requestOf = (check: Check, exchange: string, expected: readonly Row[]): MarketRequest => {
  const { symbol } = check;
  if (check.kind === 'ticker') return { kind: 'ticker', exchange, symbol };
  if (check.kind !== 'ohlcv') return { kind: check.kind, exchange, symbol, limit: 100 };
  const [first, last] = [Number(expected[0]?.['time']), Number(expected.at(-1)?.['time'])];
  const length = parseInterval(check.interval)?.ms ?? 1;
  const limit = Math.round((last - first) / length) + 1;
  return { kind: 'ohlcv', exchange, symbol, interval: check.interval, since: first, limit };
};

const within = async <T>(work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error('Nothing came over the feed.'));
    }, ITEM_DEADLINE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Compares one recording of `folder`, which is the venue's own. */
export const replay = async (table: VenueTable, check: Check, folder: string): Promise<Outcome> => {
  const recorded = recordingOf(folder, check.file, check.rename);
  const text = check.answer === undefined ? recorded : JSON.stringify(check.answer(JSON.parse(recorded)));
  const answer: unknown = JSON.parse(text);
  const expected = expectedRows(check, answer);
  const now = momentAfter(check, expected);
  const compared = expected.reduce((sum, row) => sum + Object.keys(row).length, 0);
  const unanswered: string[] = [];
  const bodyFor = (asked: Asked): string | undefined => {
    const wanted = asText(asked);
    if (check.on?.test(wanted) === true) return text;
    const route = table.routes.find(([on]) => on.test(wanted));
    if (route !== undefined) {
      const made = route[1];
      if (typeof made === 'string') return recordingOf(folder, made);
      return JSON.stringify(made((file): unknown => JSON.parse(recordingOf(folder, file))));
    }
    const empty = table.empty?.find(([on]) => on.test(wanted));
    return empty === undefined ? undefined : JSON.stringify(empty[1]);
  };
  let sent = false;
  const venue = await startFakeVenue({
    now: () => now,
    answer: (asked) => {
      const body = bodyFor(asked);
      if (body === undefined) unanswered.push(asText(asked));
      return body === undefined ? undefined : reply({ body });
    },
    onSocket: (socket) => {
      for (const message of check.greet ?? []) socket.send(JSON.stringify(message));
    },
    onFrame: (frame, socket) => {
      if (check.send !== undefined)
        for (const message of check.send(frame, answer)) socket.send(JSON.stringify(message));
      else if (!sent) socket.send(text);
      sent = true;
    },
  });
  const { exchange } = table;
  const client = venueClient(exchange, venue, { now: () => now, monotonic: steadyNow });
  try {
    let shown: unknown;
    if (check.feed === true) {
      const { kind: channel, symbol } = check;
      const feed = client.watch({ channel, exchange, symbol });
      const item: StreamItem = await within(feed.item(1));
      feed.close();
      shown = item;
    } else shown = await client.ask(requestOf(check, exchange, expected));
    const differences = compare(check, { expected, shown: shownRows(check, shown), now });
    return { compared, differences: [...differences, ...overlooked(check, answer)], unanswered: [] };
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const difference = { field: 'answer', expected: 'one', shown: said, reason: check.except?.['answer'] };
    return { compared, differences: [difference], unanswered };
  } finally {
    await client.close();
    await venue.close();
  }
};
