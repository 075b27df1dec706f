/** The live streams: events, the state of the feed, and what was lost, each told as what it is. */
import {
  GraphQLFloat,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
  GraphQLUnionType,
  type GraphQLFieldConfig,
} from 'graphql';
import type { SharedEvent } from '../../streams/hub-api.js';
import { ohlcvEvent, orderBookEvent, statusEvent, tickerEvent, tradesEvent } from '../../schemas/stream.js';
import { lostEvent } from '../../schemas/stream-protocol.js';
import type { TypesFromZod } from './from-zod.js';

/** `event_type` of an event to the name of its type; heartbeats and replies are no part of a subscription. */
export const EVENT_TYPES: Readonly<Partial<Record<SharedEvent['type'], string>>> = {
  ticker: 'TickerEvent',
  trades: 'TradesEvent',
  orderbook: 'OrderBookEvent',
  ohlcv: 'OhlcvEvent',
  status: 'StreamStatus',
  lost: 'Lost',
};

const exchange = { type: new GraphQLNonNull(GraphQLString) };
const symbol = exchange;

export const subscriptionType = (types: TypesFromZod): GraphQLObjectType => {
  // No subscription of GraphQL goes on where another one ended.
  const without = ['event_type', 'id', 'resumed'];
  const status = types.object({ name: 'StreamStatus', schema: statusEvent, without });
  const lost = types.object({ name: 'Lost', schema: lostEvent, without });
  const union = (name: string, event: GraphQLObjectType): GraphQLUnionType =>
    new GraphQLUnionType({
      name,
      types: [event, status, lost],
      resolveType: (value: unknown) =>
        EVENT_TYPES[(value as { readonly event_type: SharedEvent['type'] }).event_type],
    });
  const field = (
    name: string,
    event: GraphQLObjectType,
    more: Omit<GraphQLFieldConfig<unknown, unknown>, 'type'>,
  ): GraphQLFieldConfig<unknown, unknown> => ({
    ...more,
    type: union(name, event),
    args: { exchange, symbol, ...more.args },
    // The root value of an execution is the event itself.
    resolve: (source) => source,
  });
  return new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      ticker: field('TickerUpdate', types.object({ name: 'TickerEvent', schema: tickerEvent, without }), {
        description: 'The latest ticker, then one event whenever `last` has moved by the threshold',
        args: {
          threshold: { type: GraphQLFloat, description: 'Fraction that `last` must move; 0: every tick' },
        },
      }),
      trades: field('TradesUpdate', types.object({ name: 'TradesEvent', schema: tradesEvent, without }), {
        description: 'The latest trades, then each new one exactly once',
      }),
      orderBook: field(
        'OrderBookUpdate',
        types.object({ name: 'OrderBookEvent', schema: orderBookEvent, without }),
        { description: 'The top of the book, complete with every event' },
      ),
      ohlcv: field('OhlcvUpdate', types.object({ name: 'OhlcvEvent', schema: ohlcvEvent, without }), {
        description: 'The latest candles, then those that are new or changed',
        args: { interval: { type: GraphQLString, description: "The exchange's own; default 1m" } },
      }),
    },
  });
};
