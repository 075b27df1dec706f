/**
 * One call to a venue for all processes that ask the same: those who ask meanwhile wait for it, those who ask while its
 * answer is fresh get that.
 */
import { LRUCache } from 'lru-cache';
import type { ExchangeClient, MarketAnswer } from '../exchanges/exchange-client.js';
import { createSingleFlight } from '../lib/single-flight.js';
import { freshnessOf, type FreshnessSettings } from '../market-data/freshness.js';
import type { Millis } from '../schemas/common.js';

/** Serving processes have caches of their own: this bridges the moment in which several of them ask. */
const MAX_BYTES = 32 * 1024 * 1024;
/** Of an answer beside its body. */
const ENTRY_BYTES = 1_000;

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
  const flights = createSingleFlight<MarketAnswer>();
  const lists = createSingleFlight<Awaited<ReturnType<ExchangeClient['markets']>>>();
  const kept = new LRUCache<string, Kept>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ answer }) => ENTRY_BYTES + answer.body.byteLength,
  });

  return {
    describe: (exchange) => client.describe(exchange),
    markets: (exchange, options) =>
      lists.run(exchange, (signal) => client.markets(exchange, { ...options, signal }), options.signal),
    async fetch(request, options) {
      // Several tickers and evidence are not what a cache of answers holds.
      const { kind } = request;
      const isKept = options.priority === 'caller' && kind !== 'tickers';
      const key = JSON.stringify(request);
      const known = isKept ? kept.get(key) : undefined;
      if (known !== undefined && now() < known.freshUntil) return known.answer;
      const answer = await flights.run(
        `${options.priority} ${key}`,
        (signal) => client.fetch(request, { ...options, signal }),
        options.signal,
      );
      if (isKept) kept.set(key, { answer, freshUntil: freshnessOf(request, answer, ttl).freshUntil });
      return answer;
    },
    watch: (topic, sink) => client.watch(topic, sink),
    health: () => client.health(),
    close: () => client.close(),
  };
};
