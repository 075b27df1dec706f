/**
 * One finished event: its JSON is made once, its SSE chunk and its WebSocket frame once each on first use, whoever and
 * however many read it.
 */
import type { SharedEvent } from './hub-api.js';

export interface SharedEventParts {
  readonly type: SharedEvent['type'];
  /** Complete JSON text on one line, as JSON.stringify makes it. */
  readonly json: string;
  /** For SSE's `id:` line; without it the event leaves a client's last event id as it was. */
  readonly id?: string | undefined;
  /** Default null: the event may not be replaced by a later one. */
  readonly conflationKey?: string | null | undefined;
}

const FIN_TEXT = 0x81;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** A finished, unmasked text frame with FIN set (RFC 6455, section 5.2), as a server sends it. */
export const textFrame = (text: string): Buffer => {
  const length = Buffer.byteLength(text);
  const head = length < LENGTH_16 ? 2 : length <= 0xffff ? 4 : 10;
  const frame = Buffer.allocUnsafeSlow(head + length);
  frame[0] = FIN_TEXT;
  if (head === 2) {
    frame[1] = length;
  } else if (head === 4) {
    frame[1] = LENGTH_16;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = LENGTH_64;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(text, head);
  return frame;
};

class FinishedEvent implements SharedEvent {
  readonly type: SharedEvent['type'];
  readonly json: string;
  readonly conflationKey: string | null;
  readonly #id: string | undefined;
  #sse: Buffer | undefined;
  #frame: Buffer | undefined;

  constructor({ type, json, id, conflationKey }: SharedEventParts) {
    this.type = type;
    this.json = json;
    this.conflationKey = conflationKey ?? null;
    this.#id = id;
  }

  get sse(): Buffer {
    this.#sse ??= Buffer.from(
      this.#id === undefined ? `data: ${this.json}\n\n` : `id: ${this.#id}\ndata: ${this.json}\n\n`,
    );
    return this.#sse;
  }

  get frame(): Buffer {
    this.#frame ??= textFrame(this.json);
    return this.#frame;
  }
}

/** An event from its JSON text. `json` must hold no line break: SSE carries it in one `data:` line. */
export const createSharedEvent = (parts: SharedEventParts): SharedEvent => new FinishedEvent(parts);
