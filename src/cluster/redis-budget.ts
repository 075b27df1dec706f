/**
 * The budget of a venue, shared over Redis by all servers of one egress. Lives beside the venues' gates, in their worker.
 *
 * A server that shares says so every ASKING_EVERY_MS. Once it cannot, it is silent, and a moment later it keeps to its
 * part of what was left without asking: every request counts as one for each server last seen alive. The others, where
 * Redis answers them, leave that part to whoever is silent. When Redis answers again it first tells what it has sent. A
 * Redis that has lost its memory does not know who is silent: then all tell, for SETTLE_MS, before any relies on it.
 * Where one server alone cannot reach Redis, the others may have used, in the moment before its silence was noticed, what
 * it takes for left: that window may hold its part too many.
 */
import { randomUUID } from 'node:crypto';
import { createRedisConnection, type RedisConnection } from '../cache/redis-connection.js';
import { createRedisMessages, type RedisMessages } from '../cache/redis-messages.js';
import { steadyNow } from '../lib/steady-clock.js';
import { reserveOf } from '../exchanges/rate-limit/budget.js';
import type {
  SharedAnswer,
  SharedBudget,
  SharedListener,
  SharedRestraint,
} from '../exchanges/rate-limit/shared-budget.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import type { Log } from '../log/log.js';
import { ASKING, BOOK, MEET, REPORT, SILENT_MS, TAKE, UNBOOK } from './budget-scripts.js';
import { flatAges, parsedOrNull, restraintArgs, restraintIn, toldOf, type Told } from './budget-messages.js';
import { keyPrefix, limitKey, type BusSettings } from './bus-settings.js';
import type { RedisScript } from './redis-script.js';

