/** What has to be known of single venues' feeds; the only place in the watch code that names venues. */
import type { ExchangeId } from '../../schemas/common.js';
import type { CcxtExchange } from '../ccxt/ccxt-exchange.js';
import { checkBooks } from '../ccxt/feeds/watch-checksum.js';
import { giveOutPlaces, type Places } from '../ccxt/feeds/watch-places.js';

export interface WatchQuirks {
  /** Extra parameters of `watchOrderBook`. */
  readonly bookParams: Readonly<Record<string, unknown>>;
  /** Books carry a checksum that CCXT does not check. */
  readonly checksums: boolean;
  /** Public feeds for which CCXT asks for keys all the same. */
  readonly keyless: boolean;
  /** How many feeds the venue takes on how many sockets, where CCXT spreads them. */
  readonly places: Places | null;
}

const PLAIN: WatchQuirks = { bookParams: {}, checksums: false, keyless: false, places: null };

const VENUES: ReadonlyMap<ExchangeId, Partial<WatchQuirks>> = new Map<ExchangeId, Partial<WatchQuirks>>([
  [
    'binance',
    // The venue takes 1024 streams a connection (developers.binance.com, "WebSocket Streams").
    { places: { sockets: 4, each: 1000 } },
  ],
  [
    'kraken',
    // Ten levels, the venue's default: exactly those that its checksum vouches for.
    { checksums: true },
  ],
  [
    'coinbaseexchange',
    // `level2` needs keys; `level2_batch` brings the same messages, batched every 50 ms, to anybody.
    { bookParams: { channels: ['level2_batch'] }, keyless: true },
  ],
]);

export const watchQuirks = (exchange: ExchangeId): WatchQuirks => ({ ...PLAIN, ...VENUES.get(exchange) });

/** Trades kept per symbol between two wakes of a loop; what exceeds it would be lost. */
const TRADES_LIMIT = 5_000;

/** Once per instance, before its first feed. */
export const applyWatchQuirks = (instance: CcxtExchange, exchange: ExchangeId): void => {
  const { checksums, keyless, places } = watchQuirks(exchange);
  Object.assign(instance.options, { tradesLimit: TRADES_LIMIT });
  if (places !== null) giveOutPlaces(instance, { exchange, ...places });
  if (checksums) checkBooks(instance);
  if (keyless) Object.assign(instance, { authenticate: () => ({}) });
};
