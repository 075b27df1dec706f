/** How long a venue is left alone after it said "too many requests". Pure: the gate keeps the state. */
import type { Millis } from '../../schemas/common.js';

/** After a 429 (or the same said in a body) without a word on how long. */
const DEFAULT_COOL_DOWN_MS = 5_000;
/** After a 418: Binance bans an address for 2 minutes at first, for 3 days at most. */
const DEFAULT_BAN_MS = 120_000;
/** After a 403 for too many requests: firewalls block an address for minutes (Binance 5, Bybit 10). */
const DEFAULT_BLOCK_MS = 300_000;
/** What a guess grows to at most when a venue keeps refusing. */
const MAX_GUESSED_COOL_DOWN_MS = 600_000;
/** A venue's own word is followed up to here. */
export const MAX_COOL_DOWN_MS = 3 * 86_400_000;
/** `Retry-After: 0` and dates that have passed still mean that the venue has had enough for now. */
const MIN_COOL_DOWN_MS = 500;
/** A refusal this long after the end of the last cool-down starts a new count of repetitions. */
export const STRIKE_MEMORY_MS = 300_000;

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
  const said = Date.parse(headers['date'] ?? '');
  return Math.min(Math.max(date - (Number.isNaN(said) ? now : said), 0), MAX_COOL_DOWN_MS);
};

const FIRST_GUESS: ReadonlyMap<number, Millis> = new Map([
  [403, DEFAULT_BLOCK_MS],
  [418, DEFAULT_BAN_MS],
]);

/** Length of a cool-down: the venue's word, or a guess that doubles with each repetition (`strikes` before this one). */
export const coolDownMs = (refusal: {
  readonly retryAfterMs: Millis | null;
  readonly status: number | null;
  readonly strikes: number;
}): Millis => {
  if (refusal.retryAfterMs !== null) return Math.max(refusal.retryAfterMs, MIN_COOL_DOWN_MS);
  const first = FIRST_GUESS.get(refusal.status ?? 0) ?? DEFAULT_COOL_DOWN_MS;
  return Math.min(first * 2 ** refusal.strikes, MAX_GUESSED_COOL_DOWN_MS);
};
