/** Refusals of a page of candles that tell how a next one would be taken. Pure. */
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import {
  addPeriods,
  DAY_MS,
  HOUR_MS,
  nextPeriodStart,
  periodStart,
  type Interval,
} from '../../lib/intervals.js';

const SEARCHED_LENGTH = 2048;

const TOO_OLD =
  /too (?:long ago|far (?:back|ago)|old|early)|(?:earlier|older) than|(?:points?|candles?|bars?|days?|hours?|months?) ago|out of (?:the )?(?:time )?range|(?:start|from|since|begin)\w*[^"]{0,40}(?:within|exceed|earlier|limit(?:ed)? to|last \d)/i;
const TOO_MANY =
  /(?:too broad|too (?:small|many|large)[^"]{0,60}(?:range|points|candles|records)|aggregations requested exceeds|max(?:imum)? (?:of )?\d+ (?:data )?(?:points|candles|records|rows)|(?:limit|size)[^"]{0,30}(?:exceed|greater|larger|max(?:imum)?)[^"]{0,20}\d)/i;
const KEPT = /(\d{2,7})\s*(?:data )?(points?|candles?|bars?|klines?|records?|days?|hours?|months?)/i;
const NUMBER = /(?:maximum|max|exceeds?|than|most|of)\D{0,12}(\d{2,5})/i;

/** What of a refused page was refused. */
export type PageRefusal =
  /** It begins before what the venue keeps: `count` of `unit`, where it says so. */
  | { readonly kind: 'too_old'; readonly count: number | null; readonly unit: string }
  /** It is longer than the venue gives; `most` where it says so. */
  | { readonly kind: 'too_many'; readonly most: number | null };

/** null: refused for some other reason. */
export const pageRefusalOf = (body: string): PageRefusal | null => {
  const text = body.slice(0, SEARCHED_LENGTH);
  if (TOO_OLD.test(text)) {
    const [, count, unit = ''] = KEPT.exec(text) ?? [];
    return { kind: 'too_old', count: count === undefined ? null : Number(count), unit };
  }
  if (!TOO_MANY.test(text)) return null;
  const most = NUMBER.exec(text)?.[1];
  return { kind: 'too_many', most: most === undefined ? null : Number(most) };
};

const UNIT_MS: ReadonlyMap<string, Millis> = new Map([
  ['hour', HOUR_MS],
  ['day', DAY_MS],
  ['month', 30 * DAY_MS],
]);

/** The first period start that a venue may still give which keeps `count` of `unit`. */
export const oldestKept = (
  { count, unit }: { readonly count: number; readonly unit: string },
  interval: Interval,
  now: Millis,
): Millis => {
  const length = UNIT_MS.get(unit.toLowerCase().replace(/s$/, ''));
  return length === undefined
    ? addPeriods(interval, periodStart(interval, now), 1 - count)
    : addPeriods(interval, periodStart(interval, now - count * length), 1);
};

/** Requests that a search for the oldest start may take: a month of minutes is known to within eleven of them. */
const BORDER_STEPS = 12;

export interface Border {
  /** Starts before this are refused. */
  readonly refusedTo: Millis;
  /** The oldest start that was taken; between the two the venue was not asked. */
  readonly taken: Millis;
}

/**
 * Where a venue begins to give that refused `refused` as too old without a word on how far back it goes: searched by
 * halves up to `taken`, which it is known to take. `isTaken` asks the venue for a start.
 */
export const searchBorder = async (
  interval: Interval,
  { refused, taken }: { readonly refused: Millis; readonly taken: Millis },
  isTaken: (start: Millis) => Promise<boolean>,
): Promise<Border> => {
  const after = (start: Millis): Millis => nextPeriodStart(interval, start + 1);
  let [low, high] = [refused, taken];
  for (let step = 0; step < BORDER_STEPS && after(low) < high; step += 1) {
    const middle = Math.max(after(low), periodStart(interval, low + (high - low) / 2));
    if (await isTaken(middle)) high = middle;
    else low = middle;
  }
  return { refusedTo: Math.min(after(low), high), taken: high };
};

/** Marks a fault as the refusal of a page; its `cause`. */
export class PageRefusedError extends Error {
  override readonly name = 'PageRefusedError';
  readonly refusal: PageRefusal;

  constructor(refusal: PageRefusal, cause: unknown) {
    super('the venue refused this page', { cause });
    this.refusal = refusal;
  }
}

/** null: it failed for some other reason. */
export const refusalOf = (thrown: unknown): PageRefusal | null =>
  thrown instanceof AppError && thrown.cause instanceof PageRefusedError ? thrown.cause.refusal : null;
