/** The shared budgets of one egress in Redis: the names of their keys, Redis' clock, and the scripts run against them. */
import { createRedisConnection, type RedisConnection } from '../cache/redis-connection.js';
import type { Log } from '../log/log.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { replyOf, type BudgetReply } from './budget-messages.js';
import { HEARTBEAT } from './budget-scripts.js';
import { keyPrefix, limitKey, type BusSettings } from './bus-settings.js';
import type { RedisScript } from './redis-script.js';

export interface BudgetStoreDeps {
  /** Redis' answer is not waited for longer. */
  readonly deadlineMs: Millis;
  readonly settings: BusSettings;
  readonly requests: number;
  /** For so long a request counts. */
  readonly countedMs: Millis;
  readonly log: Log;
  /** A monotonic clock. */
  readonly now: () => Millis;
  /** Redis has carried out a command and answered. */
  readonly answered: () => void;
  /** Redis' clock was set ahead: what it has counted may be forgotten too early. */
  readonly clockSetAhead: () => void;
}

/** By more than an answer that was late can make believe: the deadline, and what a busy server takes to read it. */
const SET_AHEAD_MS: Millis = 200;

type Args = readonly (string | number)[];

export class BudgetStore {
  readonly #deps: BudgetStoreDeps;
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  /** Redis' clock minus this server's; null: not known. */
  #clockOffset: Millis | null = null;

  constructor(deps: BudgetStoreDeps) {
    const { settings, log, now, deadlineMs } = deps;
    this.#deps = deps;
    this.#prefix = `${keyPrefix(settings)}:budget:${settings.egress}:`;
    this.#connection = createRedisConnection({
      ...{ url: settings.url, log, now, deadlineMs },
      warning: 'Redis does not answer; this server keeps to its part of the request budgets until it does',
      recovery: 'Redis answers again; the request budgets are shared again',
    });
  }

  get isUp(): boolean {
    return this.#connection.isUp;
  }

  /** Of a venue's hash, which is also the name of its channel. */
  key(exchange: ExchangeId): string {
    return this.#prefix + exchange;
  }

  exchangeOf(key: string): ExchangeId {
    return key.slice(this.#prefix.length);
  }

  bookingId(id: string): string {
    return `${this.#deps.settings.serverId}/${id}`;
  }

  /** Rejects where Redis does not answer within its deadline. */
  async run(exchange: ExchangeId, script: RedisScript, args: Args): Promise<BudgetReply> {
    const reply = replyOf(await this.#run(exchange, script, args));
    this.#answered(reply.redisNow);
    return reply;
  }

  /** For a script whose answer does not matter. */
  send(exchange: ExchangeId, script: RedisScript, args: Args): void {
    this.#run(exchange, script, args).catch(() => undefined);
  }

  /** This server's heartbeat; the number of servers that are alive. */
  async beat(exchanges: readonly ExchangeId[], servers: number): Promise<number> {
    const { settings } = this.#deps;
    const keys = [`${keyPrefix(settings)}:servers`, ...this.#heartbeatKeys(exchanges)];
    const args = [settings.serverId, this.#redisNow() ?? 0, servers];
    const [redisNow, alive] = (await HEARTBEAT.run(this.#connection, keys, args)) as [string, number];
    this.#answered(Number(redisNow));
    return alive;
  }

  /** The others need not withhold this server's share any more. */
  async leave(exchanges: readonly ExchangeId[]): Promise<void> {
    const { serverId } = this.#deps.settings;
    const keys = this.#heartbeatKeys(exchanges);
    await this.#connection
      .run((redis) => Promise.all(keys.map((key) => redis.hdel(key, serverId))))
      .catch(() => undefined);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #heartbeatKeys(exchanges: readonly ExchangeId[]): string[] {
    return exchanges.map((exchange) => `${this.key(exchange)}:asking`);
  }

  #run(exchange: ExchangeId, script: RedisScript, args: Args): Promise<unknown> {
    const { settings, requests, countedMs } = this.#deps;
    const servers = `${keyPrefix(settings)}:servers`;
    const keys = [this.key(exchange), servers, limitKey(settings), ...this.#heartbeatKeys([exchange])];
    const common = [settings.serverId, requests, countedMs, this.#redisNow() ?? 0];
    return script.run(this.#connection, keys, [...common, ...args]);
  }

  #answered(redisNow: Millis): void {
    const offset = redisNow - this.#deps.now();
    if (this.#clockOffset !== null && offset - this.#clockOffset > SET_AHEAD_MS) this.#deps.clockSetAhead();
    this.#clockOffset = offset;
    this.#deps.answered();
  }

  /** Estimated by the last answer; null before the first. */
  #redisNow(): Millis | null {
    return this.#clockOffset === null ? null : this.#deps.now() + this.#clockOffset;
  }
}
