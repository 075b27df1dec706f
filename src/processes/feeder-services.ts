/** What else a serving process has of the feeder: the candle store, CoinMarketCap, and what is known of the cluster. */
import { createBirpc, type BirpcReturn } from 'birpc';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import { hasPeriod } from '../coinmarketcap/history.js';
import { AppError } from '../errors.js';
import { unwrapReply, type Reply } from '../exchanges/worker/protocol.js';
import { storeOver } from '../ledger/sqlite/store-protocol.js';
import { StoreError } from '../ledger/store-error.js';
import type { StoreHandle } from '../ledger/store-status.js';
import { settleWithin } from '../lib/deadline.js';
import { STEADY_ORIGIN } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import {
  FEEDER,
  type FeederFacts,
  type FeederServices,
  type NoFunctions,
  type Wanted,
} from './feeder-protocol.js';
import { socketPath } from './local-socket.js';
import { PortAttempt } from './port-client.js';

const FACTS_EVERY_MS: Millis = 500;
/** How long a call may take, the replacement of a feeder included. */
const CALL_MS: Millis = 10_000;
/** How long a start waits for the feeder, which starts at the same time. */
const FIRST_FACTS_MS: Millis = 10_000;

type Rpc = BirpcReturn<FeederServices, NoFunctions, false>;
const LOST = Symbol('feeder lost');

/** The connection to whichever feeder there is. */
class FeederLine {
  readonly #path: string;
  #attempt!: PortAttempt;
  #rpc!: Rpc;
  #closed = false;

  constructor(folder: string) {
    this.#path = socketPath(folder, FEEDER);
    this.#connect();
  }

  get isConnected(): boolean {
    return this.#attempt.isConnected;
  }

  /** A call that was with a feeder that died goes to its successor. Rejects after CALL_MS. */
  async call<T>(ask: (rpc: Rpc) => Promise<T>): Promise<T> {
    const giveUp = (): StoreError => new StoreError('unavailable', 'The feeder does not answer.');
    return settleWithin(this.#callAny(ask), { ms: CALL_MS, giveUp });
  }

  close(): void {
    this.#closed = true;
    this.#attempt.end();
    this.#rpc.$close(new StoreError('unavailable', 'The server is shutting down.'));
  }

  async #callAny<T>(ask: (rpc: Rpc) => Promise<T>): Promise<T> {
    for (;;) {
      const rpc = this.#rpc;
      try {
        return await ask(rpc);
      } catch (thrown) {
        if (this.#closed || this.#rpc === rpc || !(thrown instanceof Error) || thrown.cause !== LOST)
          throw thrown;
      }
    }
  }

  #connect(): void {
    const attempt = new PortAttempt(this.#path, 'services' satisfies Wanted);
    const rpc = createBirpc<FeederServices, NoFunctions, false>(
      {},
      {
        ...{ proxify: false, timeout: -1 },
        post: (message) => attempt.postMessage(message),
        on: (listener) => void attempt.on('message', listener),
      },
    );
    attempt.on('exit', () => {
      if (this.#closed) return;
      this.#connect();
      rpc.$close(new Error('The feeder is being replaced.', { cause: LOST }));
    });
    [this.#attempt, this.#rpc] = [attempt, rpc];
  }
}

export interface FeederServicesClient {
  /** As of the last half second; those of before the feeder died while it is replaced. */
  readonly facts: FeederFacts;
  /** null: no candles are kept. */
  readonly store: StoreHandle | null;
  /** null without a key. */
  readonly coinMarketCap: CoinMarketCapClient | null;
  close(): Promise<void>;
}

/** Resolves once the feeder has told its facts. Rejects where none does. */
export const connectFeederServices = async (
  folder: string,
  { log, now }: { readonly log: Log; readonly now: () => Millis },
): Promise<FeederServicesClient> => {
  const line = new FeederLine(folder);
  let awaySince: Millis | null = null;
  let facts: FeederFacts;
  try {
    facts = await settleWithin(
      line.call((rpc) => rpc.$call('facts')),
      { ms: FIRST_FACTS_MS, giveUp: () => new Error('The feeder does not answer.') },
    );
  } catch (thrown) {
    line.close();
    throw thrown;
  }
  let asking = false;
  const learn = async (): Promise<void> => {
    if (!line.isConnected) awaySince ??= now();
    if (asking || !line.isConnected) return;
    asking = true;
    try {
      facts = await line.call((rpc) => rpc.$call('facts'));
      awaySince = null;
    } catch (error) {
      log.debug({ err: error }, 'the feeder did not say how it is');
    } finally {
      asking = false;
    }
  };
  const timer = setInterval(() => void learn(), FACTS_EVERY_MS).unref();

  const storeFacts = facts.store;
  const candleStore = storeOver((method, args) => line.call((rpc) => rpc.$call('store', method, args)));
  const store: StoreHandle | null =
    storeFacts === null
      ? null
      : {
          ...{ shared: storeFacts.shared, file: storeFacts.file, opened: Promise.resolve() },
          // Its calls wait for the next feeder.
          store: () => candleStore,
          status: () => {
            const status = facts.store?.status ?? storeFacts.status;
            if (awaySince === null) return status;
            const detail = 'The process that keeps the store is being replaced.';
            return { ...status, state: 'degraded', detail, since: awaySince };
          },
          close: () => Promise.resolve(),
        };

  const coinMarketCap: CoinMarketCapClient | null =
    facts.coinMarketCap === null
      ? null
      : {
          quote: (request, call) => askFor((rpc) => rpc.$call('quote', request, byKernelClock(call))),
          candles: (request, call) => askFor((rpc) => rpc.$call('candles', request, byKernelClock(call))),
          offersCandles: (interval) => hasPeriod(interval) && facts.coinMarketCap?.historical === true,
          stats: () => facts.coinMarketCap ?? NO_STATS,
          close: () => Promise.resolve(),
        };
  const askFor = async <T>(ask: (rpc: Rpc) => Promise<Reply<T>>): Promise<T> => {
    try {
      return unwrapReply(await line.call(ask));
    } catch (thrown) {
      throw AppError.from(thrown);
    }
  };

  return {
    get facts() {
      return facts;
    },
    store,
    coinMarketCap,
    close() {
      clearInterval(timer);
      line.close();
      return Promise.resolve();
    },
  };
};

const NO_STATS: ReturnType<CoinMarketCapClient['stats']> = {
  ...{ requests: 0, succeeded: 0, failures: 0, reused: 0, pausedUntil: null, historical: false },
};

/** Each process has an origin of its own. */
const byKernelClock = <T extends { readonly deadline: Millis }>(call: T): T => ({
  ...call,
  deadline: call.deadline - STEADY_ORIGIN,
});
