/**
 * The budget of a venue, shared over Redis by all servers of one egress. Lives beside the venues' gates, in their worker.
 *
 * While Redis cannot be asked, each server keeps to its part of what was left: every request counts as one for each
 * server last seen alive. When Redis answers again each server first tells what it has sent and may still send, for
 * SETTLE_MS, so that nobody relies on the shared count before all have told it theirs.
 */
import { randomUUID } from 'node:crypto';
import { createRedisConnection, isRefusal, type RedisConnection } from '../cache/redis-connection.js';
import { createRedisMessages, type RedisMessages } from '../cache/redis-messages.js';
import { steadyNow } from '../lib/steady-clock.js';
import { reserveOf } from '../exchanges/rate-limit/budget.js';
import type {
  SharedAnswer,
  SharedBudget,
  SharedEntry,
  SharedListener,
  SharedRestraint,
} from '../exchanges/rate-limit/shared-budget.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import type { Log } from '../log/log.js';
import { BOOK, MEET, REPORT, TAKE, UNBOOK } from './budget-scripts.js';
import { keyPrefix, limitKey, type BusSettings } from './bus-settings.js';
import type { RedisScript } from './redis-script.js';

/** Redis is asked for each request: what takes longer is not waited for. */
const DEADLINE_MS = 50;
/** How often a server that keeps to its part tries to meet the others. */
const MEET_EVERY_MS = 250;
/** While it is shared it does so more rarely, to know how many there are and what they have sent. */
const TURNS_WHILE_SHARED = 4;
/** So long after there were more, fewer are believed. */
const FEWER_AFTER_MS = 10_000;
/** For so long all must have met before the shared count is relied upon. */
export const SETTLE_MS = 5_000;
/** A Redis that has been silent for so long is away. */
const GIVE_UP_AFTER_MS = 1_000;
const RETRY_MS = 20;
const MAX_REASON_LENGTH = 200;

interface BudgetSize {
  readonly requests: number;
  readonly windowMs: Millis;
}

export interface RedisBudgetOptions {
  readonly settings: BusSettings;
  readonly exchanges: readonly ExchangeId[];
  readonly budget: BudgetSize;
  readonly log: Log;
  /** A monotonic clock. */
  readonly now?: (() => Millis) | undefined;
}

export interface RedisBudget extends SharedBudget {
  close(): Promise<void>;
}

interface Venue {
  listener: SharedListener | null;
  epoch: string;
  /** The latest change that is known. */
  n: number;
  /** What was sent without asking and not yet told, of one window at most. */
  unasked: { at: Millis; poll: boolean; reserve: boolean }[];
}