/** Redis is asked for each request: what takes longer is not waited for. */
const DEADLINE_MS = 50;
const ASKING_EVERY_MS = 60;
/** So long after it last said that it asks, a server sends its part without: the others count on that since SILENT_MS. */
const UNASKED_AFTER_MS = SILENT_MS + 60;
/** A server that keeps to its part tries to meet the others once in so many turns of ASKING_EVERY_MS. */
const MEET_TURNS = 4;
/** While it is shared it does so more rarely, to know how many there are and what they have sent. */
const MEET_TURNS_WHILE_SHARED = 16;
/** So long after there were more, fewer are believed. */
const FEWER_AFTER_MS = 10_000;
/** For so long all must have met a Redis that was emptied before its count is relied upon. */
export const SETTLE_MS = 5_000;
const RETRY_MS = 20;

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
  #isShared = false;
  /** Until when a count that was lost is not relied upon. */
  #settledAt: Millis = -Infinity;
  /** Last seen alive. */
  #servers = 1;
  #countedAt: Millis = -Infinity;
  /** The latest attempt was not answered. */
  #isFailing = false;
  /** It has told all that it sent unasked, and says that it asks. */
  #says = false;
  /** When it last said so: this was sent, whether it arrived or not. */
  #saidAt: Millis = -Infinity;
  #saying = false;
  /** Redis' clock against this one; null: not known. */
  #clockOffset: Millis | null = null;
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
      recovery: 'Redis answers again; the request budgets are shared again',
    });
    this.#messages = createRedisMessages({
      url: settings.url,
      channels: exchanges.map((exchange) => this.#key(exchange)),
      heard: (channel, text) => this.#heard(channel.slice(this.#prefix.length), text),
      joined: () => void this.#meet(),
    });
    this.#timer = setInterval(() => {
      this.#turns += 1;
      if (this.#isShared) void this.#say();
      if (this.#turns % (this.#isShared ? MEET_TURNS_WHILE_SHARED : MEET_TURNS) === 0) void this.#meet();
    }, ASKING_EVERY_MS).unref();
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
    const keys = this.#askingKeys();
    // The others need not leave it its part.
    if (this.#isShared && keys.length > 0)
      await this.#connection
        .run((redis) => Promise.all(keys.map((key) => redis.hdel(key, this.#options.settings.serverId))))
        .catch(() => undefined);
    await Promise.all([this.#messages.close(), this.#connection.close()]);
  }

  #key(exchange: ExchangeId): string {
    return this.#prefix + exchange;
  }

  #askingKey(exchange: ExchangeId): string {
    return `${this.#key(exchange)}:asking`;
  }

  #askingKeys(): string[] {
    const used = [...this.#venues].filter(([, { listener }]) => listener !== null);
    return used.map(([exchange]) => this.#askingKey(exchange));
  }

  #bookingId(id: string): string {
    return `${this.#options.settings.serverId}/${id}`;
  }

  #run(exchange: ExchangeId, script: RedisScript, args: readonly (string | number)[]): Promise<unknown> {
    const { settings, budget } = this.#options;
    const servers = `${keyPrefix(settings)}:servers`;
    const keys = [this.#key(exchange), servers, limitKey(settings), this.#askingKey(exchange)];
    const counted = budget.windowMs + this.lateMs;
    const sent = [settings.serverId, budget.requests, counted, this.#redisNow() ?? 0];
    return script.run(this.#connection, keys, [...sent, ...args]);
  }

  /** As far as is known. */
  #redisNow(): Millis | null {
    return this.#clockOffset === null ? null : this.#now() + this.#clockOffset;
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
        this.#answered(told.redisNow);
        const isInTime = this.#now() - askedAt <= DEADLINE_MS;
        // Redis was emptied: what the servers know is all there is.
        if (told.word === 'epoch') await this.#meetOne(exchange, venue);
        else if (told.word !== 'late' && (isInTime || !told.granted)) return this.#note(venue, told);
      } catch {
        this.#failed();
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

  #answered(redisNow: Millis): void {
    this.#isFailing = false;
    this.#clockOffset = redisNow - this.#now();
  }

  #failed(): void {
    this.#isFailing = true;
    this.#giveUpIfSilent();
  }

  /** Asks no more once the others leave it its part. */
  #giveUpIfSilent(): void {
    // A server that is alone has nobody to wait for.
    const wait = this.#servers > 1 ? UNASKED_AFTER_MS : 0;
    if (!this.#isShared || this.#now() - this.#saidAt < wait) return;
    this.#isShared = this.#says = false;
    this.#tellChanged();
  }

  /** Says that it asks; while something fails it is silent. */
  async #say(): Promise<void> {
    if (this.#isFailing) this.#giveUpIfSilent();
    if (!this.#says || this.#saying || this.#isFailing || this.#closed) return;
    const { settings } = this.#options;
    this.#saying = true;
    this.#saidAt = this.#now();
    try {
      const keys = [`${keyPrefix(settings)}:servers`, ...this.#askingKeys()];
      const said = [settings.serverId, this.#redisNow() ?? 0, this.#servers];
      const [redisNow, alive] = (await ASKING.run(this.#connection, keys, said)) as [string, number];
      this.#answered(Number(redisNow));
      this.#count(alive);
    } catch {
      this.#failed();
    } finally {
      this.#saying = false;
    }
  }

  #tellChanged(): void {
    for (const { listener } of this.#venues.values()) listener?.changed();
  }

  /** Tells Redis what this server has sent, and takes over what the others have; then counts with them. */
  async #meet(): Promise<void> {
    if (this.#meeting || this.#closed) return;
    this.#meeting = true;
    try {
      if (!this.#connection.isUp) throw new Error('Redis is not in use.');
      await this.#meetAll();
      this.#isFailing = false;
      if (!this.#isShared && this.#now() >= this.#settledAt) {
        this.#isShared = true;
        this.#tellChanged();
        await this.#meetAll();
        this.#says = this.#isShared;
        await this.#say();
      }
    } catch {
      this.#failed();
    } finally {
      this.#meeting = false;
    }
  }

  async #meetAll(): Promise<void> {
    for (const [exchange, venue] of this.#venues)
      if (venue.listener !== null) await this.#meetOne(exchange, venue);
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
          ...[cool, this.#isShared ? 0 : this.#servers],
        ]),
      );
      this.#answered(told.redisNow);
      const isLost = venue.epoch !== '' && told.epoch !== venue.epoch;
      if (isLost && !this.#isShared) this.#settledAt = this.#now() + SETTLE_MS;
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
    listener.restrained(restraintIn(facts));
  }
}

/** Connects at once; until Redis answers, this server counts alone. */
export const createRedisBudget = (options: RedisBudgetOptions): RedisBudget => new SharedOverRedis(options);
