/**
 * One subscribed connection to Redis for all topics. A subscription can die without a word while its socket stays open, so
 * the server listens for its own beat: where that does not come, the bus has the connection replaced.
 */
import type { Redis } from 'ioredis';
import { createRedisClient } from '../cache/redis-client.js';

interface ChannelListener {
  heard(text: string): void;
  /** The subscription has begun, or has begun again. */
  joined(): void;
}

export interface RedisSubscriber {
  /** One listener a channel; the answer ends it. */
  subscribe(channel: string, listener: ChannelListener): () => void;
  /** Whether the channel has a listener here. */
  has(channel: string): boolean;
  /** Makes a new connection in place of one that is suspected dead. */
  replace(): void;
  close(): void;
}

class Subscriber implements RedisSubscriber {
  readonly #redis: Redis;
  readonly #listeners = new Map<string, ChannelListener>();

  constructor(url: string) {
    // Subscribed again here, so that each listener learns when it hears again.
    this.#redis = createRedisClient(url, { autoResubscribe: false, keepAlive: 10_000 });
    this.#redis.on('message', (channel: string, text: string) => this.#listeners.get(channel)?.heard(text));
    this.#redis.on('ready', () => {
      for (const [channel, listener] of this.#listeners) this.#join(channel, listener);
    });
  }

  subscribe(channel: string, listener: ChannelListener): () => void {
    this.#listeners.set(channel, listener);
    if (this.#redis.status === 'ready') this.#join(channel, listener);
    return () => {
      if (this.#listeners.get(channel) !== listener) return;
      this.#listeners.delete(channel);
      if (this.#redis.status === 'ready') this.#redis.unsubscribe(channel).catch(() => undefined);
    };
  }

  has(channel: string): boolean {
    return this.#listeners.has(channel);
  }

  replace(): void {
    if (this.#redis.status === 'ready') this.#redis.disconnect(true);
  }

  close(): void {
    this.#listeners.clear();
    this.#redis.disconnect();
  }

  #join(channel: string, listener: ChannelListener): void {
    this.#redis.subscribe(channel).then(
      () => {
        if (this.#listeners.get(channel) === listener) listener.joined();
      },
      () => this.replace(),
    );
  }
}

/** Connects at once. */
export const createRedisSubscriber = (url: string): RedisSubscriber => new Subscriber(url);
