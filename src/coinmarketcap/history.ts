/** Historical candles, hourly and daily, for the plans that have them: a refusal turns them off for an hour. */
import { AppError } from '../errors.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { Millis } from '../schemas/common.js';
import type { Candle } from '../schemas/market.js';
import { parseInterval, periodEnd, type Interval } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import { historyAnswer, instantOf, quoteIn, type History } from './answers.js';
import type { CoinMarketCapCandles, CoinMarketCapClient } from './coinmarketcap-api.js';
import { CoinMarketCapFault, PLAN_REFUSAL, failureOf } from './faults.js';
import type { CoinMarketCapTransport } from './transport.js';

/** Candles asked for beyond the wanted ones, as `time_start` is not clear about its own period. */
const SPARE_PERIODS = 2;
const PLAN_PAUSE_MS = 3_600_000;
const PERIODS: ReadonlyMap<string, 'hourly' | 'daily'> = new Map([
  ['1h', 'hourly'],
  ['1d', 'daily'],
]);

/** Whether there are candles of this interval at all. */
export const hasPeriod = (interval: string): boolean => PERIODS.has(interval);

type CandlesRequest = Parameters<CoinMarketCapClient['candles']>[0];

/** Its own code, or a bare 403, for what the plan does not include. */
const isPlanRefusal = (thrown: unknown): thrown is CoinMarketCapFault =>
  thrown instanceof CoinMarketCapFault &&
  (thrown.fault.code === PLAN_REFUSAL ||
    (thrown.fault.code === null && thrown.fault.error.upstream?.status === 403));

/** No price is 0: CoinMarketCap writes it where it has none. */
const priceOf = (price: number | null): number | null => (price !== null && price > 0 ? price : null);

const candlesOf = (
  history: History,
  { convert, length, at }: { convert: string; length: Interval; at: Millis },
): Candle[] =>
  history.quotes
    .flatMap(({ time_open, quote }): Candle[] => {
      const timestamp = instantOf(time_open);
      const bar = quoteIn(quote, convert);
      if (timestamp === undefined || bar === undefined) return [];
      const prices = {
        open: priceOf(bar.open),
        high: priceOf(bar.high),
        low: priceOf(bar.low),
        close: priceOf(bar.close),
      };
      if (Object.values(prices).every((price) => price === null)) return [];
      // Its volume is counted in the quote currency, ours in the base currency: not the same thing, hence not given.
      const closed = at >= periodEnd(length, timestamp);
      return [{ timestamp, ...prices, volume: null, closed }];
    })
    .sort((a, b) => a.timestamp - b.timestamp);

export interface HistoryDeps {
  /** Counted and budgeted. */
  readonly get: CoinMarketCapTransport['get'];
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export const createHistory = ({ get, log, now, monotonic }: HistoryDeps) => {
  const flights = createSingleFlight<{ readonly history: History; readonly receivedAt: Millis }>();
  let refusedUntil: Millis = -Infinity;
  const isAllowed = (): boolean => monotonic() >= refusedUntil;

  const load = async (
    query: Readonly<Record<string, string | number>>,
    id: number,
    deadline: Millis,
  ): Promise<{ history: History; receivedAt: Millis }> => {
    try {
      const { data } = await get(
        { path: '/v2/cryptocurrency/ohlcv/historical', query, deadline },
        historyAnswer,
      );
      const history = data.find((currency) => currency.id === id);
      if (history === undefined) throw failureOf('upstream_bad_response');
      return { history, receivedAt: now() };
    } catch (thrown) {
      if (isPlanRefusal(thrown) && isAllowed()) {
        refusedUntil = monotonic() + PLAN_PAUSE_MS;
        // A refusal in CoinMarketCap's own words has its line already.
        if (thrown.fault.code !== PLAN_REFUSAL)
          log.info({}, 'CoinMarketCap gives no historical candles; they are not asked for within an hour');
      }
      throw thrown;
    }
  };

  return {
    isAllowed,
    offers: (interval: string): boolean => isAllowed() && hasPeriod(interval),
    /** `id`: CoinMarketCap's, of the base currency. */
    async candles(
      { convert, interval, since, limit }: CandlesRequest,
      id: number,
      deadline: Millis,
    ): Promise<CoinMarketCapCandles> {
      const period = PERIODS.get(interval);
      const length = parseInterval(interval);
      if (!isAllowed() || period === undefined || length === undefined)
        throw new AppError('interval_not_supported', 'CoinMarketCap has no candles of this interval.');
      const start = since === undefined ? undefined : Math.max(0, since - SPARE_PERIODS * length.ms);
      const query = {
        id,
        convert,
        time_period: period,
        interval: period,
        count: limit + (start === undefined ? 0 : SPARE_PERIODS + 1),
        ...(start === undefined ? {} : { time_start: new Date(start).toISOString() }),
      };
      const { history, receivedAt } = await flights.run(JSON.stringify(query), () =>
        load(query, id, deadline),
      );
      const all = candlesOf(history, { convert, length, at: receivedAt });
      const candles =
        since === undefined
          ? all.slice(-limit)
          : all.filter(({ timestamp }) => timestamp >= since).slice(0, limit);
      if (candles.length === 0) throw failureOf('upstream_bad_response');
      return { candles, receivedAt };
    },
  };
};
