/**
 * The budget of a venue, shared over Redis by all servers of one egress. Lives beside the venues' gates, in their worker.
 * Whether it is shared at a moment: budget-heartbeat.ts. Where it is not, every request counts as one for each server
 * last seen alive. Where one server alone cannot reach Redis, the others may have used, in the moment before its
 * heartbeat lapsed, what it takes for left: that window may hold its share too many.
 */
import { randomUUID } from 'node:crypto';
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
import { BudgetHeartbeat } from './budget-heartbeat.js';
import { flatAges, parsedOrNull, restraintArgs, restraintIn, type BudgetReply } from './budget-messages.js';
import { createBudgetScripts, type BudgetScripts } from './budget-scripts.js';
import { BudgetStore } from './budget-store.js';
import { BUDGET_TIMES, type BudgetTimes } from './budget-times.js';
import type { BusSettings } from './bus-settings.js';
import type { RedisScript } from './redis-script.js';

/** Before a request whose question failed asks again. */
const RETRY_MS = 20;
/** Answers in a row that a request cannot use before they count as failures: the shared count is then left soon. */
const MAX_UNUSABLE_REPLIES = 3;

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
  readonly times?: BudgetTimes | undefined;
}

export interface RedisBudget extends SharedBudget {
  close(): Promise<void>;
}

interface Venue {
  listener: SharedListener | null;
  epoch: string;
  /** Of the latest change of the shared count that was adopted. */
  revision: number;
  /** Requests that left without asking and are not yet in the shared count, of one window at most. */
  unreported: { at: Millis; poll: boolean; reserve: boolean }[];
  /** Redis' clock was set ahead since the last synchronization. */
  clockSetAhead: boolean;
}

class SharedOverRedis implements RedisBudget {
  /** A slot is used within the deadline or not at all. */
  readonly lateMs: Millis;
  readonly #options: RedisBudgetOptions;
  readonly #now: () => Millis;
  readonly #store: BudgetStore;
  readonly #scripts: BudgetScripts;
  readonly #messages: RedisMessages;
  readonly #venues = new Map<ExchangeId, Venue>();
  readonly #heartbeat: BudgetHeartbeat;

