/**
 * When frames that subscribe leave a socket. CCXT sends one a feed, each when its throttle lets it (four a second on Binance): a
 * thousand feeds of a connection that was cut would be back after four minutes. Here those that wait leave as one.
 */
import { type Millis, type Timers } from '../../../lib/timers.js';
import { type CcxtExchange, isMethod, isTable, member, wrapMethod } from '../ccxt-exchange.js';

export type Frame = Record<string, unknown>;

/** How a venue takes frames that are put together. */
export interface FrameRules {
  /** Frames that follow each other and have one key may leave as one. undefined: a frame that leaves at once. */
  readonly keyOf: (frame: Frame) => string | undefined;
  /** One frame for all, with the id of the first. */
  readonly merge: (frames: readonly Frame[]) => Frame;
  /** Frames that leave as one, at most. */
  readonly most: number;
}

interface QueueParts {
  readonly send: (frame: Frame) => unknown;
  readonly rules: FrameRules;
  /** Between two frames, as CCXT would have it. */
  readonly pace: () => Millis;
  readonly timers: Timers;
  readonly monotonic: () => Millis;
}

const sent = new WeakSet<Frame>();
const withdrawn = new WeakSet<Frame>();

/** Of one connection. */
class FrameQueue {
  readonly #parts: QueueParts;
  #waiting: Frame[] = [];
  /** Frames that were refused together: each leaves by itself. */
  readonly #alone = new WeakSet<Frame>();
  /** What left as one and is not answered, by the id that the answer has; of a socket that answers nothing, one a feed. */
  readonly #unanswered = new Map<string, readonly Frame[]>();
  #nextAt: Millis = -Infinity;
  #armed = false;

  constructor(parts: QueueParts) {
    this.#parts = parts;
  }

  push(frame: Frame): void {
    this.#waiting.push(frame);
    this.#schedule();
  }

  /** The frames that an answer is for besides its own, which each get one like it; null: not CCXT's to see. */
  answered(message: unknown): readonly Frame[] | null {
    const id = idOf(message);
    const frames = id === undefined ? undefined : this.#unanswered.get(id);
    if (id === undefined || frames === undefined) return [];
    this.#unanswered.delete(id);
    if (member(message, 'error') === undefined) return frames.slice(1);
    for (const frame of frames) {
      sent.delete(frame);
      this.#alone.add(frame);
      this.push(frame);
    }
    return null;
  }

  #schedule(): void {
    if (this.#armed || this.#waiting.length === 0) return;
    this.#armed = true;
    // Also where nothing has to wait: what is subscribed in one go leaves in one frame.
    this.#parts.timers.after(Math.max(0, this.#nextAt - this.#parts.monotonic()), () => {
      this.#armed = false;
      this.#leave();
      this.#schedule();
    });
  }

  #leave(): void {
    const { rules, send, pace, monotonic } = this.#parts;
    const frames = this.#takeRun();
    const [first] = frames;
    if (first === undefined) return;
    for (const frame of frames) sent.add(frame);
    this.#nextAt = monotonic() + pace();
    const id = idOf(first);
    if (frames.length > 1 && id !== undefined) this.#unanswered.set(id, frames);
    send(frames.length > 1 ? rules.merge(frames) : first);
  }

  /** The first that waits, and those of its key up to the first of another: what undoes a subscription stays behind it. */
  #takeRun(): Frame[] {
    const { rules } = this.#parts;
    this.#waiting = this.#waiting.filter((frame) => !withdrawn.has(frame));
    const [first] = this.#waiting;
    if (first === undefined) return [];
    const key = rules.keyOf(first);
    const fits = (frame: Frame): boolean => rules.keyOf(frame) === key && !this.#alone.has(frame);
    const end = this.#alone.has(first) ? 1 : this.#waiting.findIndex((frame) => !fits(frame));
    return this.#waiting.splice(0, Math.min(rules.most, end === -1 ? this.#waiting.length : end));
  }
}

const idOf = (message: unknown): string | undefined => {
  const id = member(message, 'id');
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
};

const queues = new WeakMap<object, FrameQueue>();
const followed = new WeakSet<object>();

/** Whether it will be known of this connection's frames that they left. */
export const isFollowed = (client: object): boolean => followed.has(client);
export const hasLeft = (frame: Frame): boolean => sent.has(frame);
/** A frame that has not left shall not leave any more. */
export const withdraw = (frame: Frame): void => void withdrawn.add(frame);

/** What the queues of one instance's connections need. */
export interface FrameQueueOptions {
  readonly rules: FrameRules | null;
  readonly timers: Timers;
  readonly monotonic: () => Millis;
}

const paceOf = ({ options, rateLimit }: CcxtExchange): Millis => {
  const cost = member(options['ws'], 'cost');
  return (typeof cost === 'number' ? cost : 1) * rateLimit;
};

/**
 * CCXT sends a frame once the socket is open and its throttle lets it, which may be seconds after the end of the feed that it
 * was for: what undoes it would be lost, or come first, and the venue would send to nobody for as long as the socket lives.
 * Once per connection.
 */
export const followFrames = (instance: CcxtExchange, client: unknown, options: FrameQueueOptions): void => {
  if (!isTable(client) || followed.has(client)) return;
  const original: unknown = Reflect.get(client, 'send');
  if (!isMethod(original)) return;
  followed.add(client);
  const { rules, timers, monotonic } = options;
  const send = (frame: unknown, ...rest: unknown[]): unknown => original.apply(client, [frame, ...rest]);
  const queue =
    rules === null ? null : new FrameQueue({ send, rules, timers, monotonic, pace: () => paceOf(instance) });
  if (queue !== null) {
    queues.set(client, queue);
    Reflect.set(client, 'throttle', () => Promise.resolve());
  }
  Reflect.set(client, 'send', (frame: unknown, ...rest: unknown[]): unknown => {
    if (!isFrame(frame)) return send(frame, ...rest);
    if (withdrawn.has(frame)) return Promise.resolve(null);
    if (queue !== null && rules?.keyOf(frame) !== undefined) {
      queue.push(frame);
      return Promise.resolve(null);
    }
    sent.add(frame);
    return send(frame, ...rest);
  });
};

const isFrame = (value: unknown): value is Frame =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Once per instance, where frames are put together: an answer to several is shown to CCXT as one to each. */
export const shareAnswers = (instance: CcxtExchange): void => {
  wrapMethod(instance, 'handleMessage', (handle) => (...args) => {
    const [client, message, ...rest] = args;
    const queue = isFrame(client) ? queues.get(client) : undefined;
    const others = queue === undefined ? [] : queue.answered(message);
    if (others === null) return undefined;
    const handled = handle.apply(instance, args);
    for (const { id } of others)
      handle.apply(instance, [client, isFrame(message) ? { ...message, id } : message, ...rest]);
    return handled;
  });
};
