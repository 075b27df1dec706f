/** CoinMarketCap as a substitute for a venue that fails: quotes, and candles where the plan has them. */
import { AppError } from '../errors.js';
import { leastRecent } from '../cache/least-recent.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { Millis } from '../schemas/common.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import { createAllowance } from './allowance.js';
import { instantOf, mapAnswer, quoteIn, quotesAnswer } from './answers.js';
import type { CoinMarketCapClient, CoinMarketCapQuote } from './coinmarketcap-api.js';
import { createCurrencyIds } from './currency-ids.js';
import { CoinMarketCapFault, failureOf, noPrice, PLAN_REFUSAL } from './faults.js';
import { createHistory } from './history.js';
import { createTransport, type TransportDeps } from './transport.js';

/** CoinMarketCap publishes once a minute. */
const QUOTE_LIFE_MS = 60_000;
const MAX_QUOTES = 5_000;
/** How long an endpoint that the plan lacks is left alone. */
const PLAN_PAUSE_MS = 3_600_000;
export interface CoinMarketCapDeps extends Omit<TransportDeps, 'now' | 'monotonic'> {
  /** A quote is used again for a minute, or for this long where it is less. */
  readonly reuseMs: Millis;
  readonly log: Log;
  readonly now?: () => Millis;
  /** The clock of durations and deadlines; default: `now` where that is given. */
  readonly monotonic?: () => Millis;
  readonly random?: () => number;
}

type Remembered = ({ readonly quote: CoinMarketCapQuote } | { readonly error: AppError }) & {
  readonly until: Millis;
};

export const createCoinMarketCapClient = (deps: CoinMarketCapDeps): CoinMarketCapClient => {
  const { log, now = Date.now, monotonic = deps.now ?? steadyNow, random = Math.random } = deps;
  const quoteLife = Math.min(QUOTE_LIFE_MS, deps.reuseMs);
  const transport = createTransport({ ...deps, now, monotonic });
  const allowance = createAllowance({ now: monotonic, random });
  const ids = createCurrencyIds(monotonic);
  const quotes = leastRecent<Remembered>(MAX_QUOTES);
  const idFlights = createSingleFlight<number>();
  const quoteFlights = createSingleFlight<CoinMarketCapQuote>();
  const count = { requests: 0, succeeded: 0, failures: 0, reused: 0 };

  const note = ({ fault }: CoinMarketCapFault): void => {
    count.failures += 1;
    const alreadyPaused = allowance.pausedUntil !== null;
    allowance.failed(fault.pauseMs);
    if (fault.error.code === 'upstream_auth_required' && fault.pauseMs !== 0 && !alreadyPaused)
      log.warn({ cmcCode: fault.code }, `${fault.error.message} It is not asked for an hour.`);
  };

  /** Endpoints that the plan has not got, by path; bounded by the three that are asked. */
  const notInPlan = new Map<string, { readonly refusal: CoinMarketCapFault; readonly until: Millis }>();

  /** A plan changes when a person changes it: until then each request would be refused, and counted. */
  const rememberPlan = (path: string, refusal: CoinMarketCapFault): void => {
    if (refusal.fault.code !== PLAN_REFUSAL) return;
    // Requests that were under way together are refused together: one line for them.
    const known = notInPlan.get(path);
    if (known !== undefined && monotonic() < known.until) return;
    notInPlan.set(path, { refusal, until: monotonic() + PLAN_PAUSE_MS });
    log.warn(
      { path, cmcCode: PLAN_REFUSAL },
      'the CoinMarketCap plan lacks this data; not asked for an hour',
    );
  };

  const get: typeof transport.get = async (call, shape) => {
    const lacking = notInPlan.get(call.path);
    if (lacking !== undefined && monotonic() < lacking.until) throw lacking.refusal;
    allowance.take();
    count.requests += 1;
    try {
      const answer = await transport.get(call, shape);
      allowance.succeeded();
      count.succeeded += 1;
      return answer;
    } catch (thrown) {
      if (thrown instanceof CoinMarketCapFault) {
        note(thrown);
        rememberPlan(call.path, thrown);
      }
      throw thrown;
    }
  };

  const history = createHistory({ get, log, now, monotonic });

  const idOf = (base: string, deadline: Millis): Promise<number> =>
    idFlights.run(base, () =>
      ids.idOf(base, async () => {
        const query = { symbol: base };
        try {
          return (await get({ path: '/v1/cryptocurrency/map', query, deadline }, mapAnswer)).data;
        } catch (thrown) {
          // An unknown code is a bad request to them, and an empty list to us.
          if (thrown instanceof CoinMarketCapFault && thrown.fault.error.code === 'symbol_not_found')
            return [];
          throw thrown;
        }
      }),
    );

  const loadQuote = async (id: number, convert: string, deadline: Millis): Promise<CoinMarketCapQuote> => {
    const call = { path: '/v2/cryptocurrency/quotes/latest', query: { id, convert }, deadline };
    const { data } = await get(call, quotesAnswer);
    const receivedAt = now();
    const raw = data.find((currency) => currency.id === id);
    const quote = raw && quoteIn(raw.quote, convert);
    if (raw === undefined || quote === undefined) throw failureOf('upstream_bad_response');
    // A coin without trades is listed at null or 0: that is no price.
    if (quote.price === null || quote.price <= 0) throw noPrice();
    const timestamp = instantOf(quote.last_updated) ?? instantOf(raw.last_updated) ?? receivedAt;
    return { last: quote.price, timestamp, receivedAt, raw };
  };

  /** Every rejection as an AppError. */
  const settled = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (thrown) {
      throw thrown instanceof CoinMarketCapFault ? thrown.fault.error : AppError.from(thrown);
    }
  };

  const quote = async (id: number, convert: string, deadline: Millis): Promise<CoinMarketCapQuote> => {
    const key = `${id} ${convert}`;
    const known = quotes.get(key);
    if (known !== undefined && monotonic() < known.until) {
      if ('error' in known) throw known.error;
      count.reused += 1;
      return known.quote;
    }
    return quoteFlights.run(key, async () => {
      try {
        const loaded = await loadQuote(id, convert, deadline);
        quotes.set(key, { quote: loaded, until: monotonic() + quoteLife });
        return loaded;
      } catch (thrown) {
        // A currency that it cannot convert to costs a request once a minute at most.
        if (thrown instanceof CoinMarketCapFault && thrown.fault.error.code === 'symbol_not_found')
          quotes.set(key, { error: thrown.fault.error, until: monotonic() + QUOTE_LIFE_MS });
        throw thrown;
      }
    });
  };

  return {
    quote: ({ base, convert }, { deadline }) =>
      settled(async () => quote(await idOf(base, deadline), convert, deadline)),
    offersCandles: history.offers,
    candles: (request, { deadline }) =>
      settled(async () => history.candles(request, await idOf(request.base, deadline), deadline)),
    stats: () => {
      const { pausedUntil } = allowance;
      const byWallClock = pausedUntil === null ? null : pausedUntil - monotonic() + now();
      return { ...count, pausedUntil: byWallClock, historical: history.isAllowed() };
    },
    close: () => transport.close(),
  };
};
