/** Events of a subscription as an async iterator, with a bound to what waits for a reader that is busy. */
import { StreamClient, type Subscription } from './stream.js';
import type { Handlers, Topic } from './topic.js';
import type { StreamEvent } from './types.js';

const MAX_WAITING = 10_000;

/** `ended` is called once, when nothing more is read; `end` ends it from outside. */
const iterateEvents = (
  subscribe: (handlers: Handlers) => Subscription,
  ended: () => unknown,
): { readonly events: AsyncIterableIterator<StreamEvent>; readonly end: () => void } => {
  const waiting: StreamEvent[] = [];
  const sleepers: (() => void)[] = [];
  let fault: Error | null = null;
  let isOver = false;
  const wake = (): void => {
    for (const sleeper of sleepers.splice(0)) sleeper();
  };
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    subscription.unsubscribe();
    wake();
    ended();
  };
  const fail = (error: Error): void => {
    fault ??= isOver ? null : error;
    end();
  };
  const subscription = subscribe({
    onEvent: (event) => {
      if (waiting.length >= MAX_WAITING) fail(new Error('The reader did not keep up.'));
      else waiting.push(event);
      wake();
    },
    onState: ({ state, error }) => {
      // Later: the state may be told before there is a subscription to end.
      if (state === 'failed')
        queueMicrotask(() => fail(error ?? new Error('The server refused the subscription.')));
    },
  });
  const next = async (): Promise<IteratorResult<StreamEvent>> => {
    for (;;) {
      const value = waiting.shift();
      if (value !== undefined) return { done: false, value };
      if (fault !== null) {
        const error = fault;
        fault = null;
        throw error;
      }
      if (isOver) return { done: true, value: undefined };
      await new Promise<void>((resolve) => sleepers.push(resolve));
    }
  };
  const events: AsyncIterableIterator<StreamEvent> = {
    [Symbol.asyncIterator]: () => events,
    next,
    return: () => {
      waiting.length = 0;
      fault = null;
      end();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
  return { events, end };
};

export type Stream = Pick<StreamClient, 'subscribe' | 'serverTime'> & {
  /** Events until the loop is left. Throws where the reader is too slow, or the subscription is refused for good. */
  iterate(topic: Topic): AsyncIterableIterator<StreamEvent>;
};

export class IterableStream extends StreamClient implements Stream {
  readonly #ends = new Set<() => void>();

  iterate(topic: Topic): AsyncIterableIterator<StreamEvent> {
    const { events, end } = iterateEvents(
      (handlers) => this.subscribe(topic, handlers),
      () => this.#ends.delete(end),
    );
    this.#ends.add(end);
    return events;
  }

  override close(): void {
    super.close();
    for (const end of this.#ends) end();
  }
}
