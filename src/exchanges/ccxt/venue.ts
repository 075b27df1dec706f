/** Everything that one venue needs in the thread that asks it: its CCXT instances, markets, clock and answers. */
import { AppError, type ErrorCode } from '../../errors.js';
import type { ExchangeOptions } from '../../config/config.js';
import type { MarketKind } from '../../schemas/market.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../../schemas/common.js';
import { parseInterval, type Interval } from '../../lib/intervals.js';
import type { Log } from '../../log/log.js';
import { createOutage, type Outage } from '../../log/outage.js';
import type { UpstreamGate } from '../rate-limit/upstream-gate.js';
import type { CallOptions, ExchangeDescription, VenueError } from '../exchange-client.js';
import type { CcxtClass, CcxtExchange } from './ccxt-exchange.js';
import type { SocketAgents } from './feeds/connections.js';
import { PageMemory } from './candle-pages.js';
import { describeExchange, hasMethod } from './capabilities.js';
import { faultOfCcxt } from './faults.js';
import { whyUnresolved } from './symbol-search.js';
import { createInstance, type Instance } from './instance.js';
import { coolDownError } from '../rate-limit/cool-down.js';
import { loadTolerantly, normalizeMarkets, separateSharedSymbols } from './market-lists.js';
import { VenueMarkets, RETRY_PARTIAL_MS, type LoadedMarkets, type MarketLists } from './markets.js';
import type { Transport } from './http/transport.js';
import type { VenueClock } from '../../lib/venue-clock.js';
import { venueQuirks, type VenueQuirks } from '../venues/venue-quirks.js';

export interface VenueDeps {
  readonly exchange: ExchangeId;
  readonly loadClass: (id: ExchangeId) => Promise<CcxtClass>;
  readonly transport: Transport;
  readonly gate: UpstreamGate;
  readonly clock: VenueClock;
  readonly socketAgents: SocketAgents;
  readonly options: ExchangeOptions | undefined;
  readonly sandboxUrl: string | null;
  readonly userAgent: string;
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
  readonly random: () => number;
}

/** Said by this server, not by the venue. */
const OWN_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'upstream_budget_exhausted',
  'overloaded',
  'shutting_down',
]);

const isVenueFault = ({ status, code }: AppError): boolean => status >= 429 && !OWN_REFUSALS.has(code);

/** A venue as a caller may use it: with its markets, on the instance that loaded them. */
export interface ReadyVenue {
  readonly ccxt: CcxtExchange;
  readonly markets: LoadedMarkets;
}

export class Venue {
  readonly #deps: VenueDeps;
  readonly markets: VenueMarkets;
  /** What its pages of candles have shown themselves to be. */
  readonly pages = new PageMemory();
  /** Made for its tables; taken by the first load of markets. */
  #unused: Promise<Instance> | undefined;
  #rest: Instance | undefined;
  #streams: Instance | undefined;
  #lastError: VenueError | null = null;
  readonly #outage: Outage;
  /** Intervals that are not what their names say, as rows have shown them. */
  readonly #intervals = new Map<string, Interval>();

