/**
 * What a serving process asks of the feeder, over two connections: `exchanges` speaks the protocol of the worker threads
 * (exchanges/worker/protocol.ts), `services` what is here. Everything survives V8's serialisation.
 */
import type {
  CoinMarketCapCandles,
  CoinMarketCapClient,
  CoinMarketCapQuote,
} from '../coinmarketcap/coinmarketcap-api.js';
import type { Reply } from '../exchanges/worker/protocol.js';
import type { LedgerStats } from '../ledger/ledger.js';
import type { StoreMethod, StoreReply } from '../ledger/sqlite/store-protocol.js';
import type { StoreHandle, StoreStatus } from '../ledger/store-status.js';

export const FEEDER = 'feeder';

/** The first message of a connection. */
export type Wanted = 'exchanges' | 'services';

/** What the feeder knows and serving processes tell of. */
export interface FeederFacts {
  readonly store: (Pick<StoreHandle, 'shared' | 'file'> & { readonly status: StoreStatus }) | null;
  readonly ledger: LedgerStats | null;
  readonly coinMarketCap: ReturnType<CoinMarketCapClient['stats']> | null;
}

export interface FeederServices {
  facts(): FeederFacts;
  store(method: StoreMethod, args: readonly unknown[]): Promise<StoreReply>;
  quote(...args: Parameters<CoinMarketCapClient['quote']>): Promise<Reply<CoinMarketCapQuote>>;
  candles(...args: Parameters<CoinMarketCapClient['candles']>): Promise<Reply<CoinMarketCapCandles>>;
}

/** The feeder asks nothing. */
export type NoFunctions = Record<string, never>;
