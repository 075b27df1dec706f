/** A Lua script of Redis: sent whole once, and by its digest from then on. */
import { createHash } from 'node:crypto';
import { isRefusal } from '../cache/redis-client.js';
import type { RedisConnection } from '../cache/redis-connection.js';

export interface RedisScript {
  /** The script's answer; rejects as RedisConnection.run does. */
  run(
    connection: RedisConnection,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown>;
}

export const redisScript = (lua: string): RedisScript => {
  const digest = createHash('sha1').update(lua).digest('hex');
  return {
    async run(connection, keys, args) {
      try {
        return await connection.run((redis) => redis.evalsha(digest, keys.length, ...keys, ...args));
      } catch (thrown) {
        // A Redis that was restarted, or another one, has not seen it yet.
        if (!isRefusal(thrown) || !thrown.message.startsWith('NOSCRIPT')) throw thrown;
        return connection.run((redis) => redis.eval(lua, keys.length, ...keys, ...args));
      }
    },
  };
};