  constructor(deps: VenueDeps) {
    this.#deps = deps;
    const { exchange, now, monotonic, random, log } = deps;
    this.#outage = createOutage({
      log,
      now,
      warning: 'an exchange fails',
      recovery: 'the exchange answers again',
    });
    this.markets = new VenueMarkets({
      exchange,
      now,
      monotonic,
      random,
      log,
      load: () => this.#loadMarkets(),
      onOutcome: (error) => this.#remember(error),
    });
  }

  get exchange(): ExchangeId {
    return this.#deps.exchange;
  }

  get gate(): UpstreamGate {
    return this.#deps.gate;
  }

  get clock(): VenueClock {
    return this.#deps.clock;
  }

  /** The latest fault, until something went well. While the venue limits requests, that at least. */
  get lastError(): VenueError | null {
    return this.#lastError ?? coolDownError(this.gate.state(this.exchange));
  }

  /**
   * Remembers how a call ended, and logs why an exchange fails once each time. What callers got wrong, and what this
   * server refuses by itself, says nothing about the venue.
   */
  note(error: AppError | null): void {
    const { exchange, log } = this.#deps;
    this.#remember(error);
    if (error === null) {
      this.#outage.end({ exchange });
      return;
    }
    if (!isVenueFault(error)) return;
    const { code, diagnosis, upstream } = error;
    const details = { exchange, code, status: upstream?.status, cause: diagnosis };
    log.debug(details, 'a call to an exchange failed');
    // A cool-down has lines of its own (rate-limit/cool-down.ts).
    if (code !== 'upstream_rate_limited') this.#outage.begin(details);
  }

  #remember(error: AppError | null): void {
    if (error === null) {
      this.#lastError = null;
    } else if (isVenueFault(error)) {
      const { code, diagnosis } = error;
      // A refusal in a cool-down brings no words of its own.
      const before = this.#lastError?.code === code ? this.#lastError.detail : null;
      this.#lastError = { code, detail: diagnosis ?? before, at: this.#deps.now() };
    }
  }

  async #create(): Promise<Instance> {
    const { exchange, loadClass } = this.#deps;
    // A module that can not be loaded or constructed is our fault, not the venue's.
    const Exchange = await loadClass(exchange).catch((thrown: unknown) => {
      throw AppError.from(thrown);
    });
    return createInstance(Exchange, this.#deps);
  }

  #tables(): Promise<Instance> {
    if (this.#rest !== undefined) return Promise.resolve(this.#rest);
    this.#unused ??= this.#create();
    // A class that could not be loaded is tried again by the next caller.
    this.#unused.catch(() => (this.#unused = undefined));
    return this.#unused;
  }

  async #loadMarkets(): Promise<MarketLists> {
    const { exchange, now } = this.#deps;
    const instance = await (this.#unused ?? this.#create());
    this.#unused = undefined;
    try {
      const { ccxt } = instance;
      const missing = await loadTolerantly(ccxt);
      const ambiguous = separateSharedSymbols(ccxt);
      const list = normalizeMarkets(ccxt.markets, { exchange, now: now() }, ccxt.precisionMode);
      this.#rest = instance;
      this.#streams?.ccxt.setMarketsFromExchange(instance.ccxt);
      return { list, ambiguous, missing };
    } catch (thrown) {
      throw faultOfCcxt(exchange, thrown);
    }
  }

  /** Those for one of its markets; derivatives have a settlement currency behind a colon. */
  quirksOf({ features }: CcxtExchange, symbol: UnifiedSymbol): VenueQuirks {
    return venueQuirks(this.exchange, { features, contract: symbol.includes(':') });
  }

  /** Makes no request. */
  async describe(): Promise<ExchangeDescription> {
    const { ccxt } = await this.#tables();
    return describeExchange(this.exchange, ccxt);
  }

  /** Throws `not_supported_by_exchange` without asking the venue for anything. */
  async requireMethod(kind: MarketKind, via: 'fetch' | 'watch'): Promise<void> {
    const { ccxt } = await this.#tables();
    if (hasMethod(ccxt, kind, via)) return;
    throw new AppError('not_supported_by_exchange', `${this.exchange} offers no ${kind} data this way.`);
  }

  /** The venue's own interval; throws `interval_not_supported` with the list of those it has. */
  async requireInterval(text: string): Promise<Interval> {
    const { ccxt } = await this.#tables();
    const interval = parseInterval(text);
    if (interval !== undefined && Object.hasOwn(ccxt.timeframes ?? {}, text)) {
      const learnt = this.#intervals.get(text);
      if (learnt !== undefined) return learnt;
      const odd = venueQuirks(this.exchange).oddIntervals.get(text);
      return odd === undefined ? interval : { ...interval, ms: odd, origin: 0 };
    }
    const { intervals } = await this.describe();
    const reason = `${this.exchange} offers ${intervals.join(', ')}`;
    throw new AppError('interval_not_supported', `${reason}.`, {
      errors: [{ parameter: 'interval', reason }],
    });
  }

  /** Remembers an interval whose periods rows have shown to be longer or shorter than its name says. */
  noteInterval(interval: Interval): void {
    const named = parseInterval(interval.text);
    const isOdd = named?.ms !== interval.ms || named.months !== interval.months;
    if (isOdd) this.#intervals.set(interval.text, interval);
  }

  /** Waits for the markets where they are not loaded yet. */
  async ready(options: CallOptions): Promise<ReadyVenue> {
    const markets = await this.markets.get(options);
    const rest = this.#rest;
    if (rest === undefined)
      throw new AppError('internal_error', 'Markets without the instance that loaded them.');
    return { ccxt: rest.ccxt, markets };
  }

  /** The venue with a symbol as its list writes it. A symbol that is not listed may start a load of the list. */
  async readyFor(
    text: string,
    options: CallOptions,
  ): Promise<ReadyVenue & { readonly symbol: UnifiedSymbol }> {
    const ready = await this.ready(options);
    if (ready.markets.symbols.resolve(text).symbols.length === 0) {
      const latest = await this.markets.latest(options, ready.markets);
      if (latest !== ready.markets) return this.#named(text, await this.ready(options));
    }
    return this.#named(text, ready);
  }

  /** Throws `symbol_not_found` with the nearest symbols, or with those that the text may mean. */
  #named(text: string, ready: ReadyVenue): ReadyVenue & { readonly symbol: UnifiedSymbol } {
    const { symbols, missing } = ready.markets;
    const [symbol, ...others] = symbols.resolve(text).symbols;
    if (symbol !== undefined && others.length === 0) return { ...ready, symbol };
    // It may be in the list that could not be loaded. No request was made now, so no `upstream` counts against the venue.
    if (symbol === undefined && missing !== null)
      throw new AppError(missing.code, `Some of ${this.exchange}'s lists of markets could not be loaded.`, {
        retryAfterMs: RETRY_PARTIAL_MS,
        cause: missing,
      });
    const reason = whyUnresolved(this.exchange, text, symbols);
    throw new AppError('symbol_not_found', reason, { errors: [{ parameter: 'symbol', reason }] });
  }

  /** The instance for feeds: apart from the one for REST, so that it can be thrown away when its sockets are stuck. */
  async streamInstance(options: CallOptions): Promise<CcxtExchange> {
    const { ccxt } = await this.ready(options);
    if (this.#streams !== undefined) return this.#streams.ccxt;
    const made = await this.#create();
    // Somebody else's may have been ready first.
    this.#streams ??= made;
    this.#streams.ccxt.setMarketsFromExchange(ccxt);
    return this.#streams.ccxt;
  }

  /** Gives a stream instance up; the next feed gets a new one. Nothing happens where it was given up already. */
  discardStreams(ccxt: CcxtExchange): void {
    if (this.#streams?.ccxt !== ccxt) return;
    const discarded = this.#streams;
    this.#streams = undefined;
    void discarded.close();
  }

  async close(): Promise<void> {
    this.markets.close();
    const unused = await this.#unused?.catch(() => undefined);
    for (const instance of [unused, this.#rest, this.#streams]) await instance?.close();
  }
}