  constructor(options: RedisBudgetOptions) {
    const { settings, exchanges, budget, log, now = steadyNow, times = BUDGET_TIMES } = options;
    this.lateMs = times.deadlineMs;
    this.#scripts = createBudgetScripts(times);
    this.#options = options;
    this.#now = now;
    for (const exchange of exchanges)
      this.#venues.set(exchange, {
        listener: null,
        epoch: '',
        revision: 0,
        unreported: [],
        clockSetAhead: false,
      });
    this.#store = new BudgetStore({
      ...{ settings, log, now, requests: budget.requests, countedMs: budget.windowMs + this.lateMs },
      deadlineMs: times.deadlineMs,
      answered: () => this.#heartbeat.answered(),
      clockSetAhead: () => {
        for (const venue of this.#venues.values()) venue.clockSetAhead = true;
      },
    });
    this.#messages = createRedisMessages({
      url: settings.url,
      channels: exchanges.map((exchange) => this.#store.key(exchange)),
      heard: (channel, text) => this.#heard(this.#store.exchangeOf(channel), text),
      joined: () => void this.#heartbeat.sync(),
    });
    this.#heartbeat = new BudgetHeartbeat({
      times,
      now,
      beat: (servers) => this.#store.beat(this.#usedExchanges(), servers),
      sync: () => this.#sync(),
      changed: () => {
        for (const { listener } of this.#venues.values()) listener?.changed();
      },
    });
  }

  get isShared(): boolean {
    return this.#heartbeat.isShared;
  }

  get servers(): number {
    return this.#heartbeat.servers;
  }

  listen(exchange: ExchangeId, listener: SharedListener): void {
    const venue = this.#venues.get(exchange);
    if (venue !== undefined) venue.listener = listener;
    if (!this.isShared) void this.#heartbeat.sync();
  }

  take({
    exchange,
    poll,
    pollLimit,
    reserve,
    pace,
    booking,
  }: Parameters<SharedBudget['take']>[0]): Promise<SharedAnswer | null> {
    return this.#ask(exchange, this.#scripts.take, (epoch) => [
      ...[
        epoch,
        this.#store.key(exchange),
        reserve ? reserveOf(this.#options.budget.requests) : 0,
        pollLimit ?? 0,
        poll ? 1 : 0,
      ],
      ...[pace?.weight ?? 0, pace?.unitMs ?? 0, pace?.capacity ?? 1],
      booking === undefined ? '' : this.#store.bookingId(booking),
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
    const args = [this.#store.bookingId(id), requests, Math.round(withinMs), pollLimit ?? 0, poll ? 1 : 0];
    return this.#ask(exchange, this.#scripts.book, (epoch) => [epoch, ...args]);
  }

  unbook(exchange: ExchangeId, id: string): void {
    this.#store.send(exchange, this.#scripts.unbook, [this.#store.bookingId(id)]);
  }

  departed(exchange: ExchangeId, request: { readonly poll: boolean; readonly reserve: boolean }): void {
    const venue = this.#venues.get(exchange);
    if (venue === undefined) return;
    venue.unreported.push({ at: this.#now(), ...request });
    this.#forgetOld(venue);
  }

  report(exchange: ExchangeId, restraint: SharedRestraint): void {
    this.#store.send(exchange, this.#scripts.report, [
      this.#store.key(exchange),
      ...restraintArgs(restraint),
    ]);
  }

  async close(): Promise<void> {
    this.#heartbeat.close();
    if (this.isShared) await this.#store.leave(this.#usedExchanges());
    await Promise.all([this.#messages.close(), this.#store.close()]);
  }

  /** Those that have a gate. */
  #usedExchanges(): ExchangeId[] {
    return [...this.#venues].filter(([, { listener }]) => listener !== null).map(([exchange]) => exchange);
  }

  async #ask(
    exchange: ExchangeId,
    script: RedisScript,
    args: (epoch: string) => readonly (string | number)[],
  ): Promise<SharedAnswer | null> {
    const venue = this.#venues.get(exchange);
    if (venue === undefined) return null;
    // A short outage is waited out: a server that left the shared count while the others go on could overrun the budget.
    for (let unusable = 0; ;) {
      let askedAt = this.#now();
      try {
        // What was sent while Redis was away, or what its clock has forgotten, is reported first: Redis would grant those
        // slots again.
        if (venue.unreported.length > 0 || venue.clockSetAhead) {
          await this.#syncOne(exchange, venue);
          askedAt = this.#now();
        }
        const reply = await this.#store.run(exchange, script, args(venue.epoch));
        const isInTime = this.#now() - askedAt <= this.lateMs;
        if (reply.outcome !== 'epoch' && reply.outcome !== 'late' && (isInTime || !reply.granted))
          return this.#adopt(venue, reply);
        unusable += 1;
        if (unusable > MAX_UNUSABLE_REPLIES)
          throw new Error('Redis gives no answer that can be used in time.');
        // Redis was emptied: what the servers know is all there is.
        if (reply.outcome === 'epoch') await this.#syncOne(exchange, venue);
      } catch {
        this.#heartbeat.failed();
        await new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
      if (!this.isShared || this.#heartbeat.isClosed) return null;
    }
  }

  #adopt(venue: Venue, reply: BudgetReply): SharedAnswer {
    venue.revision = Math.max(venue.revision, reply.revision);
    this.#heartbeat.count(reply.use.servers);
    return reply;
  }

  async #sync(): Promise<void> {
    if (!this.#store.isUp) throw new Error('Redis is not in use.');
    for (const [exchange, venue] of this.#venues)
      if (venue.listener !== null) await this.#syncOne(exchange, venue);
  }

  async #syncOne(exchange: ExchangeId, venue: Venue): Promise<void> {
    const { listener } = venue;
    if (listener === null) return;
    const own = listener.snapshot();
    const { unreported: sent, clockSetAhead } = venue;
    venue.unreported = [];
    venue.clockSetAhead = false;
    this.#forgetOld(venue);
    const now = this.#now();
    const ages = (reserve: boolean): string =>
      flatAges(
        sent
          .filter((each) => each.reserve === reserve)
          .map(({ at, poll }) => ({ ageMs: now - at, requests: 1, polls: poll ? 1 : 0 })),
      );
    const { coolDownMs, status, reason, refusals } = own.restraint;
    const cool = JSON.stringify([Math.round(coolDownMs), status ?? 0, reason ?? '', refusals]);
    try {
      const reply = await this.#store.run(exchange, this.#scripts.sync, [
        ...[randomUUID(), flatAges(own.used), flatAges(own.reserveUsed), ages(false), ages(true)],
        ...[cool, this.isShared ? 0 : this.servers, clockSetAhead ? 1 : 0],
      ]);
      if (venue.epoch !== '' && reply.epoch !== venue.epoch) this.#heartbeat.lost();
      venue.epoch = reply.epoch;
      venue.revision = reply.revision;
      this.#heartbeat.count(reply.use.servers);
      if (reply.restraint !== null) listener.restrained(reply.restraint);
    } catch (thrown) {
      venue.unreported = [...sent, ...venue.unreported];
      venue.clockSetAhead ||= clockSetAhead;
      throw thrown;
    }
  }

  #forgetOld(venue: Venue): void {
    const oldest = this.#now() - this.#options.budget.windowMs - this.lateMs;
    const { unreported } = venue;
    const first = unreported.findIndex(({ at }) => at > oldest);
    if (first !== 0) unreported.splice(0, first === -1 ? unreported.length : first);
  }

  #heard(exchange: ExchangeId, text: string): void {
    const venue = this.#venues.get(exchange);
    const message = parsedOrNull(text);
    const listener = venue?.listener ?? null;
    if (venue === undefined || listener === null || !Array.isArray(message)) return;
    const [kind, sender, ...facts] = message as unknown[];
    if (sender === this.#options.settings.serverId) return;
    if (kind === 'left') {
      const [revision, poll, reserve] = facts.map(Number);
      if (revision === undefined || revision <= venue.revision) return;
      venue.revision = revision;
      listener.departed({ poll: poll === 1, reserve: reserve === 1 });
      return;
    }
    if (kind !== 'restraint') return;
    listener.restrained(restraintIn(facts));
  }
}

/** Connects at once; until Redis answers, this server counts alone. */
export const createRedisBudget = (options: RedisBudgetOptions): RedisBudget => new SharedOverRedis(options);
