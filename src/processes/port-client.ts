/**
 * A port to another process of this server that is there again when that process was replaced: until it is, messages wait.
 * Each connection is a port of its own, so that nothing of one is taken for an answer of the next.
 */
import { EventEmitter } from 'node:events';
import { connectLocally } from './local-socket.js';
import type { FramedPort } from './framed-port.js';

/** Messages that wait for a connection; those of calls are bounded by their callers. */
const MAX_WAITING = 10_000;

interface AttemptEvents {
  message: [message: unknown];
  exit: [reason: string];
}

/** One connection, from before it is made to its end: as a worker thread is to who started it. */
export class PortAttempt extends EventEmitter<AttemptEvents> {
  readonly #ending = new AbortController();
  #port: FramedPort | null = null;
  #waiting: unknown[] = [];

  /** `greeting`: the first message, which says what is wanted. */
  constructor(path: string, greeting: unknown) {
    super();
    this.#waiting.push(greeting);
    void this.#connect(path);
  }

  get isConnected(): boolean {
    return this.#port !== null;
  }

  postMessage(message: unknown): void {
    if (this.#port !== null) this.#port.postMessage(message);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(message);
  }

  /** `exit` is not emitted any more. */
  end(): void {
    this.removeAllListeners();
    this.#ending.abort();
    this.#port?.close();
  }

  async #connect(path: string): Promise<void> {
    const port = await connectLocally(path, this.#ending.signal);
    if (port === null) return;
    this.#port = port;
    port.on('message', (message) => this.emit('message', message));
    port.on('close', (reason) => this.emit('exit', reason));
    for (const message of this.#waiting.splice(0)) port.postMessage(message);
  }
}
