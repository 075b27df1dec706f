/**
 * One venue's markets: loaded once for all callers, refreshed in the background, kept when a refresh fails. Each load
 * runs on a CCXT instance of its own, which replaces the old one only when it succeeded: a failed load poisons the
 * instance that it ran on (docs/ccxt.md#loading-markets).
 */
import { AppError } from '../../errors.js';
import type { Market } from '../../schemas/market.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { settleWithin } from '../../lib/deadline.js';
import type { Log } from '../../log/log.js';
import { createOutage, type Outage } from '../../log/outage.js';
import type { CallOptions, MarketsState } from '../exchange-client.js';
import { withUpstreamCall } from './call-context.js';
import { timedOut } from './faults.js';
import { createSymbolIndex, type AmbiguousSymbols, type SymbolIndex } from './symbol-search.js';

/** All requests of one load together, with their waits. */
export const MARKETS_LOAD_MS: Millis = 60_000;
export const MARKETS_REFRESH_MS: Millis = 3_600_000;
/**
 * A refresh is announced so long before it begins: parsing what comes blocks the thread, and the heartbeat must know
 * why by then.
 */
const REFRESH_NOTICE_MS: Millis = 600;
const RETRY_REFRESH_MS: Millis = 300_000;
/** A venue with several lists, one of which failed, is asked again after this. */
export const RETRY_PARTIAL_MS: Millis = 60_000;
/** A symbol that is not listed may be new: the list is loaded again for it, but no more often than this. */
export const UNKNOWN_REFRESH_MS: Millis = 60_000;
/** A caller that asked for it waits so long for that load. */
const UNKNOWN_WAIT_MS: Millis = 5_000;
/** A fraction by which waits vary, so that venues and servers don't refresh in step. */
const JITTER = 0.1;

/** What a load brought. */
export interface MarketLists {
  /** Sorted by symbol. */
  readonly list: readonly Market[];
  readonly ambiguous?: AmbiguousSymbols;
  /** Why some of the venue's lists are missing; null: none is. */
  readonly missing?: AppError | null;
}

export interface LoadedMarkets {
  readonly list: readonly Market[];
  readonly symbols: SymbolIndex;
  readonly loadedAt: Millis;
  /** Why some of the venue's lists are missing; null: none is. */
  readonly missing: AppError | null;
}

export interface VenueMarketsDeps {
  readonly exchange: ExchangeId;
  /** Asks the venue. */
  readonly load: () => Promise<MarketLists>;
  readonly now: () => Millis;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
  readonly random: () => number;
  readonly log: Log;
  /** A load ended: with null well, else with this fault. */
  readonly onOutcome: (error: AppError | null) => void;
}

export class VenueMarkets {
  readonly #deps: VenueMarketsDeps;
  /** However many attempts fail in a row, the log is told once. */
  readonly #outage: Outage;
  #loaded: LoadedMarkets | undefined;
  #loading: Promise<LoadedMarkets> | undefined;
  #attemptedAt: Millis = -Infinity;
  #state: MarketsState = 'not_loaded';
  #since: Millis;
  #timer: NodeJS.Timeout | undefined;
  #refreshing = false;
  #closed = false;

  constructor(deps: VenueMarketsDeps) {
    this.#deps = deps;
    const { log, monotonic } = deps;
    const [warning, recovery] = ['could not load markets', 'markets are loaded again'];
    this.#outage = createOutage({ log, now: monotonic, warning, recovery });
    this.#since = deps.now();
  }

  get state(): MarketsState {
    return this.#state;
  }

  /** A load is under way or about to begin: the first one, or a refresh in the background. */
  get loading(): boolean {
    return this.#refreshing || this.#loading !== undefined;
  }

  get loadedAt(): Millis | null {
    return this.#loaded?.loadedAt ?? null;
  }

  /** When `state` last changed. */
  get since(): Millis {
    return this.#since;
  }

