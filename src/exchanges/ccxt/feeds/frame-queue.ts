/**
 * When frames that subscribe leave a socket. CCXT sends one a feed, each when its throttle lets it (four a second on Binance): a
 * thousand feeds of a connection that was cut would be back after four minutes. Here those that wait leave as one.
 */
import { type Millis, type Timers } from '../../../lib/timers.js';
import { type CcxtExchange, isMethod, isTable, member, wrapMethod } from '../ccxt-exchange.js';

export type Frame = Record<string, unknown>;

/** How a venue takes frames that are put together. */
export interface FrameRules {
  /** Frames of one key may leave as one. undefined: a frame that leaves at once. */
  readonly keyOf: (frame: Frame) => string | undefined;
  /** What it subscribes, or ends: of one name the latest frame counts. */
  readonly namesOf: (frame: Frame) => readonly unknown[];
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
  /**
   * What left and is not answered, by the id that the answer has, oldest first: what ends a subscription has its id. Of a socket
   * that answers nothing, two frames a feed.
   */
  readonly #unanswered = new Map<string, (readonly Frame[])[]>();
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
    const id = idOf(message) ?? '';
    const left = this.#unanswered.get(id);
    const frames = left?.shift() ?? [];
    if (left?.length === 0) this.#unanswered.delete(id);
    if (frames.length <= 1 || member(message, 'error') === undefined) return frames.slice(1);
    for (const frame of frames) {
      sent.delete(frame);
      this.#alone.add(frame);
    }
    this.#waiting.unshift(...frames);
    this.#schedule();
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
    if (id !== undefined) this.#unanswered.set(id, [...(this.#unanswered.get(id) ?? []), frames]);
    send(frames.length > 1 ? rules.merge(frames) : first);
  }

  /** The first that waits, and those of its key, but for what comes after another frame of the same name. */
  #takeRun(): Frame[] {
    const { keyOf, namesOf, most } = this.#parts.rules;
    const waiting = this.#waiting.filter((frame) => !withdrawn.has(frame));
    const [first] = waiting;
    const run: Frame[] = [];
    const passed = new Set<unknown>();
    this.#waiting = [];
    const fits = (frame: Frame): boolean => {
      if (frame === first || first === undefined) return true;
      if (run.length >= most || this.#alone.has(first) || this.#alone.has(frame)) return false;
      return keyOf(frame) === keyOf(first) && !namesOf(frame).some((name) => passed.has(name));
    };
    for (const frame of waiting) {
      if (fits(frame)) run.push(frame);
      else {
        this.#waiting.push(frame);
        for (const name of namesOf(frame)) passed.add(name);
      }
    }
    return run;
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
/** The frame shall not leave any more. Whether it never has. */
export const withdraw = (frame: Frame): boolean => {
  withdrawn.add(frame);
  return !sent.has(frame);
};

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

/**
 * CCXT's handler makes an index of all subscriptions of the connection for each answer: a thousand answers to a thousand
 * subscriptions took a second and a half. While `work` runs, which awaits nothing, it makes one.
 */
const indexingOnce = <T>(instance: CcxtExchange, subscriptions: unknown, work: () => T): T => {
  const indexBy: unknown = Reflect.get(instance, 'indexBy');
  if (!isMethod(indexBy)) return work();
  let index: unknown;
  Reflect.set(instance, 'indexBy', (...args: unknown[]) =>
    args[0] === subscriptions && args[1] === 'id'
      ? (index ??= indexBy.apply(instance, args))
      : indexBy.apply(instance, args),
  );
  try {
    return work();
  } finally {
    Reflect.set(instance, 'indexBy', indexBy);
  }
};

/** Once per instance, where frames are put together: an answer to several is shown to CCXT as one to each. */
export const shareAnswers = (instance: CcxtExchange): void => {
  wrapMethod(instance, 'handleMessage', (handle) => (...args) => {
    const [client, message, ...rest] = args;
    const queue = isFrame(client) ? queues.get(client) : undefined;
    const others = queue === undefined ? [] : queue.answered(message);
    if (others === null) return undefined;
    if (others.length === 0) return handle.apply(instance, args);
    return indexingOnce(instance, member(client, 'subscriptions'), () => {
      const handled = handle.apply(instance, args);
      for (const { id } of others)
        handle.apply(instance, [client, isFrame(message) ? { ...message, id } : message, ...rest]);
      return handled;
    });
  });
};
