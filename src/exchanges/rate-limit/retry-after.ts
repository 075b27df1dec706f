/**
 * How long a venue that refuses a request asks its clients to wait: in `Retry-After`, in a header of its own, or only in
 * the text of its answer. Pure.
 */
import { timeOfAnswer, TOLERATED_SKEW_MS } from '../../lib/venue-clock.js';
import type { Millis } from '../../schemas/common.js';

/** The longest wait that a venue's answer can impose. */
const MAX_COOL_DOWN_MS = 3 * 86_400_000;
/** The wait is named at the start of an answer; block pages may be long. */
const SEARCHED_LENGTH = 4096;

const SECOND_MS: Millis = 1000;
const UNITS: ReadonlyMap<string, Millis> = new Map([
  ['ms', 1],
  ['millisecond', 1],
  ['msec', 1],
  ['s', SECOND_MS],
  ['sec', SECOND_MS],
  ['second', SECOND_MS],
  ['m', 60 * SECOND_MS],
  ['min', 60 * SECOND_MS],
  ['minute', 60 * SECOND_MS],
  ['h', 3600 * SECOND_MS],
  ['hr', 3600 * SECOND_MS],
  ['hour', 3600 * SECOND_MS],
  ['d', 86_400 * SECOND_MS],
  ['day', 86_400 * SECOND_MS],
]);

/** Epoch seconds have ten digits in this century, milliseconds thirteen. */
const EPOCH_SECONDS = 1e9;
const EPOCH_MS = 1e12;

/**
 * `Retry-After` (RFC 9110: seconds or an HTTP date) as a duration; null where it is absent or makes no sense. A date is
 * measured from the answer's own `Date`, so that the venue's clock need not agree with ours. Header names in lower case.
 */
export const parseRetryAfter = (headers: Readonly<Record<string, string>>, now: Millis): Millis | null => {
  const text = headers['retry-after']?.trim();
  if (text === undefined || text === '') return null;
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, MAX_COOL_DOWN_MS);
  const date = Date.parse(text);
  if (Number.isNaN(date) || !/[a-z]/i.test(text)) return null;
  const answeredAt = Date.parse(headers['date'] ?? '');
  return Math.min(Math.max(date - (Number.isNaN(answeredAt) ? now : answeredAt), 0), MAX_COOL_DOWN_MS);
};

/**
 * An epoch time as the time left until it; a smaller number is a duration in `unit`. null: in the past, or no number.
 */
const timeLeft = (text: string | undefined, now: Millis, unit: Millis): Millis | null => {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value <= 0) return null;
  const left =
    value >= EPOCH_MS ? value - now : value >= EPOCH_SECONDS ? value * SECOND_MS - now : value * unit;
  return left > 0 ? left : null;
};

/**
 * Headers that say when a limit is lifted, with the unit of those that count down. They come with good answers too, so
 * they are read on a refusal only. Bybit, Gate, KuCoin, HTX, Upbit's and the IETF draft's names.
 */
const HEADERS: readonly (readonly [name: string, unit: Millis])[] = [
  ['x-bapi-limit-reset-timestamp', 1],
  ['x-gate-ratelimit-reset-timestamp', SECOND_MS],
  ['gw-ratelimit-reset', 1],
  ['ratelimit-reset', SECOND_MS],
  ['x-ratelimit-reset', SECOND_MS],
  ['x-rate-limit-reset', SECOND_MS],
  ['x-hb-ratelimit-requests-expire', SECOND_MS],
  ['retry-after-ms', 1],
];

const NUMBER = String.raw`(\d{1,13}(?:\.\d{1,6})?)`;
const ISO =
  /\b(?:until|till|after|before|at|lifted|expires?)\b[^\d]{0,20}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(Z|[+-]\d\d:?\d\d)?/i;
/** `banned until 1699000000000`, Kraken's `EService:Throttled: 1699000000`, a member `"retryAfter":1699000000000`. */
const INSTANT =
  /(?:\b(?:until|till|throttled|unban\w*|expires?(?: at)?|lifted(?: at)?|after|before)\b|(?:retry|reset|unban|expire|unlock)[A-Za-z_]*)["']?\s*[:=]?\s*["']?(\d{13}|\d{10})\b/i;
/** `try again in 5 minutes`, `wait 60 sec`, `Retry after 1200 ms`, `"retry_after": 30`, Deribit's `"wait": 4`. */
const DURATION = new RegExp(
  String.raw`(?:\b(?:in|for|wait|after|within|least|banned)\b|retry_?-?after(?:_?ms)?|\bwait)["']?\s*[:=]?\s*["']?` +
    `${NUMBER}\\s*(ms|milliseconds?|msecs?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)?\\b`,
  'i',
);
/** Numbers that stand without a unit mean nothing unless their name says that they are a wait. */
const NAMED_WAIT = /retry_?-?after|\bwait["']/i;

const durationIn = (text: string): Millis | null => {
  const [phrase = '', number, unit = ''] = DURATION.exec(text) ?? [];
  const named = unit.toLowerCase();
  const known = UNITS.get(named) ?? UNITS.get(named.replace(/s$/, ''));
  if (known === undefined && !NAMED_WAIT.test(phrase)) return null;
  const length = Number(number) * (known ?? (/_?ms\b/i.test(phrase) ? 1 : SECOND_MS));
  return length > 0 ? length : null;
};

const waitInText = (body: string, now: Millis): Millis | null => {
  const text = body.slice(0, SEARCHED_LENGTH);
  const [, time, zone = 'Z'] = ISO.exec(text) ?? [];
  const at = time === undefined ? Number.NaN : Date.parse(time.replace(' ', 'T') + zone);
  if (at > now) return at - now;
  return timeLeft(INSTANT.exec(text)?.[1], now, SECOND_MS) ?? durationIn(text);
};

const venueTime = (headers: Readonly<Record<string, string>>, now: Millis): Millis => {
  const answeredAt = timeOfAnswer(headers);
  return Math.abs(answeredAt - now) > TOLERATED_SKEW_MS ? answeredAt : now;
};

/**
 * The longest wait that a refusal names; null where it names none. Instants are measured from the answer's own `Date`,
 * so that the venue's clock need not agree with ours. Header names in lower case.
 */
export const requestedWait = (
  { headers, body }: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
  now: Millis,
): Millis | null => {
  const venueNow = venueTime(headers, now);
  const waits = [
    parseRetryAfter(headers, now),
    ...HEADERS.map(([name, unit]) => timeLeft(headers[name], venueNow, unit)),
    waitInText(body, venueNow),
  ].filter((wait) => wait !== null);
  return waits.length === 0 ? null : Math.min(Math.max(...waits), MAX_COOL_DOWN_MS);
};