  /** The last good copy at once, or the outcome of the load that runs (or is started), within the caller's time. */
  async get({ deadline, signal }: CallOptions): Promise<LoadedMarkets> {
    if (this.#loaded !== undefined) return this.#loaded;
    const { exchange, monotonic } = this.#deps;
    return settleWithin(this.#load(), {
      ms: deadline - monotonic(),
      signal,
      giveUp: ({ reason }) => (reason instanceof AppError ? reason : timedOut(exchange)),
    });
  }

  /**
   * The list for somebody whose symbol the present one lacks: loaded again where the last attempt is a minute old, the
   * present one otherwise, and where the load fails or takes long.
   */
  async latest({ deadline, signal }: CallOptions, present: LoadedMarkets): Promise<LoadedMarkets> {
    const { monotonic, exchange } = this.#deps;
    const isRecent = monotonic() - this.#attemptedAt < UNKNOWN_REFRESH_MS;
    if (isRecent && this.#loading === undefined) return this.#loaded ?? present;
    return settleWithin(this.#load(), {
      ms: Math.min(UNKNOWN_WAIT_MS, deadline - monotonic()),
      signal,
      giveUp: () => timedOut(exchange),
    }).catch(() => present);
  }

  #load(): Promise<LoadedMarkets> {
    if (this.#loading !== undefined) return this.#loading;
    if (this.#loaded === undefined) this.#become('loading');
    this.#loading = this.#attempt().finally(() => {
      this.#loading = undefined;
      this.#schedule();
    });
    return this.#loading;
  }

  #become(state: MarketsState): void {
    if (state !== this.#state) this.#since = this.#deps.now();
    this.#state = state;
  }

  async #attempt(): Promise<LoadedMarkets> {
    const { exchange, load, now, monotonic, onOutcome } = this.#deps;
    this.#attemptedAt = monotonic();
    const priority = this.#loaded === undefined ? 'caller' : 'poll';
    const call = { kind: 'markets', priority, deadline: monotonic() + MARKETS_LOAD_MS } as const;
    try {
      const {
        list,
        ambiguous,
        missing = null,
      } = await withUpstreamCall(call, () =>
        settleWithin(load(), { ms: MARKETS_LOAD_MS, giveUp: () => timedOut(exchange) }),
      );
      // What a list had before stays until that list is well again.
      if (missing !== null && list.length < (this.#loaded?.list.length ?? 0)) throw missing;
      this.#loaded = { list, symbols: createSymbolIndex(list, ambiguous), loadedAt: now(), missing };
      this.#become('loaded');
      onOutcome(missing);
      if (missing === null) this.#outage.end({ exchange, markets: list.length });
      else this.#outage.begin({ exchange, code: missing.code, markets: list.length });
      return this.#loaded;
    } catch (thrown) {
      const error = AppError.from(thrown);
      this.#become(this.#loaded === undefined ? 'load_failed' : 'refresh_failed');
      onOutcome(error);
      // What ends with the server is no outage.
      if (!this.#closed)
        this.#outage.begin({
          exchange,
          code: error.code,
          status: error.upstream?.status,
          cause: error.diagnosis,
        });
      throw error;
    }
  }

  /** A list that was never loaded is loaded by the next caller; one that was, is refreshed in the background. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.#loaded === undefined) return;
    const isPartial = this.#loaded.missing !== null;
    const whole = this.#state === 'refresh_failed' ? RETRY_REFRESH_MS : MARKETS_REFRESH_MS;
    const wait = isPartial ? RETRY_PARTIAL_MS : whole;
    const jittered = wait * (1 - JITTER + 2 * JITTER * this.#deps.random());
    this.#timer = setTimeout(() => this.#refresh(), jittered - REFRESH_NOTICE_MS);
    this.#timer.unref();
  }

  #refresh(): void {
    this.#refreshing = true;
    this.#timer = setTimeout(() => {
      this.#refreshing = false;
      this.#load().catch(() => undefined);
    }, REFRESH_NOTICE_MS);
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
