/** What the fields are resolved from: the same services as REST, their answers parsed once, with source and age beside them. */
import type { Millis } from '../schemas/common.js';
import { NO_STATS } from '../schemas/market.js';
import type { ServerStatus } from '../schemas/status.js';
import type { Ledger } from '../ledger/ledger.js';
import type { AnswersAtHand, MarketData, MarketQuery, ServedAnswer } from '../market-data/market-data-api.js';
import { venueSource } from '../market-data/market-data-api.js';
import { readInput } from '../invalid-input.js';
import { LRUCache } from 'lru-cache';
import { coverageBodyOf } from '../ledger/coverage-body.js';
import { noStore } from '../ledger/store-status.js';
import {
  coverageQuery,
  marketsQuery,
  ohlcvQuery,
  orderBookQuery,
  tickerQuery,
  tradesQuery,
} from '../schemas/query.js';
import { MAX_TICKER_QUERIES } from './limits.js';
import { PROVENANCE, type OperationContext, type Provenance } from './operation-context.js';

export interface SourceDeps {
  readonly marketData: MarketData & Partial<AnswersAtHand>;
  /** null: no candles are kept. */
  readonly ledger: Pick<Ledger, 'coverage'> | null;
  readonly status: () => ServerStatus;
  /** The venues are simulated. */
  readonly sandbox: boolean;
  readonly now: () => Millis;
}

/** How long a page of markets is fresh: as REST says. */
const MARKETS_FRESH_MS = 60_000;

/** Arguments as they come of graphql-js. */
export type Arguments = Readonly<Record<string, unknown>>;
export type Answer = Readonly<Record<string, unknown>> & { readonly [PROVENANCE]: Provenance };

/** The arguments as a URL's query, whose schema validates them: null is left out, numbers are text. */
const asQuery = (args: Arguments): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(args)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]),
  );

export const readArguments = <T extends Parameters<typeof readInput>[0]>(schema: T, args: Arguments) =>
  readInput(schema, asQuery(args), 'arguments');

const bodies = new WeakMap<Buffer, Readonly<Record<string, unknown>>>();

/** The body as an object, made once for all who are served the same bytes. */
const parsed = (body: Buffer): Readonly<Record<string, unknown>> => {
  const known = bodies.get(body);
  if (known !== undefined) return known;
  const value: unknown = JSON.parse(body.toString());
  const made = Object.freeze({ ...(value as object) });
  bodies.set(body, made);
  return made;
};

/** Answers as they were made last of the same bytes: one that is still fresh is the same each time. */
const answers = new WeakMap<Buffer, { readonly of: ServedAnswer; readonly answer: Answer }>();

const isSame = (a: ServedAnswer, b: ServedAnswer): boolean =>
  a.cache === b.cache &&
  a.receivedAt === b.receivedAt &&
  a.freshUntil === b.freshUntil &&
  a.source === b.source &&
  a.stats === b.stats;

const answerOf = (served: ServedAnswer, kind: MarketQuery['kind']): Answer => {
  const last = answers.get(served.body);
  if (last !== undefined && isSame(last.of, served)) return last.answer;
  const { cache, receivedAt, freshUntil } = served;
  const provenance = { source: sourceNameOf(served.source), cache, receivedAt, freshUntil };
  const body = parsed(served.body);
  const answer: Answer =
    kind === 'ticker'
      ? { ...body, stats: served.stats ?? NO_STATS, [PROVENANCE]: provenance }
      : { ...body, [PROVENANCE]: provenance };
  answers.set(served.body, { of: served, answer });
  return answer;
};

/** `binance; via=rest` names binance; a simulated quote is the sandbox's. */
const sourceNameOf = (source: string): string => source.split(';', 1)[0] ?? source;

export class Sources {
  readonly #deps: SourceDeps;
  /** Arguments that were valid before: validation costs more than an answer from the cache. */
  readonly #tickerQueries = new LRUCache<string, MarketQuery>({ max: MAX_TICKER_QUERIES });

  constructor(deps: SourceDeps) {
    this.#deps = deps;
  }

  get sandbox(): boolean {
    return this.#deps.sandbox;
  }

  now(): Millis {
    return this.#deps.now();
  }

