/** What the fields of one operation share: the caller, the calls made already, and the sources of the answer. */
import type { Permit } from '../access/permit.js';
import { Slots } from '../lib/slots.js';
import type { Millis } from '../schemas/common.js';
import type { CacheState, MarketQuery, ServedAnswer } from '../market-data/market-data-api.js';
import { MAX_CALLS_AT_ONCE } from './limits.js';

/** Source and age of one answer: what `meta` is made of. */
export interface Provenance {
  /** CCXT id, `coinmarketcap` or `sandbox`. */
  readonly source: string;
  readonly cache: CacheState;
  readonly receivedAt: Millis;
  readonly freshUntil: Millis;
}

/** Answers carry their provenance under this key, beside REST's members. */
export const PROVENANCE = Symbol('provenance');

/** An answer's parts, for those who keep the response. */
export interface UsedAnswer extends Provenance {
  /** As the Data-Source header says it. */
  readonly dataSource: string;
  /** For a ticker: whether a live stream would answer better by now. */
  readonly isLive?: (() => boolean) | undefined;
}

const keyOf = (query: MarketQuery): string => {
  const { kind, exchange, symbol } = query;
  const limit = 'limit' in query ? query.limit : '';
  const range = query.kind === 'ohlcv' ? [query.interval, query.since, query.until] : [query.convert];
  return JSON.stringify([kind, exchange, symbol, limit, ...range]);
};

export class OperationContext {
  readonly client: string | undefined;
  readonly signal: AbortSignal;
  /** What the caller's plan lets it ask for. */
  readonly permit: Permit;
  readonly used: UsedAnswer[] = [];
  /** A field says how old an answer is, or whether it was cached: true of this moment alone. */
  tellsTheMoment = false;
  /** Something of it is not kept anywhere, so the whole response is not. */
  isPrivate = false;
  readonly #slots = new Slots(MAX_CALLS_AT_ONCE);
  readonly #asked = new Map<string, Promise<ServedAnswer>>();

  constructor({ client, signal, permit }: Pick<OperationContext, 'client' | 'signal' | 'permit'>) {
    this.client = client;
    this.signal = signal;
    this.permit = permit;
  }

  /** The same question twice is one call. */
  once(query: MarketQuery, ask: () => Promise<ServedAnswer>): Promise<ServedAnswer> {
    const key = keyOf(query);
    const known = this.#asked.get(key);
    if (known !== undefined) return known;
    const asked = this.limited(ask);
    this.#asked.set(key, asked);
    return asked;
  }

  /** At most so many calls of an operation run at the same time. */
  limited<T>(work: () => Promise<T>): Promise<T> {
    return this.#slots.run(work);
  }
}
