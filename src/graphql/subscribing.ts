/** From a subscription's document to the hub's events, for one client. */
import {
  getArgumentValues,
  Kind,
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { z } from 'zod';
import { AppError } from '../errors.js';
import type { MarketData } from '../market-data/market-data-api.js';
import type { Millis } from '../schemas/common.js';
import { ohlcvQuery, tickerStreamQuery } from '../schemas/query.js';
import type { Channel } from '../schemas/stream.js';
import type { Connection } from '../streams/clients/connection.js';
import { MAX_HELD_EVENTS } from '../streams/clients/limits.js';
import type { EventSource } from '../streams/clients/outbox.js';
import type { SharedEvent, StreamHub, Subscriber, Subscription } from '../streams/hub-api.js';
import { createSharedEvent } from '../streams/events.js';
import type { Prepared } from './engine.js';
import type { Rendering } from './rendering.js';
import { readArguments } from './sources.js';

const CHANNELS: Readonly<Record<string, { readonly channel: Channel; readonly schema: z.ZodObject }>> = {
  ticker: { channel: 'ticker', schema: tickerStreamQuery },
  trades: { channel: 'trades', schema: tickerStreamQuery.omit({ threshold: true, stats: true }) },
  orderBook: { channel: 'orderbook', schema: tickerStreamQuery.omit({ threshold: true, stats: true }) },
  ohlcv: { channel: 'ohlcv', schema: ohlcvQuery.pick({ exchange: true, symbol: true, interval: true }) },
};

const topicArguments = z.object({
  exchange: z.string(),
  symbol: z.string(),
  interval: z.string().optional(),
  threshold: z.number().optional(),
});

export interface StreamQuestion extends z.output<typeof topicArguments> {
  readonly channel: Channel;
}

const fragmentSet = ({ definitions }: DocumentNode, name: string): SelectionSetNode | undefined => {
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name)
      return definition.selectionSet;
  return undefined;
};

const firstField = ({ selections }: SelectionSetNode, document: DocumentNode): FieldNode | undefined => {
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) return selection;
    const set =
      selection.kind === Kind.INLINE_FRAGMENT
        ? selection.selectionSet
        : fragmentSet(document, selection.name.value);
    const found = set === undefined ? undefined : firstField(set, document);
    if (found !== undefined) return found;
  }
  return undefined;
};

/** What a subscription asks for; validation has seen to it that it has one field. Throws `invalid_request`. */
export const questionOf = (schema: GraphQLSchema, { known, operation, values }: Prepared): StreamQuestion => {
  const node = firstField(operation.selectionSet, known.document);
  const name = node?.name.value ?? '';
  const field = schema.getSubscriptionType()?.getFields()[name];
  const kind = CHANNELS[name];
  if (node === undefined || field === undefined || kind === undefined)
    throw new AppError('invalid_request', 'The subscription asks for nothing.');
  const given = readArguments(kind.schema, getArgumentValues(field, node, values));
  return { channel: kind.channel, ...topicArguments.parse(given) };
};

/** How one transport writes a result. */
export type Envelope = (json: string, event: SharedEvent) => SharedEvent;

const many = z.array(z.unknown()).optional();
const contents = z.object({ trades: many, candles: many, count: z.number().optional() });

/** One subscription of one client: events in, results out to its connection. */
export class OperationReader implements Subscriber, EventSource {
  readonly key: string;
  readonly #connection: Connection;
  readonly #rendering: Rendering;
  readonly #envelope: Envelope;
  readonly #question: StreamQuestion;
  readonly #sandbox: boolean;
  /** null once released. */
  #held: SharedEvent[] | null = [];
  /** The stream's events by the results that were made of them, for as long as those are due. */
  readonly #origins = new WeakMap<SharedEvent, SharedEvent>();

  constructor(options: {
    readonly key: string;
    readonly connection: Connection;
    readonly rendering: Rendering;
    readonly envelope: Envelope;
    readonly question: StreamQuestion;
    readonly sandbox: boolean;
  }) {
    this.key = options.key;
    this.#connection = options.connection;
    this.#rendering = options.rendering;
    this.#envelope = options.envelope;
    this.#question = options.question;
    this.#sandbox = options.sandbox;
  }

  onEvent(event: SharedEvent): void {
    if (this.#held === null) this.#deliver(event);
    // One more than the bound is kept, which tells that some were not.
    else if (this.#held.length <= MAX_HELD_EVENTS) this.#held.push(event);
  }

  /** Throws `overloaded` where more events came in before `release` than are held. */
  checkHeld(): void {
    if (this.#held !== null && this.#held.length > MAX_HELD_EVENTS)
      throw new AppError('overloaded', 'More events came in than could be held back.');
  }

  /** Lets events through, those held back first. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of held) this.#deliver(event);
  }

  /** Nothing more is delivered. */
  stop(): void {
    this.#held = [];
  }

  countLost(event: SharedEvent): number {
    const origin = this.#origins.get(event) ?? event;
    const { trades, candles, count } = contents.parse(JSON.parse(origin.json));
    return (trades ?? candles)?.length ?? count ?? 1;
  }

  lostEvent(count: number, now: Millis): SharedEvent {
    const { channel, exchange, symbol, interval } = this.#question;
    const topic = { channel, exchange, symbol, ...(interval === undefined ? {} : { interval }) };
    const mark = this.#sandbox ? { sandbox: true } : {};
    const json = JSON.stringify({ event_type: 'lost', ...topic, count, timestamp: now, ...mark });
    const event = createSharedEvent({ type: 'lost', json });
    return this.#envelope(this.#rendering.resultOf(event) ?? json, event);
  }

  #deliver(event: SharedEvent): void {
    const json = this.#rendering.resultOf(event);
    if (json === null) return;
    const result = this.#envelope(json, event);
    // Only what may not be replaced is ever counted as lost.
    if (event.conflationKey === null) this.#origins.set(result, event);
    this.#connection.deliver(result, this);
  }
}

export interface StreamServices {
  readonly hub: StreamHub;
  readonly marketData: Pick<MarketData, 'resolveExchange'>;
}

/** Rejects with an AppError before anything was sent. */
export const joinStream = (
  { hub, marketData }: StreamServices,
  question: StreamQuestion,
  {
    client,
    signal,
    reader,
  }: { readonly client: string; readonly signal: AbortSignal; readonly reader: Subscriber },
): Promise<Subscription> => {
  const { channel, symbol, interval, threshold } = question;
  const { name, exchange } = marketData.resolveExchange(question.exchange);
  const topic = { channel, exchange, symbol, ...(interval === undefined ? {} : { interval }) };
  return hub.subscribe({ topic, name, threshold, stats: true, client, signal }, reader);
};
