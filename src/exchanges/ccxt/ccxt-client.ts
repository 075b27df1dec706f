/** The ExchangeClient over CCXT, in whichever thread it runs: answers finished JSON, opens raw feeds, tells its health. */
import { AppError } from '../../errors.js';
import type { ExchangeOptions } from '../../config/config.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { allowDistantAddresses } from '../../lib/address-families.js';
import { settleWithin } from '../../lib/deadline.js';
import { steadyNow } from '../../lib/steady-clock.js';
import { createVenueClock } from '../../lib/venue-clock.js';
import type { Log } from '../../log/log.js';
import { CoolDownLog } from '../rate-limit/cool-down.js';
import { createUpstreamGate } from '../rate-limit/exchange-gate.js';
import type { SharedBudget } from '../rate-limit/shared-budget.js';
import type { GateState, GateStates } from '../rate-limit/upstream-gate.js';
import type {
  CallOptions,
  ExchangeClient,
  ExchangeHealth,
  MarketAnswer,
  MarketRequest,
  TickersRequest,
} from '../exchange-client.js';
import type { CcxtClass } from './ccxt-exchange.js';
import { createSocketAgents } from './feeds/connections.js';
import { faultOfCcxt, timedOut } from './faults.js';
import { loadExchangeClass } from './loader.js';
import { answerTickers } from './bulk-tickers.js';
import { answerRequest } from './market-requests.js';
import { type OpenWatch, openVenueWatch } from './feeds/venue-watch.js';
import { createDispatcher, createTransport, NO_PROXIES, type ProxySettings } from './http/transport.js';
import { Venue } from './venue.js';
import { openWatch as openCcxtWatch } from './feeds/watch.js';
import { withUpstreamCall } from './call-context.js';
import { venueQuirks } from '../venues/venue-quirks.js';

export interface CcxtClientOptions {
  /** CCXT ids; nothing else is ever loaded or asked. */
  readonly exchanges: readonly ExchangeId[];
  readonly exchangeOptions: Readonly<Record<ExchangeId, ExchangeOptions>>;
  /** Requests per exchange and window. */
  readonly budget: { readonly requests: number; readonly windowMs: Millis };
  /** One attempt with its body. */
  readonly upstreamTimeoutMs: Millis;
  readonly proxy: ProxySettings;
  /** null: the real venues. */
  readonly sandboxUrl: string | null;
  readonly userAgent: string;
  readonly log: Log;
  /** The wall clock. */
  readonly now?: (() => Millis) | undefined;
  /** The clock of durations and deadlines; default: `now` where that is given. */
  readonly monotonic?: (() => Millis) | undefined;
  readonly random?: (() => number) | undefined;
  /** Of the client that this one replaces. */
  readonly gates?: readonly GateState[] | undefined;
  /** At once when a cool-down starts, or the venue's limit is near, or is extended. */
  readonly onGateChange?: ((state: GateState) => void) | undefined;
  /** Budgets that are shared with other servers; closed with the client. Default: this one counts alone. */
  readonly shared?: (SharedBudget & { close(): Promise<void> }) | undefined;
  /** Default: watch.ts. */
  readonly openWatch?: OpenWatch | undefined;
  /** Default: the module of CCXT's package. */
  readonly loadClass?: ((id: ExchangeId) => Promise<CcxtClass>) | undefined;
}

export type CcxtClient = ExchangeClient & GateStates;

/**
 * A request that waited for its turn has so long left for its answer; half of its call's time where that is short. One
 * that would leave later is refused for what it is, this server's own budget, and not cut off as the venue's silence.
 */
const LEAST_ANSWER_MS: Millis = 1_000;

