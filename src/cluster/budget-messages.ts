/** What the scripts of the shared budget are given and answer, and what servers tell each other on its channel. */
import type { SharedAnswer, SharedEntry, SharedRestraint } from '../exchanges/rate-limit/shared-budget.js';
import type { Millis } from '../schemas/common.js';

const MAX_REASON_LENGTH = 200;

/** Other programs may speak on the channel. */
export const parsedOrNull = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

const numbers = (text: unknown): number[] => {
  const parsed: unknown = JSON.parse(String(text));
  return Array.isArray(parsed) ? parsed.map(Number) : [];
};

const entriesOf = (text: unknown, now: Millis): SharedEntry[] => {
  const flat = numbers(text);
  const entries: SharedEntry[] = [];
  for (let i = 0; i + 3 < flat.length; i += 4) {
    const [, at = 0, requests = 0, polls = 0] = flat.slice(i, i + 4);
    entries.push({ ageMs: now - at, requests, polls });
  }
  return entries;
};

const restraintOf = (cool: unknown, brake: unknown, now: Millis): SharedRestraint | null => {
  const parsed: unknown = JSON.parse(String(cool));
  const [until = 0, status = 0, reason = '', strikes = 0] = Array.isArray(parsed)
    ? (parsed as unknown[])
    : [];
  const [callers = 0, polls = 0] = numbers(brake);
  const coolDownMs = Math.max(0, Number(until) - now);
  if (coolDownMs === 0 && callers <= now && polls <= now) return null;
  return {
    coolDownMs,
    status: Number(status) > 0 ? Number(status) : null,
    reason: reason === '' ? null : String(reason),
    strikes: Number(strikes),
    brakeMs: { callers: callers - now, polls: polls - now },
  };
};

export interface Told extends SharedAnswer {
  readonly word: string;
  readonly n: number;
  readonly epoch: string;
  readonly redisNow: Millis;
}

export const toldOf = (reply: unknown): Told => {
  if (!Array.isArray(reply)) throw new TypeError('not an answer of a budget script');
  const [word, wait, time, n, limit, servers, pace, used, reserveUsed, cool, brake, epoch] =
    reply as unknown[];
  const now = Number(time);
  return {
    word: String(word),
    granted: word === 'granted',
    retryInMs: Number(wait),
    n: Number(n),
    epoch: String(epoch),
    redisNow: now,
    use: {
      used: entriesOf(used, now),
      reserveUsed: entriesOf(reserveUsed, now),
      paceFreeInMs: Number(pace),
      limit: Number(limit),
      servers: Number(servers),
    },
    restraint: restraintOf(cool, brake, now),
  };
};

export const flatAges = (entries: readonly SharedEntry[]): string =>
  JSON.stringify(
    entries.flatMap(({ ageMs, requests, polls }) => [Math.max(0, Math.round(ageMs)), requests, polls]),
  );

export const restraintArgs = ({ coolDownMs, status, reason, strikes, brakeMs }: SharedRestraint) => [
  Math.round(coolDownMs),
  status ?? 0,
  (reason ?? '').slice(0, MAX_REASON_LENGTH),
  strikes,
  Math.round(Math.max(0, brakeMs.callers)),
  Math.round(Math.max(0, brakeMs.polls)),
];

/** A restraint as the channel tells it. */
export const restraintIn = (facts: readonly unknown[]): SharedRestraint => {
  const [coolDownMs, status, reason, strikes, callers, polls] = facts;
  return {
    coolDownMs: Number(coolDownMs),
    status: Number(status) > 0 ? Number(status) : null,
    reason: reason === '' ? null : String(reason),
    strikes: Number(strikes),
    brakeMs: { callers: Number(callers), polls: Number(polls) },
  };
};
