/**
 * One client from its admission to the end of its socket. Detects a stuck client, sends the reason of a close, and
 * releases its slot exactly once.
 */
import { z } from 'zod';
import { AppError } from '../../errors.js';
import type { Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { Channel } from '../../schemas/stream.js';
import { createSharedEvent } from '../events.js';
import type { SharedEvent, Subscriber } from '../hub-api.js';
import {
  CLOSE_GRACE,
  IDLE_PING_INTERVAL,
  LAGGING_AFTER,
  MAX_HELD_EVENTS,
  PING_INTERVAL,
  STUCK_AFTER,
} from './limits.js';
import { Outbox, type ClientSocket, type EventSource, type OutboxShared, type Wire } from './outbox.js';

/** Close codes of RFC 6455: policy, fault, restart, try again. */
export const CLOSE = { policy: 1008, fault: 1011, restart: 1012, tryAgain: 1013 } as const;
/** One of these, or of a subprotocol (4000 to 4999). */
export type CloseCode = number;

/** What a connection needs of its transport. */
export interface Peer {
  readonly wire: Wire;
  /** Whether there are pings, whose pongs the transport reports with `Connection.pong()`. SSE has none. */
  readonly pings: boolean;
  /** In place of the heartbeat that all others get; null: none. */
  readonly heartbeat?: SharedEvent | null | undefined;
  ping(): void;
  /** Ends in order, behind what was written. On SSE the code is without meaning. */
  end(code: CloseCode, reason: string): void;
}

export type ConnectionKind = 'sse' | 'websocket';

/** What a connection needs of the registry that admitted it. */
export interface ConnectionHost extends OutboxShared {
  /** Throws `shutting_down` once the server is closing. */
  attached(connection: Connection): void;
  released(connection: Connection): void;
  dropped(connection: Connection): void;
}

const TOO_SLOW = 'The reader did not keep up.';

export class Connection {
  readonly kind: ConnectionKind;
  /** Called once, when the connection ends for whatever reason: subscriptions are closed here. */
  onEnd: (() => void) | null = null;
  /** Rejects where other processes have all the slots; null: no other is asked. */
  confirmed: Promise<void> | null = null;
  readonly #socket: ClientSocket;
  readonly #host: ConnectionHost;
  #peer: Peer | null = null;
  #outbox: Outbox | null = null;
  #pingedAt: Millis;
  #awaitsPong = false;
  #closingSince: Millis | null = null;
  #ended = false;
  #released = false;
  readonly #onClose = (): void => {
    this.abandon();
  };

  constructor(kind: ConnectionKind, socket: ClientSocket, host: ConnectionHost) {
    this.kind = kind;
    this.#socket = socket;
    this.#host = host;
    this.#pingedAt = host.monotonic();
    socket.once('close', this.#onClose);
    // Its close may be over already, and comes no second time; the registry admits it first.
    if (socket.destroyed) queueMicrotask(this.#onClose);
  }

  /** True once nothing more is taken: closed by us, or the client has gone. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * From here on events reach the client, behind whatever `open` writes. Throws `shutting_down` where the server began
   * to close meanwhile, and what `open` throws; the connection has ended then.
   */
  attach(open: () => Peer): void {
    if (this.#ended) return;
    try {
      this.#host.attached(this);
      this.#peer = open();
    } catch (error) {
      this.abandon();
      throw error;
    }
    this.#outbox = new Outbox(this.#socket, this.#peer.wire, this.#host);
  }

  /** `source` is the subscription an event came through; null for what the client asked for itself. */
  deliver(event: SharedEvent, source: EventSource | null): void {
    if (this.#outbox?.push(event, source) === false) this.#drop();
  }

  /** A heartbeat: `event`, or what this transport has instead. */
  heartbeat(event: SharedEvent): void {
    const own = this.#peer?.heartbeat;
    if (own !== null) this.deliver(own ?? event, null);
  }

  pong(): void {
    this.#awaitsPong = false;
    this.#outbox?.caughtUp();
  }

  /** Ends in order: what is due, the reason, the end; the socket is destroyed where that takes too long. */
  close(code: CloseCode, reason: string): void {
    if (this.#ended) return;
    this.#outbox?.end();
    this.#finish();
    this.#closingSince = this.#host.monotonic();
    if (this.#peer === null) this.#release();
    else this.#peer.end(code, reason);
  }

  /** Ends in order for a fault of the client's: what is due, the fault as an error event, then 1008. */
  fail({ title }: AppError, problem: object): void {
    const json = JSON.stringify({ event_type: 'error', ...problem });
    this.deliver(createSharedEvent({ type: 'error', json }), null);
    this.close(CLOSE.policy, title);
  }

  /** The socket is gone, or the stream never began. Idempotent. */
  abandon(): void {
    this.#outbox?.end();
    this.#finish();
    this.#release();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Called about once a second: pings the client, and drops it where it is stuck. `stoodStill` is how much longer than a
   * second it has been because this process was blocked, which does not count against the client.
   */
  sweep(now: Millis, stoodStill: Millis): void {
    const outbox = this.#outbox;
    if (this.#closingSince !== null) {
      if (now - this.#closingSince >= CLOSE_GRACE) this.destroy();
      return;
    }
    if (outbox === null || this.#ended) return;
    outbox.excuse(stoodStill);
    if (outbox.stuckFor(now) >= STUCK_AFTER) this.#drop();
    else this.#checkPings(outbox, now, stoodStill);
  }

  #checkPings(outbox: Outbox, now: Millis, stoodStill: Millis): void {
    if (this.#peer?.pings !== true) return;
    if (this.#awaitsPong) {
      this.#pingedAt += stoodStill;
      const overdue = now - this.#pingedAt;
      if (overdue >= STUCK_AFTER) this.#drop();
      else if (overdue >= LAGGING_AFTER) outbox.lag();
      return;
    }
    const since = now - this.#pingedAt;
    if (since < (outbox.wrote ? PING_INTERVAL : IDLE_PING_INTERVAL)) return;
    this.#pingedAt = now;
    this.#awaitsPong = true;
    outbox.wrote = false;
    this.#peer.ping();
  }

  #drop(): void {
    if (this.#ended) return;
    this.#host.dropped(this);
    this.close(CLOSE.tryAgain, TOO_SLOW);
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    const { onEnd } = this;
    this.onEnd = null;
    onEnd?.();
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    // The socket may live on: a refused request leaves a kept-alive connection behind.
    this.#socket.off('close', this.#onClose);
    this.#host.released(this);
  }
}

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

/** One subscription of one client: stands between the hub and the connection. */
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

  /** Parses the event, which is done for lost ones only. */
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
