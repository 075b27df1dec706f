/** Refusals of a page of candles that tell how a next one would be taken. Pure. */
import type { Millis } from '../../schemas/common.js';
import { addPeriods, DAY_MS, HOUR_MS, periodStart, type Interval } from '../../lib/intervals.js';

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

/** The first period start that a venue which refused `from` as too old may still give. */
export const oldestKept = (
  { count, unit }: Extract<PageRefusal, { readonly kind: 'too_old' }>,
  interval: Interval,
  { from, now }: { readonly from: Millis; readonly now: Millis },
): Millis => {
  const current = periodStart(interval, now);
  if (count === null) return periodStart(interval, from + (current - from) / 2);
  const length = UNIT_MS.get(unit.toLowerCase().replace(/s$/, ''));
  return length === undefined
    ? addPeriods(interval, current, 1 - count)
    : addPeriods(interval, periodStart(interval, now - count * length), 1);
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
