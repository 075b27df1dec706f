/** One subscription of one client: stands between the hub and the connection. */
import type { UnifiedSymbol } from '../../schemas/common.js';
import { z } from 'zod';
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { Channel } from '../../schemas/stream.js';
import type { SharedEvent, Subscriber } from '../hub-api.js';
import { createSharedEvent } from '../shared-event.js';
import type { Connection } from './connection.js';
import { MAX_HELD_EVENTS } from './limits.js';
import type { EventSource } from './outbox.js';

/** A subscription as its client words it. */
export interface TopicName {
  readonly channel: Channel;
  readonly exchange: string;
  readonly symbol: string;
  /** ohlcv only. */
  readonly interval?: string | undefined;
}

const many = z.array(z.unknown()).optional();
const contents = z.object({ trades: many, candles: many, count: z.int().optional() });

export class TopicReader implements Subscriber, EventSource {
  readonly key: string;
  readonly #connection: Connection;
  #topic: TopicName;
  readonly #sandbox: boolean;
  /** null once released. */
  #held: SharedEvent[] | null = [];

  constructor(connection: Connection, topic: TopicName, { sandbox }: { sandbox: boolean }) {
    this.#connection = connection;
    this.#topic = topic;
    this.#sandbox = sandbox;
    this.key = topicKey(topic);
  }

  onEvent(event: SharedEvent): void {
    if (this.#held === null) this.#connection.deliver(event, this);
    // One more than the bound is kept, which tells that some were not.
    else if (this.#held.length <= MAX_HELD_EVENTS) this.#held.push(event);
  }

  /** The symbol as the venue spells it, for what this reader says of its own. */
  spell(symbol: UnifiedSymbol): void {
    this.#topic = { ...this.#topic, symbol };
  }

  /** Throws `overloaded` where more events came in before `release` than are held. */
  checkHeld(): void {
    if (this.#held !== null && this.#held.length > MAX_HELD_EVENTS)
      throw new AppError('overloaded', 'More events came in than could be held back.');
  }

  /** Lets events through, those held back first: called when the client knows that its subscription began. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of held) this.#connection.deliver(event, this);
  }

  /** Looks into the event, which nobody does on the way of one that arrives. */
  countLost(event: SharedEvent): number {
    const { trades, candles, count } = contents.parse(JSON.parse(event.json));
    return (trades ?? candles)?.length ?? count ?? 1;
  }

  lostEvent(count: number, now: Millis): SharedEvent {
    const json = JSON.stringify({
      event_type: 'lost',
      ...this.#topic,
      count,
      timestamp: now,
      ...(this.#sandbox ? { sandbox: true } : {}),
    });
    return createSharedEvent({ type: 'lost', json });
  }
}

/** Equal for equal subscriptions, whatever their threshold. */
export const topicKey = ({ channel, exchange, symbol, interval = '' }: TopicName): string =>
  `${channel} ${exchange} ${symbol} ${interval}`;
