/** The schema: REST's answers with `meta` beside them, and the live streams. */
import {
  GraphQLBoolean,
  GraphQLFloat,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  type GraphQLFieldConfig,
  type GraphQLFieldConfigArgumentMap,
} from 'graphql';
import { exchangeEntry, marketsPage, ohlcv, orderBook, ticker, trades } from '../../schemas/market.js';
import { coverageAnswer } from '../../schemas/ledger.js';
import { serverStatus } from '../../schemas/status.js';
import { AppError } from '../../errors.js';
import { PROVENANCE, type OperationContext } from '../operation-context.js';
import type { Answer, Arguments, Sources } from '../sources.js';
import { costs } from './costs.js';
import { TypesFromZod } from './from-zod.js';
import { Timestamp } from './scalars.js';
import { subscriptionType } from './subscription-type.js';

type QueryField = GraphQLFieldConfig<unknown, OperationContext, Arguments>;

const text = (description: string) => ({ type: new GraphQLNonNull(GraphQLString), description });
const exchange = text('Exchange id as CCXT has it, any case; or an enabled alias');
const symbol = text('Unified symbol, as `markets` lists it');
const limit = (description: string) => ({ type: GraphQLInt, description });
const interval = { type: GraphQLString, description: "The exchange's own; default 1m" };
const instant = (description: string) => ({ type: Timestamp, description });

/** Arguments of a market's fields, beside exchange and symbol; those of REST. */
const OF_TICKER: GraphQLFieldConfigArgumentMap = {
  convert: {
    type: GraphQLString,
    description: 'Currency of a CoinMarketCap quote; default: the quote currency',
  },
};
const OF_OHLCV: GraphQLFieldConfigArgumentMap = {
  interval,
  since: instant('First candle wanted; default: the latest before `until`'),
  until: instant('End of the range, itself not in it; default: now'),
  limit: limit('1 to 2000, default 500'),
};
const OF_BOOK: GraphQLFieldConfigArgumentMap = { limit: limit('Levels a side, 1 to 1000, default 50') };
const OF_TRADES: GraphQLFieldConfigArgumentMap = { limit: limit('1 to 1000, default 100') };

const metaType = (sources: Sources) => {
  const provenance = (source: unknown) => (source as Answer)[PROVENANCE];
  return new GraphQLObjectType<unknown, OperationContext>({
    name: 'Meta',
    description: 'Where an answer comes from and how old it is',
    fields: {
      source: {
        type: new GraphQLNonNull(GraphQLString),
        description: 'CCXT id of the exchange, `coinmarketcap`, or `sandbox`',
        resolve: (source) => provenance(source).source,
      },
      cache: {
        type: new GraphQLNonNull(GraphQLString),
        description: 'HIT, MISS, STALE, LIVE or STORE, as X-Cache says it',
        resolve(source, _args, context) {
          context.tellsTheMoment = true;
          return provenance(source).cache;
        },
      },
      receivedAt: {
        type: new GraphQLNonNull(Timestamp),
        resolve: (source) => Math.round(provenance(source).receivedAt),
      },
      ageMs: {
        type: new GraphQLNonNull(GraphQLFloat),
        resolve(source, _args, context) {
          context.tellsTheMoment = true;
          return Math.max(0, Math.round(sources.now() - provenance(source).receivedAt));
        },
      },
      freshUntil: {
        type: new GraphQLNonNull(Timestamp),
        description: 'In the past where the answer is stale',
        resolve: (source) => Math.round(provenance(source).freshUntil),
      },
      sandbox: {
        type: new GraphQLNonNull(GraphQLBoolean),
        description: 'The markets are simulated',
        resolve: () => sources.sandbox,
      },
    },
  });
};

const marketInput = new GraphQLInputObjectType({
  name: 'MarketInput',
  fields: { exchange, symbol },
});

/** An item that fails is an error in its place, which graphql-js takes for that item alone. */
const orError = <T>(make: () => T): T | AppError => {
  try {
    return make();
  } catch (thrown) {
    return AppError.from(thrown);
  }
};

