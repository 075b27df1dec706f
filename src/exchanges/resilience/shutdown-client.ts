/** An ExchangeClient whose calls end with the server: callers that still wait for a venue are told before their connections are cut. */
import { setMaxListeners } from 'node:events';
import { AppError } from '../../errors.js';
import { MAX_TIMER_MS, settleWithin } from '../../lib/deadline.js';
import type { Millis } from '../../schemas/common.js';
import type { CallOptions, ExchangeClient } from '../exchange-client.js';

/** When a client that was sent away should try another server. */
const RETRY_AFTER_MS: Millis = 1000;

export interface ShutdownClient extends ExchangeClient {
  /** Every call under way, and every later one, rejects with `shutting_down`; feeds go on. Idempotent. */
  giveUp(): void;
}

const shuttingDown = (): AppError =>
  new AppError(
    'shutting_down',
    'This server is shutting down and does not wait for the exchange any longer.',
    {
      retryAfterMs: RETRY_AFTER_MS,
    },
  );

/** To be the outermost wrapper: what it rejects with is not retried. */
export const withShutdown = (client: ExchangeClient): ShutdownClient => {
  const ending = new AbortController();
  // Every call under way listens, and stops listening when it is over: many are no leak.
  setMaxListeners(0, ending.signal);
  /** A function, since it may change during an await. */
  const hasEnded = (): boolean => ending.signal.aborted;

  /** Runs a call under a signal that aborts with the caller's own and with the end. */
  const run = async <T>(options: CallOptions, call: (options: CallOptions) => Promise<T>): Promise<T> => {
    const { signal } = options;
    if (hasEnded()) throw shuttingDown();
    const controller = new AbortController();
    const leave = (): void => controller.abort(signal?.reason);
    const end = (): void => controller.abort(ending.signal.reason);
    if (signal?.aborted === true) leave();
    signal?.addEventListener('abort', leave);
    ending.signal.addEventListener('abort', end);
    try {
      return await call({ ...options, signal: controller.signal });
    } catch (thrown) {
      // Whatever was in the way at that moment: it is given up because the server ends.
      throw hasEnded() && signal?.aborted !== true ? shuttingDown() : thrown;
    } finally {
      signal?.removeEventListener('abort', leave);
      ending.signal.removeEventListener('abort', end);
    }
  };

  return {
    describe: async (exchange) =>
      settleWithin(client.describe(exchange), {
        ms: MAX_TIMER_MS,
        signal: ending.signal,
        giveUp: shuttingDown,
      }),
    fetch: (request, options) => run(options, (own) => client.fetch(request, own)),
    markets: (exchange, options) => run(options, (own) => client.markets(exchange, own)),
    watch: (topic, sink) => client.watch(topic, sink),
    health: () => client.health(),
    close: () => client.close(),
    giveUp: () => ending.abort(shuttingDown()),
  };
};
