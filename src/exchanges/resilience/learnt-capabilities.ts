/**
 * Capabilities as they turn out to be. CCXT's tables say what a venue has, not what it gives without a key: a kind of data
 * (or a feed) that it refuses for want of one is reported as missing, until it once gives it after all. Where it has been given
 * before, a refusal is about one symbol.
 */
import { AppError } from '../../errors.js';
import type { ExchangeId } from '../../schemas/common.js';
import type { Channel } from '../../schemas/stream.js';
import type { Capabilities, MarketKind } from '../../schemas/market.js';
import type { ExchangeClient, ExchangeDescription, StreamTopic, WatchSink } from '../exchange-client.js';

/** What is known of one venue. */
class Learnt {
  readonly #given = new Set<string>();
  readonly #refused = new Set<string>();
  #description: ExchangeDescription | undefined;

  /** The same object until something else is known. */
  async description(ask: () => Promise<ExchangeDescription>): Promise<ExchangeDescription> {
    this.#description ??= this.#corrected(await ask());
    return this.#description;
  }

  gives(what: string): void {
    if (this.#given.has(what)) return;
    this.#given.add(what);
    if (this.#refused.delete(what)) this.#description = undefined;
  }

  fails(what: string, { code }: AppError): void {
    if (code !== 'upstream_auth_required' || this.#given.has(what) || this.#refused.has(what)) return;
    this.#refused.add(what);
    this.#description = undefined;
  }

  #corrected(described: ExchangeDescription): ExchangeDescription {
    if (this.#refused.size === 0) return described;
    const has = (kind: MarketKind): boolean =>
      described.capabilities[kind] && !this.#refused.has(ofRest(kind));
    const watchable = described.watchable.filter((channel) => !this.#refused.has(ofFeed(channel)));
    const [ticker, orderbook] = [has('ticker'), has('orderbook')];
    const stream: Capabilities['stream'] = watchable.includes('ticker')
      ? 'websocket'
      : ticker
        ? 'polling'
        : null;
    const watchesBooks = watchable.includes('orderbook');
    return {
      ...described,
      capabilities: { ticker, ohlcv: has('ohlcv'), orderbook, trades: has('trades'), stream },
      watchable,
      bookIntegrity: watchesBooks ? described.bookIntegrity : orderbook ? 'snapshot' : null,
    };
  }
}

const ofRest = (kind: MarketKind | 'tickers'): string => `rest ${kind}`;
const ofFeed = (channel: Channel): string => `feed ${channel}`;

export const withLearntCapabilities = (client: ExchangeClient): ExchangeClient => {
  // Bounded by the enabled exchanges, of which alone callers' names are resolved.
  const venues = new Map<ExchangeId, Learnt>();
  const learntOf = (exchange: ExchangeId): Learnt => {
    const known = venues.get(exchange) ?? new Learnt();
    venues.set(exchange, known);
    return known;
  };

  const watched = ({ exchange, channel }: StreamTopic, sink: WatchSink): WatchSink => {
    const what = ofFeed(channel);
    return {
      onSubscribed: (socket) => sink.onSubscribed?.(socket),
      onItem: (item) => {
        learntOf(exchange).gives(what);
        sink.onItem(item);
      },
      onEnd: (error) => {
        if (error !== null) learntOf(exchange).fails(what, error);
        sink.onEnd(error);
      },
    };
  };

  return {
    describe: (exchange) => learntOf(exchange).description(() => client.describe(exchange)),
    markets: (exchange, options) => client.markets(exchange, options),
    fetch: async (request, options) => {
      const what = ofRest(request.kind);
      try {
        const answer = await client.fetch(request, options);
        learntOf(request.exchange).gives(what);
        return answer;
      } catch (thrown) {
        if (thrown instanceof AppError) learntOf(request.exchange).fails(what, thrown);
        throw thrown;
      }
    },
    watch: (topic, sink) => client.watch(topic, watched(topic, sink)),
    health: () => client.health(),
    close: () => client.close(),
  };
};
