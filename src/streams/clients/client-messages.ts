/** What clients of a WebSocket send: its text as an object, keep-alives in any form, and how many messages they may send. */
import { z } from 'zod';
import type { Millis } from '../../schemas/common.js';
import { reqId, type ReqId } from '../../schemas/stream-protocol.js';
import type { SharedEvent } from '../hub-api.js';
import { createSharedEvent } from '../events.js';
import {
  MAX_VIOLATIONS,
  MESSAGE_BURST,
  MESSAGES_PER_SECOND,
  VIOLATIONS_FORGOTTEN_PER_SECOND,
  SYMBOL_BURST,
  SYMBOLS_PER_SECOND,
} from './limits.js';

/**
 * Keep-alives as clients of other services send them: the text `ping`, `{"op":"ping"}` (Bybit), `{"event":"ping"}`
 * (Kraken's first version, Bitfinex), `{"type":"ping"}` (KuCoin), `{"channel":"spot.ping"}` (Gate), `{"ping":1}` (HTX),
 * `{"id":1,"method":"ping","params":[]}` (WhiteBIT, Crypto.com), `{"cmd":"ping"}`. One generic client often speaks to many
 * servers, so its keep-alive is answered and is no fault.
 */
export interface KeepAlive {
  /** pong: an answer to a ping that was never sent; nothing is said to it. */
  readonly kind: 'ping' | 'pong';
  /** Repeated in the answer. */
  readonly req_id: ReqId | undefined;
}

const word = z.string().max(64).optional().catch(undefined);
const id = reqId.optional().catch(undefined);
const anyKeepAlive = z.looseObject({
  ...{ op: word, event: word, type: word, action: word, channel: word, method: word, cmd: word },
  ...{ req_id: id, reqid: id, id, cid: id },
});

const kindOf = (text: string): KeepAlive['kind'] | null => {
  const [, kind] = /(?:^|\.)(ping|pong)$/i.exec(text.trim()) ?? [];
  if (kind === undefined) return null;
  return kind.toLowerCase() === 'ping' ? 'ping' : 'pong';
};

/** `message`: its text, or the object in it; null for what is no keep-alive. */
export const keepAliveOf = (message: string | object): KeepAlive | null => {
  if (typeof message === 'string') {
    const kind = message.length <= 16 ? kindOf(message.replaceAll('"', '')) : null;
    return kind === null ? null : { kind, req_id: undefined };
  }
  const parsed = anyKeepAlive.safeParse(message);
  if (!parsed.success) return null;
  const { op, event, type, action, channel, method, cmd, req_id, reqid, id: anyId, cid } = parsed.data;
  const words = [op, event, type, action, channel, method, cmd].filter((value) => value !== undefined);
  const named = words.map(kindOf).find((kind) => kind !== null);
  const kind = named ?? ('ping' in message ? 'ping' : 'pong' in message ? 'pong' : null);
  return kind === null ? null : { kind, req_id: req_id ?? reqid ?? anyId ?? cid };
};

/** The answer to a ping, whatever its form was. */
export const pingReply = (req_id: ReqId | undefined, timestamp: Millis): SharedEvent =>
  createSharedEvent({
    type: 'reply',
    json: JSON.stringify({ event_type: 'reply', method: 'ping', req_id, success: true, timestamp }),
  });

/** The object in a text message; undefined for what is none. */
export const readObject = (text: string | null): object | undefined => {
  if (text === null) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
};

interface BucketSize {
  readonly burst: number;
  readonly perSecond: number;
}

class Bucket {
  readonly #size: BucketSize;
  #left: number;
  #filledAt: Millis;

  constructor(size: BucketSize, now: Millis) {
    this.#size = size;
    this.#left = size.burst;
    this.#filledAt = now;
  }

  take(count: number, now: Millis): Millis {
    const { burst, perSecond } = this.#size;
    const filled = ((now - this.#filledAt) / 1000) * perSecond;
    this.#left = Math.min(burst, this.#left + Math.max(0, filled));
    this.#filledAt = now;
    if (this.#left < count) return Math.ceil(((count - this.#left) * 1000) / perSecond);
    this.#left -= count;
    return 0;
  }
}

/** Token buckets of one client: its messages, the symbols that they name, and its faults. */
export class Allowance {
  readonly #messages: Bucket;
  readonly #symbols: Bucket;
  readonly #faults: Bucket;

  constructor(now: Millis) {
    this.#messages = new Bucket({ burst: MESSAGE_BURST, perSecond: MESSAGES_PER_SECOND }, now);
    this.#symbols = new Bucket({ burst: SYMBOL_BURST, perSecond: SYMBOLS_PER_SECOND }, now);
    this.#faults = new Bucket({ burst: MAX_VIOLATIONS, perSecond: VIOLATIONS_FORGOTTEN_PER_SECOND }, now);
  }

  /** Takes one message; 0 where it was allowed, else how long (ms) until the next one is. */
  take(now: Millis): Millis {
    return this.#messages.take(1, now);
  }

  /** Takes the symbols that a message asks for, all or none; the answer is as for `take`. */
  takeSymbols(count: number, now: Millis): Millis {
    return this.#symbols.take(count, now);
  }

  /** Counts a fault; true where that was one too many. Faults expire with time: rare ones never add up to a close. */
  countViolation(now: Millis): boolean {
    return this.#faults.take(1, now) > 0;
  }
}
