/**
 * Messages over a local socket, as between threads: each is a frame of its length (4 bytes, big-endian) and its value as V8
 * serialises it, so that typed arrays, NaN and undefined arrive as they were.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { deserialize, serialize } from 'node:v8';

const HEADER_BYTES = 4;
/** Greatest message: a list of all markets of an exchange has some MB. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** What a peer that does not read may leave unsent before it is given up. */
const MAX_UNSENT_BYTES = 128 * 1024 * 1024;

export const encodeFrame = (message: unknown): Buffer => {
  const value = serialize(message);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + value.length);
  frame.writeUInt32BE(value.length);
  value.copy(frame, HEADER_BYTES);
  return frame;
};

/** Cuts a stream of bytes into messages. Throws where a frame is too long or no message. */
export class FrameReader {
  readonly #onMessage: (message: unknown) => void;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  /** Of the header or, once that is there, of the frame. */
  #filled = 0;
  /** Each frame has memory of its own: what is kept of its message must not keep others. null: the header is read. */
  #frame: Buffer | null = null;

  constructor(onMessage: (message: unknown) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const target: Buffer = this.#frame ?? this.#header;
      const taken = chunk.copy(target, this.#filled, at);
      at += taken;
      this.#filled += taken;
      if (this.#filled === target.length) this.#complete();
    }
  }

  #complete(): void {
    this.#filled = 0;
    if (this.#frame === null) {
      const length = this.#header.readUInt32BE();
      if (length === 0 || length > MAX_FRAME_BYTES) throw new RangeError(`A frame of ${length} bytes.`);
      this.#frame = Buffer.allocUnsafeSlow(length);
      return;
    }
    const frame = this.#frame;
    this.#frame = null;
    this.#onMessage(deserialize(frame));
  }
}

interface PortEvents {
  message: [message: unknown];
  /** Once; nothing follows. */
  close: [reason: string];
}

/** One end of a connection. */
export class FramedPort extends EventEmitter<PortEvents> {
  readonly #socket: Socket;
  #reason = 'the other process closed the connection';

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    const reader = new FrameReader((message) => this.emit('message', message));
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        this.#giveUp(String(error));
      }
    });
    socket.on('error', (error) => (this.#reason = error.message));
    socket.on('close', () => this.emit('close', this.#reason));
  }

  postMessage(message: unknown): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(encodeFrame(message));
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#giveUp('the other process does not read');
  }

  /** What was posted is sent first. */
  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #giveUp(reason: string): void {
    this.#reason = reason;
    this.#socket.destroy();
  }
}
