/**
 * Who is in the cluster: each server beats to Redis, and is alive to the others for as long as its lease is valid. From the
 * serving thread, so that a server that serves nobody any more is not taken for alive.
 */
import { createRedisConnection, type RedisConnection } from '../cache/redis-connection.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import { FORMAT_VERSION, keyPrefix, limitKey, type BusSettings } from './bus-settings.js';
import { redisScript } from './redis-script.js';

const BEAT_MS: Millis = 300;
/** Of a server where nothing else is set (BUS_LEASE). */
export const LEASE_MS: Millis = 1_200;
/** Of a lease: a server without an answer for so long takes itself for dead, before the others do. */
const SELF_OUT = 0.75;
const DEADLINE_MS: Millis = 250;
/** Clocks that differ by more are told. Ages of what another server feeds are corrected by the difference. */
const MAX_CLOCK_OFFSET_MS: Millis = 250;
/** Between two checks of whether Redis may evict the cluster's keys. */
const POLICY_EVERY_MS: Millis = 60_000;

/**
 * KEYS: servers by lease, facts by server, lowest limit of the egress, forms of keys by lease. ARGV: server, lease ms, its facts as
 * JSON, own limit, form of its keys, egress, channel of beats.
 * Answers the facts of all that are alive, the forms in use, Redis' time in ms, and 1 where the server's lease began anew.
 */
const BEAT = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local isNew = redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)) do
  redis.call('ZREM', KEYS[1], dead)
  redis.call('HDEL', KEYS[2], dead)
end
-- A clock that was set back must not keep the dead alive.
for _, early in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now + ARGV[2]), '+inf')) do
  redis.call('ZADD', KEYS[1], now + ARGV[2], early)
