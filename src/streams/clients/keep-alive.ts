/**
 * Signs of life as clients of other services send them: the text `ping`, `{"op":"ping"}` (Bybit), `{"event":"ping"}`
 * (Kraken's first version, Bitfinex), `{"type":"ping"}` (KuCoin), `{"channel":"spot.ping"}` (Gate), `{"ping":1}` (HTX),
 * `{"id":1,"method":"ping","params":[]}` (WhiteBIT, Crypto.com), `{"cmd":"ping"}`.
 * One generic client often speaks to many servers, so its keep-alive is answered and is no fault.
 */
import { z } from 'zod';
import type { Millis } from '../../schemas/common.js';
import { reqId, type ReqId } from '../../schemas/stream-protocol.js';
import type { SharedEvent } from '../hub-api.js';
import { createSharedEvent } from '../events.js';

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

/** `message`: its text, or the object in it; null for what is no sign of life. */
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
