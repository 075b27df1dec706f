/**
 * The second tier, shared between servers. Nothing that Redis does or fails to do reaches a caller as an error: a
 * fault is a miss. Memory full, wrong types and foreign values are told once, like an outage.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Millis } from '../schemas/common.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import type { CacheEntry } from './cache-entry.js';
import { decodeEntry, encodeEntry, MAX_HEADER_BYTES } from './entry-codec.js';
import { createOutage } from '../log/outage.js';
import { isRefusal } from './redis-client.js';
import { COMMAND_DEADLINE_MS, createRedisConnection } from './redis-connection.js';
import type { AdmitEntry, LoadClaim, SharedTier } from './shared-tier.js';

/** Larger answers stay in memory: moving them would hold up every other command on the connection. */
const MAX_VALUE_BYTES = 1024 * 1024;
/** So much of a value is read: one that is longer arrives cut, and is none of ours. */
const MAX_READ_BYTES = MAX_HEADER_BYTES + MAX_VALUE_BYTES;
/** After a refused write (memory full, read-only replica) none is tried for this long. */
const WRITE_PAUSE_MS = 1_000;
/** Redis drops a value up to this much after its time, so that what was written together does not go together. */
const EXPIRY_JITTER_MS = 5_000;
/** After a wait for another server's value that never came, claims are left aside for this long. */
const DISTRUST_MS = 10_000;

/** Compare and delete in one step: a claim that expired and now belongs to another server is not released. */
const RELEASE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;

export interface RedisCacheDeps {
  readonly url: string;
  readonly log: Log;
  readonly now?: () => Millis;
  /** The clock of durations; default: `now` where that is given. */
  readonly monotonic?: () => Millis;
  readonly random?: () => number;
  /** Judges what is read; default: every sound entry will do. */
  readonly admit?: AdmitEntry;
  /** Deadline of a command. */
  readonly commandTimeoutMs?: Millis;
}

export const createRedisCache = (deps: RedisCacheDeps): SharedTier => {
  const { url, log, admit, now = Date.now, monotonic = deps.now ?? steadyNow, random = Math.random } = deps;
  const deadlineMs = deps.commandTimeoutMs ?? COMMAND_DEADLINE_MS;
  const connection = createRedisConnection({ url, log, now, deadlineMs });
  const writes = createOutage({
    log,
    now: monotonic,
    warning: 'Redis refuses writes; it serves what it has',
    recovery: 'Redis takes writes again',
  });
  const foreign = createOutage({
    log,
    now: monotonic,
    warning: 'Redis holds values that this version did not write; they count as misses',
    recovery: 'Redis holds sound values again',
  });
  let [hits, misses, failures, corrupt] = [0, 0, 0, 0];
  let [written, writeFailures] = [0, 0];
  let writesFrom: Millis = 0;
  let claimsFrom: Millis = 0;

  /** `write`: a refusal pauses all writes. Resolves with undefined where it failed. */
  const write = async <T>(command: (redis: Redis) => Promise<T>): Promise<{ reply: T } | undefined> => {
    if (!connection.isUp || monotonic() < writesFrom) return undefined;
    try {
      const reply = await connection.run(command);
      writes.end();
      written += 1;
      return { reply };
    } catch (thrown) {
      writeFailures += 1;
      if (isRefusal(thrown)) {
        writesFrom = monotonic() + WRITE_PAUSE_MS;
        // The first word of Redis' refusal is its code: OOM, READONLY, MISCONF.
        writes.begin({ reason: thrown.message.split(' ', 1)[0] });
      }
      return undefined;
    }
  };

  /** What the parser hands over is not trusted to be of the type that the command calls for. */
  const read = (key: string, value: unknown, onlyFresh: boolean): CacheEntry | undefined => {
    const countMiss = (): void => {
      misses += 1;
    };
    // GETRANGE says of a key that is not there that it is empty.
    if (value === null || (Buffer.isBuffer(value) && value.length === 0)) {
      countMiss();
      return undefined;
    }
    const at = now();
    const decoded = Buffer.isBuffer(value) ? decodeEntry(key, value, at) : 'corrupt';
    if (decoded !== 'corrupt') {
      const { entry } = decoded;
      if (entry === undefined || (onlyFresh && entry.freshUntil <= at)) {
        foreign.end();
        countMiss();
        return undefined;
      }
      const admitted = admit === undefined ? entry : admit(key, entry);
      if (admitted !== undefined) {
        foreign.end();
        if (admitted.staleUntil <= at) {
          countMiss();
          return undefined;
        }
        hits += 1;
        return admitted;
      }
    }
    corrupt += 1;
    foreign.begin({});
    return undefined;
  };

  /** `onlyFresh`: an expired entry is of no use to the caller, and not looked at. */
  const get = async (key: string, onlyFresh = false): Promise<CacheEntry | undefined> => {
    if (!connection.isUp) return undefined;
    try {
      const value = await connection.run((redis) => redis.getrangeBuffer(key, 0, MAX_READ_BYTES));
      return read(key, value, onlyFresh);
    } catch {
      failures += 1;
      return undefined;
    }
  };

  const claimOf = (key: string): string => `${key}:claim`;

  const release = (key: string, token: string): void => {
    connection.send((redis) => redis.eval(RELEASE, 1, claimOf(key), token));
  };
  const releaser = (key: string, token: string): (() => void) => {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      release(key, token);
    };
  };

  return {
    get: (key) => get(key),
    async set(key, entry) {
      const left = entry.staleUntil - now();
      if (left <= 0 || entry.body.length > MAX_VALUE_BYTES || !connection.isUp) return;
      const life = Math.ceil(left + random() * EXPIRY_JITTER_MS);
      await write((redis) => redis.set(key, encodeEntry(key, entry), 'PX', life));
    },
    async claim(key, holdMs): Promise<LoadClaim> {
      if (monotonic() < claimsFrom) return { state: 'unknown' };
      const token = randomUUID();
      // Both leave in one pipeline, in this order: a value set before the claim was free is seen.
      let tooLate = false;
      const taking = write((redis) => {
        const reply = redis.set(claimOf(key), token, 'PX', holdMs, 'NX');
        // A slow Redis may grant the claim after we gave up on it: it would not be released, and others would wait.
        const giveBack = (granted: unknown): void => {
          if (tooLate && granted === 'OK') release(key, token);
        };
        reply.then(giveBack, () => undefined);
        return reply;
      });
      const [taken, entry] = await Promise.all([taking, get(key, true)]);
      if (taken === undefined) {
        tooLate = true;
        return { state: 'unknown' };
      }
      const reply: unknown = taken.reply;
      if (reply === 'OK') return { state: 'mine', entry, release: releaser(key, token) };
      return reply === null ? { state: 'theirs', entry } : { state: 'unknown' };
    },
    distrustClaims() {
      claimsFrom = monotonic() + DISTRUST_MS;
    },
    health() {
      const { since } = connection;
      if (!connection.isUp)
        return { state: 'degraded', detail: 'Redis does not answer; memory serves.', since };
      if (writes.active) return { state: 'degraded', detail: 'Redis refuses writes.', since: writes.since };
      return { state: 'ok', detail: 'Memory and Redis.', since };
    },
    stats: () => ({ hits, misses, failures, corrupt, writes: written, writeFailures }),
    close: () => connection.close(),
  };
};