end
local lowest, facts = tonumber(ARGV[4]), {}
for _, server in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local fact = redis.call('HGET', KEYS[2], server)
  if fact then
    facts[#facts + 1] = fact
    local told = cjson.decode(fact)
    if told.egress == ARGV[6] then lowest = math.min(lowest, told.limit) end
  end
end
redis.call('SET', KEYS[3], lowest)
redis.call('ZADD', KEYS[4], now + ARGV[2], ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. now)
redis.call('PUBLISH', ARGV[7], ARGV[1])
return { facts, redis.call('ZRANGE', KEYS[4], 0, -1), string.format('%.0f', now), isNew }
`);

const LEAVE = redisScript(`
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], '-' .. ARGV[1])
return 1
`);

interface Member {
  readonly id: string;
  /** When it started, by its own clock. */
  readonly since: Millis;
  readonly owned: number;
  readonly followed: number;
}

interface BusState {
  readonly state: 'ok' | 'unshared' | 'degraded';
  readonly since: Millis;
  readonly detail: string;
}

interface BusStats {
  readonly beats: number;
  readonly missed: number;
  /** Of the latest beat; null before the first. */
  readonly roundTripMs: Millis | null;
  /** What Redis' clock is ahead of this server's, within half a round trip; null or undefined: not known. */
  readonly clockOffsetMs?: Millis | null;
  /** Leases of this server that began: more than one where Redis was away or emptied, or this server was not in time. */
  readonly leases?: number;
  /** Subscribed connections that were replaced because this server did not hear its own beat. */
  readonly subscriberReplaced?: number;
}

export interface Membership {
  readonly serverId: string;
  readonly health: BusState;
  /** Alive as far as is known, this one first; ≥ 1. */
  readonly servers: readonly Member[];
  readonly stats: BusStats;
  start(): void;
  close(): Promise<void>;
}

export interface MembershipOptions {
  readonly settings: BusSettings;
  /** A server that has not beaten for so long is taken for dead; the same for all. Default: LEASE_MS. */
  readonly leaseMs?: Millis | undefined;
  readonly limit: number;
  /** Topics whose feed this server holds, and those that it gets from another. */
  readonly topics: () => { readonly owned: number; readonly followed: number };
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

const HEALTHY = 'Feeds and request budgets are shared with all servers of the namespace on this Redis.';
const AWAY = 'Redis does not answer: this server feeds itself, and keeps to its part of the request budgets.';
const CLOCKS_DIFFER =
  'The clocks of this server and of Redis differ by more than 0.25 s: correct them (NTP).';
const evicting = (policy: string): string =>
  `Redis may evict what the servers share: its maxmemory-policy is ${policy}; set it to volatile-lru or noeviction.`;

const memberOf = (text: string): Member | null => {
  const fact: unknown = JSON.parse(text);
  if (typeof fact !== 'object' || fact === null) return null;
  const { id, since, owned, followed } = fact as Record<string, unknown>;
  if (typeof id !== 'string' || typeof since !== 'number') return null;
  return { id, since, owned: Number(owned), followed: Number(followed) };
};

class RedisMembership implements Membership {
  readonly #options: MembershipOptions;
  readonly #leaseMs: Millis;
  readonly #connection: RedisConnection;
  readonly #startedAt: Millis;
  readonly #keys: readonly string[];
  readonly #form: string;
  readonly #channel: string;
  #timer: NodeJS.Timeout | undefined;
  #heardAt: Millis | null = null;
  #others: readonly Member[] = [];
  #policy: string | null = null;
  #policyAt = -Infinity;
  #strangers = '';
  #state: BusState;
  #beating = false;
  #beats = 0;
  #missed = 0;
  #roundTripMs: Millis | null = null;
  #clockOffsetMs: Millis | null = null;
  #leases = 0;

  constructor(options: MembershipOptions) {
    const { settings, log, now, monotonic } = options;
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#startedAt = now();
    this.#state = { state: 'unshared', since: this.#startedAt, detail: AWAY };
    const servers = `${keyPrefix(settings)}:servers`;
    const forms = `{mcds:${settings.namespace}}:forms`;
    this.#keys = [servers, `${servers}:facts`, limitKey(settings), forms];
    this.#channel = `${keyPrefix(settings)}:beat`;
    this.#form = `${FORMAT_VERSION} ${settings.sandbox ? 'sandbox' : 'real'}`;
    this.#connection = createRedisConnection({
      url: settings.url,
      log,
      now: monotonic,
      deadlineMs: DEADLINE_MS,
      warning: 'Redis does not answer; this server acts alone until it does',
      recovery: 'Redis answers again; this server joins the others',
    });
  }

  get serverId(): string {
    return this.#options.settings.serverId;
  }

  get health(): BusState {
    this.#judge();
    return this.#state;
  }

  get servers(): readonly Member[] {
    const { topics } = this.#options;
    const own: Member = { id: this.serverId, since: this.#startedAt, ...topics() };
    return [own, ...(this.#isHeard() ? this.#others : [])];
  }

  get stats(): BusStats {
    return {
      ...{ beats: this.#beats, missed: this.#missed, roundTripMs: this.#roundTripMs },
      ...{ clockOffsetMs: this.#clockOffsetMs, leases: this.#leases },
    };
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#beat(), BEAT_MS).unref();
    void this.#beat();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    // The others need not wait for the lease.
    if (this.#isHeard())
      await LEAVE.run(this.#connection, this.#keys.slice(0, 2), [this.serverId, this.#channel]).catch(
        () => undefined,
      );
    await this.#connection.close();
  }

  #isHeard(): boolean {
    return this.#heardAt !== null && this.#options.monotonic() - this.#heardAt < SELF_OUT * this.#leaseMs;
  }

  #judge(): void {
    const detail = this.#isHeard() ? this.#illness() : AWAY;
    const state = detail === AWAY ? 'unshared' : detail === null ? 'ok' : 'degraded';
    if (state === this.#state.state && state !== 'degraded') return;
    if (detail === this.#state.detail) return;
    this.#state = { state, since: this.#options.now(), detail: detail ?? HEALTHY };
  }

  /** Why sharing may go wrong though Redis answers; null: nothing is known. */
  #illness(): string | null {
    if (this.#policy?.startsWith('allkeys-') === true) return evicting(this.#policy);
    return Math.abs(this.#clockOffsetMs ?? 0) > MAX_CLOCK_OFFSET_MS ? CLOCKS_DIFFER : null;
  }

  async #beat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    const { settings, limit, now, monotonic, topics } = this.#options;
    const sentAt = monotonic();
    try {
      if (!this.#connection.isUp) throw new Error('Redis is not in use.');
      const facts = JSON.stringify({
        ...{ id: settings.serverId, since: this.#startedAt, egress: settings.egress, limit },
        ...topics(),
      });
      const reply = await BEAT.run(this.#connection, this.#keys, [
        ...[settings.serverId, this.#leaseMs, facts, limit, this.#form, settings.egress, this.#channel],
      ]);
      this.#heardAt = sentAt;
      this.#roundTripMs = monotonic() - sentAt;
      this.#beats += 1;
      const [alive, forms, redisTime, isNew] = reply as [string[], string[], string, number];
      this.#leases += isNew;
      this.#clockOffsetMs = Number(redisTime) - (now() - this.#roundTripMs / 2);
      this.#others = alive.flatMap((text) => {
        const member = memberOf(text);
        return member === null || member.id === settings.serverId ? [] : [member];
      });
      this.#tellStrangers(forms.filter((form) => form !== this.#form));
      await this.#lookAtPolicy();
    } catch {
      this.#missed += 1;
    } finally {
      this.#beating = false;
      this.#judge();
    }
  }

  /** Servers that write keys of another format are logged once, when they come. */
  #tellStrangers(forms: string[]): void {
    const strangers = forms.sort().join(', ');
    if (strangers !== '' && strangers !== this.#strangers)
      this.#options.log.warn(
        { own: this.#form, others: strangers },
        'servers of another version or with other venues use this namespace of Redis; nothing is shared with them',
      );
    this.#strangers = strangers;
  }

  async #lookAtPolicy(): Promise<void> {
    const { monotonic, log } = this.#options;
    if (monotonic() - this.#policyAt < POLICY_EVERY_MS) return;
    this.#policyAt = monotonic();
    // Managed servers of Redis may refuse CONFIG: then nothing is known.
    const [, policy = ''] = await this.#connection
      .run((redis) => redis.config('GET', 'maxmemory-policy'))
      .then((reply) => (Array.isArray(reply) ? reply.map(String) : []))
      .catch(() => []);
    if (policy !== this.#policy && policy.startsWith('allkeys-'))
      log.warn({ maxmemory_policy: policy }, evicting(policy));
    this.#policy = policy;
  }
}

/** Connects at once; beats once it is started. */
export const createMembership = (options: MembershipOptions): Membership => new RedisMembership(options);
