/** The tools `list_exchanges` and `search_markets`. */
import { venueSource } from '../market-data/market-data-api.js';
import { cursorAfter } from '../market-data/market-directory.js';
import type { MarketsPage } from '../schemas/market.js';
import { rowsThatFit } from './answer-size.js';
import { provenanceOf, type McpDependencies } from './provenance.js';
import { exchangesText, marketsText } from './answer-text.js';
import { defineTool, type Tool } from './tool.js';
import {
  listExchangesInput,
  listExchangesOutput,
  searchMarketsInput,
  searchMarketsOutput,
} from './tool-schemas.js';

export const listExchanges = (deps: McpDependencies): Tool =>
  defineTool({
    name: 'list_exchanges',
    title: 'List exchanges',
    description:
      'The exchanges this server can ask, with what each one offers (ticker, ohlcv, orderbook, trades, stream) and its candle intervals. Start here.',
    input: listExchangesInput,
    output: listExchangesOutput,
    openWorld: false,
    async run(_args, { limits }) {
      const exchanges = [...(await deps.marketData.exchanges())];
      limits?.answered(null);
      const receivedAt = deps.now();
      return {
        structured: { exchanges, ...provenanceOf({ source: 'server', receivedAt }, deps) },
        text: exchangesText(exchanges),
        freshUntil: receivedAt,
      };
    },
  });

/** The first `rows` markets of a page, and the cursor of the next page. */
const cutPage = (page: MarketsPage, rows: number): MarketsPage => {
  const last = page.markets[rows - 1];
  if (rows >= page.markets.length || last === undefined) return page;
  return { ...page, markets: page.markets.slice(0, rows), next_cursor: cursorAfter(last.symbol) };
};

export const searchMarkets = (deps: McpDependencies): Tool =>
  defineTool({
    name: 'search_markets',
    title: 'Search markets',
    description:
      'Markets of one exchange, sorted by symbol, narrowed by base, quote or a part of the symbol. Use it to find the exact symbol.',
    input: searchMarketsInput,
    output: searchMarketsOutput,
    openWorld: true,
    async run(filter, { signal, limits }) {
      const { marketData, sandbox } = deps;
      const { exchange } = marketData.resolveExchange(filter.exchange);
      limits?.requireExchange(exchange);
      const { page, loadedAt } = await marketData.markets(filter, signal);
      const cut = (rows: number) => cutPage(page, rows);
      const fitting = cut(rowsThatFit(page.markets.length, cut));
      limits?.answered(null);
      const source = venueSource(exchange, 'rest', sandbox);
      return {
        structured: { ...fitting, ...provenanceOf({ source, receivedAt: loadedAt }, deps) },
        text: marketsText(fitting),
        freshUntil: loadedAt,
      };
    },
  });