export const buildSchema = (sources: Sources): GraphQLSchema => {
  const types = new TypesFromZod();
  const more = {
    meta: { type: new GraphQLNonNull(metaType(sources)), resolve: (source: unknown) => source },
  };
  const tickerType = types.object({ name: 'Ticker', schema: ticker, more });
  const ohlcvType = types.object({ name: 'Ohlcv', schema: ohlcv, more });
  const bookType = types.object({ name: 'OrderBook', schema: orderBook, more });
  const tradesType = types.object({ name: 'Trades', schema: trades, more });

  const ofMarket: Readonly<Record<string, QueryField>> = {
    ticker: {
      type: tickerType,
      args: OF_TICKER,
      description: 'Best bid and ask and the last price',
      extensions: { cost: costs.ticker },
      resolve: (source, args, context) => sources.ticker({ ...(source as object), ...args }, context),
    },
    ohlcv: {
      type: ohlcvType,
      args: OF_OHLCV,
      description: 'Candles, oldest first',
      extensions: { cost: costs.ohlcv },
      resolve: (source, args, context) => sources.ohlcv({ ...(source as object), ...args }, context),
    },
    orderBook: {
      type: bookType,
      args: OF_BOOK,
      description: 'Best prices first',
      extensions: { cost: costs.orderBook },
      resolve: (source, args, context) => sources.orderBook({ ...(source as object), ...args }, context),
    },
    trades: {
      type: tradesType,
      args: OF_TRADES,
      description: 'The latest, oldest first',
      extensions: { cost: costs.trades },
      resolve: (source, args, context) => sources.trades({ ...(source as object), ...args }, context),
    },
  };
  const marketView = new GraphQLObjectType({
    name: 'MarketView',
    description: 'Everything that can be asked of one market',
    fields: { exchange, symbol, ...ofMarket },
  });
  const withMarket = Object.fromEntries(
    Object.entries(ofMarket).map(([name, field]) => [
      name,
      { ...field, args: { exchange, symbol, ...field.args } },
    ]),
  );

  const query = new GraphQLObjectType<unknown, OperationContext>({
    name: 'Query',
    fields: {
      exchanges: {
        type: new GraphQLList(new GraphQLNonNull(types.object({ name: 'Exchange', schema: exchangeEntry }))),
        description: 'The enabled exchanges and what each can be asked for',
        resolve: (_source, _args, context) => sources.exchanges(context),
      },
      markets: {
        type: types.object({ name: 'Markets', schema: marketsPage, more }),
        description: 'Markets of an exchange, sorted by symbol, in pages',
        args: {
          exchange,
          base: { type: GraphQLString },
          quote: { type: GraphQLString },
          search: { type: GraphQLString, description: "Part of a symbol or of the exchange's own id" },
          limit: limit('1 to 1000, default 100'),
          cursor: { type: GraphQLString, description: '`nextCursor` of the page before' },
        },
        resolve: (_source, args: Arguments, context) => sources.markets(args, context),
      },
      tickers: {
        type: new GraphQLList(tickerType),
        description: 'In the order asked; null where one failed, with its error',
        args: {
          markets: {
            type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(marketInput))),
            description: 'At most 100',
          },
        },
        extensions: { cost: costs.tickers },
        resolve: (_source, { markets }: { readonly markets: readonly Arguments[] }, context) =>
          markets.map((market) => orError(() => sources.ticker(market, context))),
      },
      ...withMarket,
      market: {
        type: marketView,
        description: 'One market; each of its fields costs what it costs by itself',
        args: { exchange, symbol },
        extensions: { cost: costs.nothing },
        resolve: (_source, args: Arguments) => args,
      },
      coverage: {
        type: types.object({ name: 'Coverage', schema: coverageAnswer, more }),
        description: 'Which ranges of a series of candles are stored; asks no exchange',
        args: { exchange, symbol, interval, from: instant('Begin'), to: instant('End, itself not in it') },
        resolve: (_source, args: Arguments, context) => sources.coverage(args, context),
      },
      status: {
        type: types.object({ name: 'Status', schema: serverStatus, more }),
        description: 'How the server and its exchanges are',
        resolve: (_source, _args, context) => sources.status(context),
      },
    },
  });
  return new GraphQLSchema({ query, subscription: subscriptionType(types) });
};