/** Makes nothing but plain objects: modules, instances and markets come with the first call that needs them. */
export const createCcxtClient = (options: CcxtClientOptions): CcxtClient => {
  const { exchanges, budget, upstreamTimeoutMs, sandboxUrl, userAgent, log } = options;
  const {
    now = Date.now,
    monotonic = options.now ?? steadyNow,
    random = Math.random,
    loadClass = loadExchangeClass,
    openWatch = openCcxtWatch,
  } = options;
  // The sandbox is on this machine: no proxy stands between.
  const proxy = sandboxUrl === null ? options.proxy : NO_PROXIES;
  // In whichever thread this is: a venue may be far away and have addresses that lead nowhere.
  allowDistantAddresses();
  const dispatcher = createDispatcher(proxy, upstreamTimeoutMs);
  const socketAgents = createSocketAgents(proxy);
  const gate = createUpstreamGate({
    budget,
    now: monotonic,
    wall: now,
    onChange: (state) => {
      coolDowns.changed(state.exchange);
      options.onGateChange?.(state);
    },
    restored: options.gates,
    shared: options.shared,
  });
  const coolDowns = new CoolDownLog({
    log,
    now: monotonic,
    wall: now,
    stateOf: (exchange) => gate.state(exchange),
  });
  for (const exchange of exchanges) coolDowns.resumed(exchange);

  const createVenue = (exchange: ExchangeId): Venue => {
    const clock = createVenueClock(now, monotonic);
    const own = Object.hasOwn(options.exchangeOptions, exchange)
      ? options.exchangeOptions[exchange]
      : undefined;
    const agentName = own?.userAgent ?? userAgent;
    const transport = createTransport({
      exchange,
      dispatcher,
      gate,
      clock,
      timeoutMs: upstreamTimeoutMs,
      userAgent: agentName,
      words: venueQuirks(exchange),
      now,
      monotonic,
    });
    return new Venue({
      exchange,
      loadClass,
      transport,
      gate,
      clock,
      socketAgents,
      options: own,
      sandboxUrl,
      userAgent: agentName,
      log,
      now,
      monotonic,
      random,
    });
  };
  const venues = new Map(exchanges.map((exchange) => [exchange, createVenue(exchange)]));

  const venueOf = (exchange: ExchangeId): Venue => {
    const venue = venues.get(exchange);
    if (venue !== undefined) return venue;
    throw new AppError('exchange_not_enabled', `${exchange.slice(0, 32)} is not enabled on this server.`);
  };

  /** Runs a call so that it settles in time and only ever rejects with an AppError. */
  const call = async <T>(
    venue: Venue,
    { deadline, signal, priority, client }: CallOptions,
    work: () => Promise<T>,
  ): Promise<T> => {
    const { exchange } = venue;
    try {
      const answered = { json: undefined };
      const ms = deadline - monotonic();
      const leaveBy = deadline - Math.max(0, Math.min(LEAST_ANSWER_MS, ms / 2));
      const times = { deadline: leaveBy, answeredBy: deadline };
      const context = { kind: 'data', priority, client, signal, answered, ...times } as const;
      const outcome = await settleWithin(withUpstreamCall(context, work), {
        ms,
        signal,
        giveUp: ({ reason }) => (reason instanceof AppError ? reason : timedOut(exchange)),
      });
      venue.note(null);
      return outcome;
    } catch (thrown) {
      const error = faultOfCcxt(exchange, thrown);
      // A caller who left in the middle is no fault of the venue.
      if (signal?.aborted !== true) venue.note(error);
      throw error;
    }
  };

  const healthOf = (venue: Venue): ExchangeHealth => {
    const { coolDownUntil, budget: left } = gate.state(venue.exchange);
    return {
      exchange: venue.exchange,
      markets: venue.markets.state,
      marketsLoadedAt: venue.markets.loadedAt,
      marketsLoading: venue.markets.loading,
      coolDownUntil: coolDownUntil === null ? null : Math.round(coolDownUntil - monotonic() + now()),
      circuit: 'closed',
      budget: left,
      worker: 'inline',
      workerRestarts: 0,
      lastError: venue.lastError,
      since: venue.markets.since,
    };
  };

  return {
    describe: async (exchange) => venueOf(exchange).describe(),
    markets: async (exchange, callOptions) => {
      const venue = venueOf(exchange);
      return call(venue, callOptions, async () => {
        const { markets } = await venue.ready(callOptions);
        return { markets: markets.list, loadedAt: markets.loadedAt };
      });
    },
    fetch: async (request: MarketRequest | TickersRequest, callOptions): Promise<MarketAnswer> => {
      const venue = venueOf(request.exchange);
      const options = { ...callOptions, receivedAt: now };
      return call(venue, callOptions, () =>
        request.kind === 'tickers'
          ? answerTickers(venue, request, options)
          : answerRequest(venue, request, options),
      );
    },
    watch: (topic, sink) =>
      openVenueWatch(
        venues.get(topic.exchange),
        { topic, sink },
        { openWatch, now, monotonic, log, upstreamTimeoutMs },
      ),
    health: () => [...venues.values()].map(healthOf),
    gateStates: () => exchanges.map((exchange) => gate.state(exchange)),
    close: async () => {
      gate.close();
      await options.shared?.close();
      await Promise.all([...venues.values()].map((venue) => venue.close()));
      coolDowns.close();
      socketAgents.close();
      await dispatcher.destroy();
    },
  };
};
