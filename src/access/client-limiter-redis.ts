/**
 * The counts of all servers in Redis: a number per client that expires with its window, so that Redis' clock is the
 * one that counts. A key holds the caller's address, or the id of its key, for one window, no longer.
 */
import { z } from 'zod';
import type { Millis } from '../schemas/common.js';
import { createRedisConnection } from '../cache/redis-connection.js';
import type { SharedCount, Unshared } from './client-limiter.js';
import type { SharedCounts } from './client-limiter-sharing.js';
import type { Log } from '../log/log.js';

/** Nobody waits for these replies. */
const DEADLINE_MS = 500;
/** Clients per command: some tenths of a millisecond of Redis' time. */
const CLIENTS_A_COMMAND = 200;

/** One step, since a number that expired between an increment and its expiry would never end. */
const ADD = `local found = {}
for i, key in ipairs(KEYS) do
  local total = redis.call('incrby', key, ARGV[2 * i - 1])
  local left = redis.call('pttl', key)
  if left <= 0 then
    left = tonumber(ARGV[2 * i])
    redis.call('pexpire', key, left)
  end
  found[i] = {total, left}
end
return found`;

const replySchema = z.array(z.tuple([z.int().min(0), z.int().min(1)]));

export interface RedisCountsDeps {
  readonly url: string;
  /** In front of every key. */
  readonly prefix: string;
  readonly log: Log;
  readonly now: () => Millis;
}

export const createRedisCounts = ({ url, prefix, log, now }: RedisCountsDeps): SharedCounts => {
  const connection = createRedisConnection({
    url,
    log,
    now,
    deadlineMs: DEADLINE_MS,
    warning: 'Redis does not answer; until it does, each server counts its clients for itself',
    recovery: 'Redis answers again; the servers count their clients together',
  });

  const addSome = async (some: readonly Unshared[]): Promise<(SharedCount | undefined)[]> => {
    // Windows of different lengths don't count together.
    const keys = some.map(({ key, windowMs }) => `${prefix}:clients:${windowMs}:${key}`);
    const values = some.flatMap(({ hits, leftMs }) => [hits, Math.max(1, Math.ceil(leftMs))]);
    try {
      const reply = await connection.run((redis) => redis.eval(ADD, keys.length, ...keys, ...values));
      return replySchema.parse(reply).map(([total, leftMs]) => ({ total, leftMs }));
    } catch {
      return some.map(() => undefined);
    }
  };

  return {
    get isUp() {
      return connection.isUp;
    },
    async add(counted) {
      const commands: Promise<(SharedCount | undefined)[]>[] = [];
      for (let from = 0; from < counted.length; from += CLIENTS_A_COMMAND)
        commands.push(addSome(counted.slice(from, from + CLIENTS_A_COMMAND)));
      return (await Promise.all(commands)).flat();
    },
    close: () => connection.close(),
  };
};
