/** A client of Redis that reconnects by itself, and keeps no connection that says what Redis does not say. */
import { Redis, ReplyError, type RedisOptions } from 'ioredis';
import type { Millis } from '../schemas/common.js';
import { RedisReplies } from './redis-replies.js';

/** Until the socket is open; also how long the end of a connection may take. */
export const CONNECT_TIMEOUT_MS: Millis = 1_000;
const FIRST_RECONNECT_MS: Millis = 50;
const LONGEST_RECONNECT_MS: Millis = 500;

/** Redis begins what it refuses with the kind of error, in capitals; bytes that are no answer may begin with a `-` too. */
const KIND_OF_ERROR = /^[A-Z]{2,}\b/;

/** Redis itself refused the command (memory full, wrong type): the connection is well. */
export const isRefusal = (thrown: unknown): thrown is Error =>
  thrown instanceof Error && thrown instanceof ReplyError && KIND_OF_ERROR.test(thrown.message);

type Options = Pick<
  RedisOptions,
  | 'autoPipeliningIgnoredCommands'
  | 'autoResubscribe'
  | 'disconnectTimeout'
  | 'enableAutoPipelining'
  | 'keepAlive'
  | 'reconnectOnError'
>;

class NoRedisError extends Error {
  override readonly name = 'NoRedisError';
}

/** The connection ends at the first bytes that ioredis must not see. */
const checkReplies = (redis: Redis): void => {
  const { stream: socket } = redis;
  const replies = new RedisReplies();
  const emit = socket.emit.bind(socket);
  const isSound = (chunk: unknown): boolean => {
    const heard = Buffer.isBuffer(chunk) ? replies.read(chunk) : null;
    return heard !== null && (heard.nulls === 0 || heard.whole <= redis.commandQueue.length);
  };
  const emitSound: typeof emit = (event: string | symbol, ...args: unknown[]) => {
    if (event !== 'data' || (!socket.destroyed && isSound(args[0]))) return emit(event, ...args);
    socket.destroy(new NoRedisError('What answers is no Redis.'));
    return true;
  };
  socket.emit = emitSound;
};

/** Commands are not kept for a later connection. */
export const createRedisClient = (url: string, options: Options = {}): Redis => {
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    protocol: 2,
    retryStrategy: (times) => Math.min(times * FIRST_RECONNECT_MS, LONGEST_RECONNECT_MS),
    ...options,
  });
  // Without a listener the event would end the process.
  redis.on('error', () => undefined);
  redis.on('connect', () => checkReplies(redis));
  return redis;
};
