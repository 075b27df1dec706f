/** What answers at Redis' address need not be Redis. */
import { once } from 'node:events';
import { ReplyError } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRedisClient, isRefusal } from '../../../src/cache/redis-client.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';

let server: RedisServer;
let proxy: TcpProxy;

beforeEach(async () => {
  server = await startRedis();
  proxy = await startTcpProxy(server.port);
});
afterEach(async () => {
  await proxy.close();
  await server.stop();
});

/** Errors that nobody could catch: each would end a server. */
const watchUncaught = (): { readonly seen: unknown[]; stop(): void } => {
  const seen: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => void seen.push(error));
  return {
    seen,
    stop: () => {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    },
  };
};

it.each([
  ['a null of another protocol', '_\r\n'],
  ['a null that nobody asked for', '$-1\r\n'],
  ['a null array', '*-1\r\n'],
  ['no replies', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['a message and then a null', '*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n_\r\n'],
])('a subscription that hears %s is made again and ends nothing else', async (_what, bytes) => {
  const redis = createRedisClient(`redis://127.0.0.1:${proxy.port}`);
  const uncaught = watchUncaught();
  const errors: string[] = [];
  redis.on('error', ({ name }: Error) => errors.push(name));
  try {
    await once(redis, 'ready');
    await redis.subscribe('c');
    proxy.tamper = () => Buffer.from(bytes);
    await server.command('PUBLISH', 'c', 'x');
    const isOver = (): boolean => redis.status === 'reconnecting' || uncaught.seen.length > 0;
    await expect.poll(isOver, { interval: 1 }).toBe(true);
    expect(uncaught.seen).toEqual([]);
    proxy.tamper = null;
    await expect.poll(() => redis.status).toBe('ready');
    await expect(redis.subscribe('c')).resolves.toBe(1);
    const heard = once(redis, 'message');
    await server.command('PUBLISH', 'c', 'y');
    expect(await heard).toEqual(['c', 'y']);
  } finally {
    redis.disconnect();
    uncaught.stop();
  }
  expect(uncaught.seen).toEqual([]);
  expect(errors).toContain('NoRedisError');
});

it('nulls that were asked for are answers', async () => {
  const redis = createRedisClient(server.url, { enableAutoPipelining: true });
  await once(redis, 'ready');
  const long = 'x'.repeat(300_000);
  await redis.set('long', long);
  const answers = Promise.all([redis.get('none'), redis.get('long'), redis.mget('none', 'long', 'none')]);
  expect(await answers).toEqual([null, long, [null, long, null]]);
  redis.disconnect();
});

it.each([
  ['OOM command not allowed when used memory > maxmemory.', true],
  ['ERR unknown command', true],
  ['READONLY You can not write against a read only replica.', true],
  ['\u0003\u0011 nonsense', false],
  ['A nonsense', false],
  ['nonsense', false],
])('%j is a refusal of Redis: %s', (message, isOne) => {
  expect(isRefusal(Reflect.construct(ReplyError, [message]))).toBe(isOne);
});
