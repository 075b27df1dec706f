/** The feeder's side of `services`. */
import { createBirpc } from 'birpc';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import { replyOf } from '../exchanges/worker/protocol.js';
import type { Ledger } from '../ledger/ledger.js';
import type { StoreMethod, StoreReply } from '../ledger/sqlite/store-protocol.js';
import { StoreError } from '../ledger/store-error.js';
import type { StoreHandle } from '../ledger/store-status.js';
import { STEADY_ORIGIN } from '../lib/steady-clock.js';
import type { Millis } from '../schemas/common.js';
import type { FeederServices, NoFunctions } from './feeder-protocol.js';
import type { FramedPort } from './framed-port.js';

export interface ServedServices {
  readonly store: StoreHandle | null;
  readonly ledger: Pick<Ledger, 'stats' | 'status' | 'jobsAdded'> | null;
  readonly coinMarketCap: CoinMarketCapClient | null;
}

const byOwnClock = <T extends { readonly deadline: Millis }>(call: T): T => ({
  ...call,
  deadline: call.deadline + STEADY_ORIGIN,
});

const storeReply = async (work: () => Promise<unknown>): Promise<StoreReply> => {
  try {
    return { ok: true, value: await work() };
  } catch (thrown) {
    const { fault, message } =
      thrown instanceof StoreError ? thrown : new StoreError('unavailable', String(thrown));
    return { ok: false, fault, message };
  }
};

const noCoinMarketCap = (): Error => new Error('There is no key of CoinMarketCap.');

/** Until the port closes. */
export const serveServices = (port: FramedPort, served: ServedServices): void => {
  const { store, ledger, coinMarketCap } = served;

  const ask = (method: StoreMethod, args: readonly unknown[]): Promise<StoreReply> =>
    storeReply(async () => {
      const open = store?.store() ?? null;
      if (open === null) throw new StoreError('unavailable', store?.status().detail ?? 'There is no store.');
      // The other side is the same version of the interface.
      const calls = open as unknown as Record<StoreMethod, (...args: readonly unknown[]) => Promise<unknown>>;
      const value = await calls[method](...args);
      if (method === 'addJob') ledger?.jobsAdded();
      return value;
    });

  const functions: FeederServices = {
    facts: () => ({
      store:
        store === null || ledger === null
          ? null
          : { shared: store.shared, file: store.file, status: ledger.status() },
      ledger: ledger?.stats() ?? null,
      coinMarketCap: coinMarketCap?.stats() ?? null,
    }),
    store: ask,
    quote: (request, call) =>
      replyOf(async () => {
        if (coinMarketCap === null) throw noCoinMarketCap();
        return coinMarketCap.quote(request, byOwnClock(call));
      }),
    candles: (request, call) =>
      replyOf(async () => {
        if (coinMarketCap === null) throw noCoinMarketCap();
        return coinMarketCap.candles(request, byOwnClock(call));
      }),
  };
  createBirpc<NoFunctions, FeederServices, false>(functions, {
    ...{ proxify: false, bind: 'functions', timeout: -1 },
    post: (message) => port.postMessage(message),
    on: (listener) => void port.on('message', listener),
  });
};
