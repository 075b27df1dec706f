/** What the scripts of the shared budget take and answer, and the messages of servers on its channel. */
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

const restraintOf = (cool: unknown, nearLimit: unknown, now: Millis): SharedRestraint | null => {
  const parsed: unknown = JSON.parse(String(cool));
  const [until = 0, status = 0, reason = '', refusals = 0] = Array.isArray(parsed)
    ? (parsed as unknown[])
    : [];
  const [callers = 0, polls = 0] = numbers(nearLimit);
  const coolDownMs = Math.max(0, Number(until) - now);
  if (coolDownMs === 0 && callers <= now && polls <= now) return null;
  return {
    coolDownMs,
    status: Number(status) > 0 ? Number(status) : null,
    reason: reason === '' ? null : String(reason),
    refusals: Number(refusals),
    nearLimitMs: { callers: callers - now, polls: polls - now },
  };
};

export interface BudgetReply extends SharedAnswer {
  /** `granted`, `wait`, `late` (nobody waits for it any more), `epoch` (the count was lost), `synced`. */
  readonly outcome: string;
  /** Changes of the count so far. */
  readonly revision: number;
  readonly epoch: string;
  readonly redisNow: Millis;
}

export const replyOf = (reply: unknown): BudgetReply => {
  if (!Array.isArray(reply)) throw new TypeError('not an answer of a budget script');
  const [outcome, wait, time, revision, limit, servers, pace, used, reserveUsed, cool, nearLimit, epoch] =
    reply as unknown[];
  const now = Number(time);
  return {
    outcome: String(outcome),
    granted: outcome === 'granted',
    retryInMs: Number(wait),
    revision: Number(revision),
    epoch: String(epoch),
    redisNow: now,
    use: {
      used: entriesOf(used, now),
      reserveUsed: entriesOf(reserveUsed, now),
      paceFreeInMs: Number(pace),
      limit: Number(limit),
      servers: Number(servers),
    },
    restraint: restraintOf(cool, nearLimit, now),
  };
};

export const flatAges = (entries: readonly SharedEntry[]): string =>
  JSON.stringify(
    entries.flatMap(({ ageMs, requests, polls }) => [Math.max(0, Math.round(ageMs)), requests, polls]),
  );

export const restraintArgs = ({ coolDownMs, status, reason, refusals, nearLimitMs }: SharedRestraint) => [
  Math.round(coolDownMs),
  status ?? 0,
  (reason ?? '').slice(0, MAX_REASON_LENGTH),
  refusals,
  Math.round(Math.max(0, nearLimitMs.callers)),
  Math.round(Math.max(0, nearLimitMs.polls)),
];

/** A restraint as it stands in a message of the channel. */
export const restraintIn = (facts: readonly unknown[]): SharedRestraint => {
  const [coolDownMs, status, reason, refusals, callers, polls] = facts;
  return {
    coolDownMs: Number(coolDownMs),
    status: Number(status) > 0 ? Number(status) : null,
    reason: reason === '' ? null : String(reason),
    refusals: Number(refusals),
    nearLimitMs: { callers: Number(callers), polls: Number(polls) },
  };
};