/** Other programs may speak on the channel. */
const parsedOrNull = (text: string): unknown => {
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

interface Told extends SharedAnswer {
  readonly word: string;
  readonly n: number;
  readonly epoch: string;
}

const toldOf = (reply: unknown): Told => {
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

const flatAges = (entries: readonly SharedEntry[]): string =>
  JSON.stringify(
    entries.flatMap(({ ageMs, requests, polls }) => [Math.max(0, Math.round(ageMs)), requests, polls]),
  );

const restraintArgs = ({ coolDownMs, status, reason, strikes, brakeMs }: SharedRestraint) => [
  Math.round(coolDownMs),
  status ?? 0,
  (reason ?? '').slice(0, MAX_REASON_LENGTH),
  strikes,
  Math.round(Math.max(0, brakeMs.callers)),
  Math.round(Math.max(0, brakeMs.polls)),
];

class SharedOverRedis implements RedisBudget {
  /** A grant is used within the deadline or not at all. */
  readonly lateMs = DEADLINE_MS;
  readonly #options: RedisBudgetOptions;
  readonly #now: () => Millis;
  readonly #connection: RedisConnection;
  readonly #messages: RedisMessages;
  readonly #prefix: string;
  readonly #venues = new Map<ExchangeId, Venue>();
  readonly #timer: NodeJS.Timeout;
  /** From then on a return is waited for until all can have told what they sent meanwhile. */
  #sharedOnce = false;
  #isShared = false;
  /** Last seen alive. */
  #servers = 1;
  #countedAt: Millis = -Infinity;
  /** Since when all venues have met without a failure; null: they have not. */
  #metSince: Millis | null = null;
  /** Since when no answer has come; null: the latest attempt was answered. */
  #failingSince: Millis | null = null;
  #meeting = false;
  #turns = 0;
  #closed = false;

  constructor(options: RedisBudgetOptions) {
    const { settings, exchanges, log, now = steadyNow } = options;
    this.#options = options;
    this.#now = now;
    this.#prefix = `${keyPrefix(settings)}:budget:${settings.egress}:`;
    for (const exchange of exchanges)
      this.#venues.set(exchange, { listener: null, epoch: '', n: 0, unasked: [] });
    this.#connection = createRedisConnection({
      url: settings.url,
      log,
      now,
      deadlineMs: DEADLINE_MS,
      warning: 'Redis does not answer; this server keeps to its part of the request budgets until it does',
      recovery: 'Redis answers again; the request budgets are shared in a few seconds',
    });
    this.#messages = createRedisMessages({
      url: settings.url,
      channels: exchanges.map((exchange) => this.#key(exchange)),
      heard: (channel, text) => this.#heard(channel.slice(this.#prefix.length), text),
      joined: () => void this.#meet(),
    });
    this.#timer = setInterval(() => {
      this.#turns += 1;
      if (!this.#isShared || this.#turns % TURNS_WHILE_SHARED === 0) void this.#meet();
    }, MEET_EVERY_MS).unref();
  }

  get isShared(): boolean {
    return this.#isShared;
  }

  get servers(): number {
    return this.#servers;
  }

  listen(exchange: ExchangeId, listener: SharedListener): void {
    const venue = this.#venues.get(exchange);
    if (venue !== undefined) venue.listener = listener;
    if (!this.#isShared) void this.#meet();
  }

  take({
    exchange,
    poll,
    pollLimit,
    reserve,
    pace,
    booking,
  }: Parameters<SharedBudget['take']>[0]): Promise<SharedAnswer | null> {
    return this.#ask(exchange, TAKE, (epoch) => [
      ...[
        epoch,
        this.#key(exchange),
        reserve ? reserveOf(this.#options.budget.requests) : 0,
        pollLimit ?? 0,
        poll ? 1 : 0,
      ],
      ...[pace?.weight ?? 0, pace?.unitMs ?? 0, booking === undefined ? '' : this.#bookingId(booking)],
    ]);
  }

  book({
    exchange,
    id,
    requests,
    withinMs,
    poll,
    pollLimit,
  }: Parameters<SharedBudget['book']>[0]): Promise<SharedAnswer | null> {
    const args = [this.#bookingId(id), requests, Math.round(withinMs), pollLimit ?? 0, poll ? 1 : 0];
    return this.#ask(exchange, BOOK, (epoch) => [epoch, ...args]);
  }

  unbook(exchange: ExchangeId, id: string): void {
    this.#run(exchange, UNBOOK, [this.#bookingId(id)]).catch(() => undefined);
  }

  departed(exchange: ExchangeId, request: { readonly poll: boolean; readonly reserve: boolean }): void {
    const venue = this.#venues.get(exchange);
    if (venue === undefined) return;
    venue.unasked.push({ at: this.#now(), ...request });
    this.#forgetOld(venue);
  }

  report(exchange: ExchangeId, restraint: SharedRestraint): void {
    this.#run(exchange, REPORT, [this.#key(exchange), ...restraintArgs(restraint)]).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all([this.#messages.close(), this.#connection.close()]);
  }

  #key(exchange: ExchangeId): string {
    return this.#prefix + exchange;
  }

  #bookingId(id: string): string {
    return `${this.#options.settings.serverId}/${id}`;
  }

  #run(exchange: ExchangeId, script: RedisScript, args: readonly (string | number)[]): Promise<unknown> {
    const { settings, budget } = this.#options;
    const keys = [this.#key(exchange), `${keyPrefix(settings)}:servers`, limitKey(settings)];
    const counted = budget.windowMs + this.lateMs;
    return script.run(this.#connection, keys, [settings.serverId, budget.requests, counted, ...args]);
  }

  async #ask(
    exchange: ExchangeId,
    script: RedisScript,
    args: (epoch: string) => readonly (string | number)[],
  ): Promise<SharedAnswer | null> {
    const venue = this.#venues.get(exchange);
    if (venue === undefined) return null;
    // A moment's silence is waited out: a server that counts alone while the others go on would be one too many.
    do {
      let askedAt = this.#now();
      try {
        // What was sent while Redis was away is told before it is asked: it would grant those slots again.
        if (venue.unasked.length > 0) {
          await this.#meetOne(exchange, venue);
          askedAt = this.#now();
        }
        const told = toldOf(await this.#run(exchange, script, args(venue.epoch)));
        this.#failingSince = null;
        // Redis was emptied: what the servers know is all there is.
        if (told.word === 'epoch') await this.#meetOne(exchange, venue);
        else if (!told.granted || this.#now() - askedAt <= DEADLINE_MS) return this.#note(venue, told);
      } catch (thrown) {
        this.#failed(thrown);
        await new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    } while (this.#isShared && !this.#closed);
    return null;
  }

  #note(venue: Venue, told: Told): SharedAnswer {
    venue.n = Math.max(venue.n, told.n);
    this.#count(told.use.servers);
    return told;
  }

  /** Servers that have just missed their lease may still send: Redis was away for them too. */
  #count(alive: number): void {
    const now = this.#now();
    if (alive < this.#servers && (!this.#isShared || now - this.#countedAt < FEWER_AFTER_MS)) return;
    this.#servers = alive;
    this.#countedAt = now;
  }

  #failed(thrown: unknown): void {
    this.#metSince = null;
    this.#failingSince ??= this.#now();
    // Redis does not want it (its memory is full): it will not want it the next moment either.
    if (!isRefusal(thrown) && this.#now() - this.#failingSince < GIVE_UP_AFTER_MS) return;
    if (!this.#isShared) return;
    this.#isShared = false;
    this.#tellChanged();
  }

  #tellChanged(): void {
    for (const { listener } of this.#venues.values()) listener?.changed();
  }

  /** Tells Redis what this server has sent, and takes over what the others have; then, in time, counts with them. */
  async #meet(): Promise<void> {
    if (this.#meeting || this.#closed) return;
    this.#meeting = true;
    try {
      if (!this.#connection.isUp) throw new Error('Redis is not in use.');
      for (const [exchange, venue] of this.#venues)
        if (venue.listener !== null) await this.#meetOne(exchange, venue);
      this.#failingSince = null;
      this.#metSince ??= this.#now();
      // Nothing was sent beside the shared count before it was shared for the first time.
      const settled = !this.#sharedOnce || this.#now() - this.#metSince >= SETTLE_MS;
      if (settled && !this.#isShared) {
        this.#isShared = this.#sharedOnce = true;
        this.#tellChanged();
        for (const [exchange, venue] of this.#venues)
          if (venue.listener !== null) await this.#meetOne(exchange, venue);
      }
    } catch (thrown) {
      this.#failed(thrown);
    } finally {
      this.#meeting = false;
    }
  }

  async #meetOne(exchange: ExchangeId, venue: Venue): Promise<void> {
    const { listener } = venue;
    if (listener === null) return;
    const known = listener.known();
    const sent = venue.unasked;
    venue.unasked = [];
    this.#forgetOld(venue);
    const now = this.#now();
    const ages = (reserve: boolean): string =>
      flatAges(
        sent
          .filter((each) => each.reserve === reserve)
          .map(({ at, poll }) => ({ ageMs: now - at, requests: 1, polls: poll ? 1 : 0 })),
      );
    const { coolDownMs, status, reason, strikes } = known.restraint;
    const cool = JSON.stringify([Math.round(coolDownMs), status ?? 0, reason ?? '', strikes]);
    try {
      const told = toldOf(
        await this.#run(exchange, MEET, [
          ...[randomUUID(), flatAges(known.used), flatAges(known.reserveUsed), ages(false), ages(true)],
          ...[this.#isShared || !this.#sharedOnce ? 0 : listener.allowance(), cool],
        ]),
      );
      venue.epoch = told.epoch;
      venue.n = told.n;
      this.#count(told.use.servers);
      if (told.restraint !== null) listener.restrained(told.restraint);
    } catch (thrown) {
      venue.unasked = [...sent, ...venue.unasked];
      throw thrown;
    }
  }

  #forgetOld(venue: Venue): void {
    const oldest = this.#now() - this.#options.budget.windowMs - this.lateMs;
    const { unasked } = venue;
    const first = unasked.findIndex(({ at }) => at > oldest);
    if (first !== 0) unasked.splice(0, first === -1 ? unasked.length : first);
  }

  #heard(exchange: ExchangeId, text: string): void {
    const venue = this.#venues.get(exchange);
    const message = parsedOrNull(text);
    const listener = venue?.listener ?? null;
    if (venue === undefined || listener === null || !Array.isArray(message)) return;
    const [word, sid, ...facts] = message as unknown[];
    if (sid === this.#options.settings.serverId) return;
    if (word === 'left') {
      const [n, poll, reserve] = facts.map(Number);
      if (n === undefined || n <= venue.n) return;
      venue.n = n;
      listener.departed({ poll: poll === 1, reserve: reserve === 1 });
      return;
    }
    if (word !== 'restraint') return;
    const [coolDownMs, status, reason, strikes, callers, polls] = facts;
    listener.restrained({
      coolDownMs: Number(coolDownMs),
      status: Number(status) > 0 ? Number(status) : null,
      reason: reason === '' ? null : String(reason),
      strikes: Number(strikes),
      brakeMs: { callers: Number(callers), polls: Number(polls) },
    });
  }
}

/** Connects at once; until Redis answers, this server counts alone. */
export const createRedisBudget = (options: RedisBudgetOptions): RedisBudget => new SharedOverRedis(options);
