/**
 * One call to a venue for all processes that ask the same: those who ask meanwhile wait for it, those who ask while its
 * answer is fresh get that.
 */
import { LRUCache } from 'lru-cache';
import { AppError, type ErrorCode } from '../errors.js';
import type { CallOptions, ExchangeClient, MarketAnswer } from '../exchanges/exchange-client.js';
import { createSingleFlight } from '../lib/single-flight.js';
import { freshnessOf, type FreshnessSettings } from '../market-data/freshness.js';
import type { Millis } from '../schemas/common.js';

/** Serving processes have caches of their own: this bridges the moment in which several of them ask. */
const MAX_BYTES = 32 * 1024 * 1024;
/** Of an answer beside its body. */
const ENTRY_BYTES = 1_000;

/** Faults that a later deadline might have spared. */
const OF_DEADLINE: ReadonlySet<ErrorCode> = new Set(['upstream_timeout', 'upstream_budget_exhausted']);

type Start<T> = (options: CallOptions) => Promise<T>;

/**
 * One call for those who ask meanwhile. It has the deadline of the first of them: where that was too short, those who have
 * more time ask again.
 */
const createSharedCalls = <T>(): ((key: string, options: CallOptions, start: Start<T>) => Promise<T>) => {
  const flights = createSingleFlight<T>();
  /** Deadlines of calls that are under way. */
  const deadlines = new Map<string, { readonly deadline: Millis }>();
  return async (key, options, start) => {
    for (;;) {
      const joined = deadlines.get(key);
      const lead = async (signal: AbortSignal): Promise<T> => {
        const own = { deadline: options.deadline };
        deadlines.set(key, own);
        try {
          return await start({ ...options, signal });
        } finally {
          if (deadlines.get(key) === own) deadlines.delete(key);
        }
      };
      try {
        return await flights.run(key, lead, options.signal);
      } catch (thrown) {
        const isOfDeadline = thrown instanceof AppError && OF_DEADLINE.has(thrown.code);
        if (!isOfDeadline || joined === undefined || joined.deadline >= options.deadline) throw thrown;
      }
    }
  };
};

interface Kept {
  readonly answer: MarketAnswer;
  readonly freshUntil: Millis;
}

export interface SharedAnswersOptions {
  readonly ttl: FreshnessSettings;
  /** The wall clock. */
  readonly now: () => Millis;
}

export const withSharedAnswers = (
  client: ExchangeClient,
  { ttl, now }: SharedAnswersOptions,
): ExchangeClient => {
  const answers = createSharedCalls<MarketAnswer>();
  const lists = createSharedCalls<Awaited<ReturnType<ExchangeClient['markets']>>>();
  const kept = new LRUCache<string, Kept>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ answer }) => ENTRY_BYTES + answer.body.byteLength,
  });

  return {
    describe: (exchange) => client.describe(exchange),
    markets: (exchange, options) => lists(exchange, options, (own) => client.markets(exchange, own)),
    async fetch(request, options) {
      // Several tickers and evidence are not what a cache of answers holds.
      const { kind } = request;
      const isKept = options.priority === 'caller' && kind !== 'tickers';
      const key = JSON.stringify(request);
      const known = isKept ? kept.get(key) : undefined;
      if (known !== undefined && now() < known.freshUntil) return known.answer;
      const answer = await answers(`${options.priority} ${key}`, options, (own) =>
        client.fetch(request, own),
      );
      if (isKept) kept.set(key, { answer, freshUntil: freshnessOf(request, answer, ttl).freshUntil });
      return answer;
    },
    watch: (topic, sink) => client.watch(topic, sink),
    health: () => client.health(),
    close: () => client.close(),
  };
};