  /** What is at hand is no promise: graphql-js then completes the field at once. */
  #market(query: MarketQuery, context: OperationContext): Answer | Promise<Answer> {
    const { marketData } = this.#deps;
    // Of an exchange that is not enabled there may be stored candles.
    const as =
      query.kind === 'ohlcv'
        ? marketData.resolveStoredExchange(query.exchange)
        : marketData.resolveExchange(query.exchange);
    context.permit.requireExchange(as.exchange);
    const { client, permit } = context;
    const asked = { ...query, client, mayBackfill: permit.mayBackfill };
    const use = (served: ServedAnswer): Answer => {
      const answer = answerOf(served, query.kind);
      const isLive = query.kind === 'ticker' ? marketData.livenessOf(query) : undefined;
      context.used.push({ ...answer[PROVENANCE], isLive, dataSource: served.source });
      return answer;
    };
    const held = marketData.atHand?.(query, as);
    return held === undefined
      ? context.once(query, () => marketData.get(asked, context.signal)).then(use)
      : use(held);
  }

  ticker(args: Arguments, context: OperationContext): Answer | Promise<Answer> {
    const { exchange, symbol, convert } = args;
    const key = JSON.stringify([exchange, symbol, convert]);
    const known = this.#tickerQueries.get(key);
    const query = known ?? ({ kind: 'ticker', ...readArguments(tickerQuery, args) } as const);
    if (known === undefined) this.#tickerQueries.set(key, query);
    return this.#market(query, context);
  }

  ohlcv(args: Arguments, context: OperationContext): Answer | Promise<Answer> {
    const query = readArguments(ohlcvQuery, args);
    const asked = typeof args['limit'] === 'number' ? query.limit : undefined;
    const limit = context.permit.candles(asked, query.limit);
    return this.#market({ kind: 'ohlcv', ...query, limit }, context);
  }

  orderBook(args: Arguments, context: OperationContext): Answer | Promise<Answer> {
    return this.#market({ kind: 'orderbook', ...readArguments(orderBookQuery, args) }, context);
  }

  trades(args: Arguments, context: OperationContext): Answer | Promise<Answer> {
    return this.#market({ kind: 'trades', ...readArguments(tradesQuery, args) }, context);
  }

  async exchanges(context: OperationContext): Promise<readonly unknown[]> {
    context.isPrivate = true;
    return this.#deps.marketData.exchanges();
  }

  async markets(args: Arguments, context: OperationContext): Promise<Answer> {
    const { marketData } = this.#deps;
    const query = readArguments(marketsQuery, args);
    const { exchange } = marketData.resolveExchange(query.exchange);
    context.permit.requireExchange(exchange);
    const askedAt = this.now();
    const { page, loadedAt } = await context.limited(() => marketData.markets(query, context.signal));
    const provenance: Provenance = {
      source: this.#ownName(exchange),
      cache: loadedAt >= askedAt ? 'MISS' : 'HIT',
      receivedAt: loadedAt,
      freshUntil: this.now() + MARKETS_FRESH_MS,
    };
    context.used.push({ ...provenance, dataSource: venueSource(exchange, 'rest', this.sandbox) });
    return { ...page, [PROVENANCE]: provenance };
  }

  async coverage(args: Arguments, context: OperationContext): Promise<Answer> {
    const { marketData, ledger } = this.#deps;
    const { exchange: asked, symbol, interval, from, to } = readArguments(coverageQuery, args);
    if (ledger === null) throw noStore();
    const { name, exchange } = marketData.resolveStoredExchange(asked);
    context.permit.requireExchange(exchange);
    const found = await context.limited(() => ledger.coverage({ exchange, symbol, interval }, { from, to }));
    return { ...coverageBodyOf(name, interval, found), [PROVENANCE]: this.#own(exchange, 'STORE', context) };
  }

  status(context: OperationContext): Answer {
    return { ...this.#deps.status(), [PROVENANCE]: this.#own('server', 'LIVE', context) };
  }

  #ownName(exchange: string): string {
    return this.#deps.sandbox ? 'sandbox' : exchange;
  }

  /** Of what is made for this one answer. */
  #own(source: string, cache: 'STORE' | 'LIVE', context: OperationContext): Provenance {
    context.isPrivate = true;
    const at = this.now();
    return { source: this.#ownName(source), cache, receivedAt: at, freshUntil: at };
  }
}
