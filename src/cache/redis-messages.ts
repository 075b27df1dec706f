/**
 * Messages between servers by Redis' PUBLISH and SUBSCRIBE. A subscription that has died without a word is found by a
 * ping and made again; what was published meanwhile is lost.
 */
import type { Redis } from 'ioredis';
import { createRedisClient } from './redis-client.js';

/** How often the subscription's connection is asked for a sign of life, and how long it may take. */
const PING_EVERY_MS = 2_000;
const PING_WITHIN_MS = 1_000;

export interface RedisMessages {
  /** Never throws; lost where Redis does not answer. */
  publish(channel: string, text: string): void;
  close(): Promise<void>;
}

const answersInTime = (redis: Redis): Promise<boolean> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), PING_WITHIN_MS).unref();
    redis
      .ping()
      .then(
        () => resolve(true),
        () => resolve(false),
      )
      .finally(() => clearTimeout(timer));
  });

/** `heard` is called with every message of the channels; `joined` whenever the subscription has begun (again). */
export const createRedisMessages = ({
  url,
  channels,
  heard,
  joined,
}: {
  readonly url: string;
  readonly channels: readonly string[];
  readonly heard: (channel: string, text: string) => void;
  readonly joined: () => void;
}): RedisMessages => {
  const publisher = createRedisClient(url);
  const subscriber = createRedisClient(url);
  subscriber.on('message', heard);
  subscriber.on('ready', () => {
    subscriber.subscribe(...channels).then(joined, () => subscriber.disconnect(true));
  });
  const probe = setInterval(() => {
    if (subscriber.status !== 'ready') return;
    void answersInTime(subscriber).then((inTime) => {
      if (!inTime && subscriber.status === 'ready') subscriber.disconnect(true);
    });
  }, PING_EVERY_MS).unref();
  return {
    publish(channel, text) {
      if (publisher.status === 'ready') publisher.publish(channel, text).catch(() => undefined);
    },
    close() {
      clearInterval(probe);
      publisher.disconnect();
      subscriber.disconnect();
      return Promise.resolve();
    },
  };
};
