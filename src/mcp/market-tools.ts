/** Tools that answer with a market's data: the body of the HTTP contract, read again as an object. */
import type { z } from 'zod';
import type { Millis } from '../schemas/common.js';
import type { MarketKind } from '../schemas/market.js';
import { ohlcv, orderBook, ticker, trades } from '../schemas/market.js';
import type { MarketQuery, ServedAnswer } from '../market-data/market-data-api.js';
import { fits, jsonBytes, rowsThatFit } from './answer-size.js';
import { provenanceOf, type McpDependencies } from './provenance.js';
import { ohlcvText, orderBookText, tickerText, tradesText } from './answer-text.js';
import { defineTool, type Tool, type ToolAnswer, type ToolCall } from './tool.js';
import {
  getOhlcvInput,
  getOrderBookInput,
  getTickerInput,
  getTradesInput,
  ohlcvOutput,
  orderBookOutput,
  tickerOutput,
  tradesOutput,
} from './tool-schemas.js';

const bodyOf = <Body extends z.ZodType>(answer: ServedAnswer, body: Body): z.output<Body> =>
  body.parse(JSON.parse(answer.body.toString()));

/** A longer object of a venue is not repeated in the text. */
const MAX_RAW_TEXT_BYTES = 8_000;

type Candles = z.output<typeof ohlcv> & { readonly next_since?: Millis | undefined };

/** The first `rows` candles, and where the others begin. */
const cutCandles = (body: Candles, rows: number): Candles => {
  const next = body.candles[rows]?.timestamp;
  if (next === undefined) return body;
  const gaps = body.gaps?.filter(({ from }) => from < next) ?? [];
  // Undefined members are not serialised.
  return {
    ...body,
    candles: body.candles.slice(0, rows),
    gaps: gaps.length === 0 ? undefined : gaps,
    next_since: next,
  };
};

const ONE_MARKET = { openWorld: true } as const;

/** One tool per kind of market data; resources are made of the same four. */
export const createMarketTools = (deps: McpDependencies): Readonly<Record<MarketKind, Tool>> => {
  const ask = async (query: MarketQuery, { client, signal, limits }: ToolCall): Promise<ServedAnswer> => {
    const { marketData } = deps;
    limits?.requireExchange(
      query.kind === 'ohlcv'
        ? marketData.resolveStoredExchange(query.exchange).exchange
        : marketData.resolveExchange(query.exchange).exchange,
    );
    const answer = await marketData.get({ ...query, client, mayBackfill: limits?.mayBackfill }, signal);
    limits?.answered(query.kind === 'ohlcv' ? query.limit : null);
    return answer;
  };
  const answered = (
    answer: ServedAnswer,
    data: Readonly<Record<string, unknown>>,
    text: string,
  ): ToolAnswer => ({
    structured: { ...data, ...provenanceOf(answer, deps) },
    text,
    freshUntil: answer.freshUntil,
  });

  return {
    ticker: defineTool({
      ...ONE_MARKET,
      name: 'get_ticker',
      title: 'Get ticker',
      description:
        'Best bid, best ask and last price of one symbol on one exchange, in quote currency. If the exchange fails, a CoinMarketCap quote may stand in, which then names itself.',
      input: getTickerInput,
      output: tickerOutput,
      async run({ raw: rawWanted, ...query }, call) {
        const answer = await ask({ kind: 'ticker', ...query }, call);
        const { raw, ...rest } = bodyOf(answer, ticker);
        const text = tickerText(rest);
        if (!rawWanted) return answered(answer, rest, text);
        if (!fits(raw)) return answered(answer, rest, `${text}\nraw is longer than an answer may be.`);
        const isShort = jsonBytes(raw) <= MAX_RAW_TEXT_BYTES;
        const shown = isShort ? JSON.stringify(raw) : 'in the structured content';
        return answered(answer, { ...rest, raw }, `${text}\nraw: ${shown}`);
      },
    }),
    ohlcv: defineTool({
      ...ONE_MARKET,
      name: 'get_ohlcv',
      title: 'Get candles',
      description:
        'Candles (open, high, low, close, volume) of one symbol on one exchange, oldest first. closed=false marks a candle whose period has not ended; gaps names what the exchange could not give.',
      input: getOhlcvInput,
      output: ohlcvOutput,
      async run({ limit: asked, ...query }, call) {
        const limit = call.limits?.candles(call.gave('limit') ? asked : undefined, asked) ?? asked;
        const answer = await ask({ kind: 'ohlcv', ...query, limit }, call);
        const body = bodyOf(answer, ohlcv);
        const fitting = cutCandles(
          body,
          rowsThatFit(body.candles.length, (rows) => cutCandles(body, rows)),
        );
        return answered(answer, fitting, ohlcvText(fitting));
      },
    }),
    orderbook: defineTool({
      ...ONE_MARKET,
      name: 'get_orderbook',
      title: 'Get order book',
      description: 'Bids and asks of one symbol on one exchange, best first, with price and amount.',
      input: getOrderBookInput,
      output: orderBookOutput,
      async run(query, call) {
        const answer = await ask({ kind: 'orderbook', ...query }, call);
        const body = bodyOf(answer, orderBook);
        const levels = Math.max(body.bids.length, body.asks.length);
        const cut = (rows: number) => ({
          ...body,
          bids: body.bids.slice(0, rows),
          asks: body.asks.slice(0, rows),
        });
        const fitting = rowsThatFit(levels, cut);
        const note =
          fitting === levels ? '' : `\nMore levels do not fit: the best ${fitting} a side of ${levels}.`;
        return answered(answer, cut(fitting), orderBookText(cut(fitting)) + note);
      },
    }),
    trades: defineTool({
      ...ONE_MARKET,
      name: 'get_trades',
      title: 'Get trades',
      description:
        "The latest public trades of one symbol on one exchange, oldest first; side is the taker's.",
      input: getTradesInput,
      output: tradesOutput,
      async run(query, call) {
        const answer = await ask({ kind: 'trades', ...query }, call);
        const body = bodyOf(answer, trades);
        const all = body.trades.length;
        const cut = (rows: number) => ({ ...body, trades: body.trades.slice(all - rows) });
        const fitting = rowsThatFit(all, cut);
        const note = fitting === all ? '' : `\nMore trades do not fit: the newest ${fitting} of ${all}.`;
        return answered(answer, cut(fitting), tradesText(cut(fitting)) + note);
      },
    }),
  };
};
