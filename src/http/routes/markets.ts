/** Market answers as JSON: tickers, order books, trades, and what can be asked for. Candles: candles.ts. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { ResponseCache } from '../response-cache/response-cache.js';
import { requireJson, sendAnswer, sendJson } from '../answers/json-answer.js';
import { createMarketAnswers } from '../answers/market-answer.js';
import { UPSTREAM_ERRORS } from '../openapi/problem-responses.js';
import type { FinishedJson } from '../answers/representations.js';
import {
  exchangesList,
  marketsPage,
  orderBook,
  ticker,
  trades,
  type ExchangeEntry,
} from '../../schemas/market.js';
import { marketsQuery, orderBookQuery, tickerQuery, tradesQuery } from '../../schemas/query.js';
import { etagOf } from '../../cache/etag.js';
import { ownSource, venueSource } from '../../market-data/market-data-api.js';
import type { MarketData } from '../../market-data/market-data-api.js';

/** How long a page of a venue's markets may be kept: listings change a few times a day. */
const MARKETS_FRESH_MS = 60_000;
/** … and the list of exchanges, which changes with the settings only. */
const EXCHANGES_MAX_AGE_S = 60;

export interface MarketRoutesOptions {
  readonly marketData: MarketData;
  readonly responseCache: ResponseCache;
  readonly sandbox: boolean;
  readonly now: () => number;
}

const common = { tags: ['markets'], 'x-market-answer': true } as const;
const aboutSymbols = [...UPSTREAM_ERRORS, 'symbol_not_found'] as const;

const SCHEMAS = {
  getTicker: {
    ...common,
    operationId: 'getTicker',
    summary: 'Latest ticker',
    description: `Best bid and ask and the last price. While a live stream of the symbol runs, its last tick is served. A
quote of CoinMarketCap in the exchange's place says \`"exchange":"coinmarketcap"\`.`,
    querystring: tickerQuery,
    'x-answer': ticker,
    'x-errors': aboutSymbols,
  },
  getOrderBook: {
    ...common,
    operationId: 'getOrderBook',
    summary: 'Order book',
    description: 'Best prices first, at most `limit` levels a side.',
    querystring: orderBookQuery,
    'x-answer': orderBook,
    'x-errors': aboutSymbols,
  },
  getTrades: {
    ...common,
    operationId: 'getTrades',
    summary: 'Latest trades',
    description: "Oldest first. `side` is the taker's.",
    querystring: tradesQuery,
    'x-answer': trades,
    'x-errors': aboutSymbols,
  },
  listMarkets: {
    ...common,
    operationId: 'listMarkets',
    summary: 'Markets of an exchange',
    description: 'Sorted by symbol, in pages: `next_cursor` leads to the next one.',
    querystring: marketsQuery,
    'x-answer': marketsPage,
    'x-errors': UPSTREAM_ERRORS,
  },
  listExchanges: {
    tags: ['markets'],
    operationId: 'listExchanges',
    summary: 'Enabled exchanges',
    description: 'What each of them can be asked for. Makes no upstream call.',
    'x-answer': exchangesList,
  },
} as const;

/** The list of exchanges as finished bytes, made again only where an entry of it is another one. */
const createExchangesAnswer = () => {
  let last: { readonly of: readonly ExchangeEntry[]; readonly json: FinishedJson } | undefined;
  return (exchanges: readonly ExchangeEntry[]): FinishedJson => {
    const same = last?.of.length === exchanges.length && last.of.every((entry, i) => entry === exchanges[i]);
    if (last !== undefined && same) return last.json;
    const body = Buffer.from(JSON.stringify({ exchanges }));
    last = { of: exchanges, json: { body, etag: etagOf(body) } };
    return last.json;
  };
};

export const marketRoutes: FastifyPluginCallbackZod<MarketRoutesOptions> = (app, options, done) => {
  const { marketData, responseCache, sandbox, now } = options;
  app.addHook('onRequest', requireJson);
  app.addHook('onRequest', responseCache.hook);

  const answer = createMarketAnswers({ marketData, responseCache, now });

  app.get('/v1/markets/ticker', { schema: SCHEMAS.getTicker }, (request, reply) =>
    answer(request, reply, { query: { kind: 'ticker', ...request.query } }),
  );
  app.get('/v1/markets/orderbook', { schema: SCHEMAS.getOrderBook }, (request, reply) =>
    answer(request, reply, { query: { kind: 'orderbook', ...request.query } }),
  );
  app.get('/v1/markets/trades', { schema: SCHEMAS.getTrades }, (request, reply) =>
    answer(request, reply, { query: { kind: 'trades', ...request.query } }),
  );

  app.get('/v1/markets', { schema: SCHEMAS.listMarkets }, async (request, reply) => {
    const { exchange } = marketData.resolveExchange(request.query.exchange);
    request.exchangeId = exchange;
    app.permitOf(request).requireExchange(exchange);
    const askedAt = now();
    const { page, loadedAt } = await marketData.markets(request.query, request.signal);
    const at = now();
    const body = Buffer.from(JSON.stringify(page));
    const served = {
      body,
      etag: etagOf(body),
      cache: loadedAt >= askedAt ? ('MISS' as const) : ('HIT' as const),
      receivedAt: loadedAt,
      freshUntil: at + MARKETS_FRESH_MS,
      source: venueSource(exchange, 'rest', sandbox),
    };
    responseCache.remember(request, { answer: served, exchange });
    return sendAnswer(request, reply, { answer: served, at });
  });

  const finishedExchanges = createExchangesAnswer();
  app.get('/v1/exchanges', { schema: SCHEMAS.listExchanges }, async (request, reply) => {
    const exchanges = await marketData.exchanges();
    const whole = exchanges.every(({ capabilities }) => capabilities !== null);
    reply
      .header(
        'cache-control',
        whole
          ? `${app.answersArePrivate ? 'private' : 'public'}, max-age=${EXCHANGES_MAX_AGE_S}`
          : 'no-cache',
      )
      .header('data-source', ownSource(sandbox));
    return sendJson(request, reply, finishedExchanges(exchanges));
  });
  done();
};
