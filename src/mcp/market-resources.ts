/** Resources `market://{exchange}/{symbol}/<kind>`: the tools' answers with their defaults, under an address. */
import {
  ResourceTemplate,
  type McpServer,
  type ReadResourceResult,
  type ServerContext,
  type Variables,
} from '@modelcontextprotocol/server';
import { AppError } from '../errors.js';
import { MAX_SYMBOL_LENGTH } from '../schemas/common.js';
import { MARKET_KINDS, type MarketKind } from '../schemas/market.js';
import type { CallOutcomes } from './call-outcomes.js';
import { listKnownMarkets } from './known-markets.js';
import { resourceError } from './mcp-error.js';
import { cacheScopeOf, type McpDependencies } from './provenance.js';
import type { CallLimits, Tool } from './tool.js';

/** Suggestions for a half-typed variable at most; the protocol allows no more than 100. */
const MAX_SUGGESTIONS = 100;

const CONTENTS: Record<MarketKind, string> = {
  ticker: 'Bid, ask and last price',
  ohlcv: 'The latest 100 candles of one minute',
  orderbook: 'The best 50 bids and asks',
  trades: 'The latest 100 trades',
};

/** A variable as the URI spells it. Throws `invalid_request` for a broken escape. */
const decoded = (variable: string | string[] | undefined): string => {
  const text = String(variable);
  try {
    return decodeURIComponent(text);
  } catch {
    throw new AppError('invalid_request', 'The address has a percent sign that begins no character.');
  }
};

/** Names for a half-typed exchange or symbol. What cannot be listed now is not suggested: a suggestion is no answer. */
const completions = ({ marketData }: McpDependencies) => ({
  exchange: async (typed: string): Promise<string[]> => {
    const entries = await marketData.exchanges().catch(() => []);
    return entries.map(({ id }) => id).filter((id) => id.startsWith(typed.toLowerCase()));
  },
  symbol: async (typed: string, context?: { arguments?: Record<string, string> }): Promise<string[]> => {
    const exchange = context?.arguments?.['exchange'];
    if (exchange === undefined) return [];
    const find = async (search: string): Promise<string[]> => {
      const filter = { exchange, search: search === '' ? undefined : search, limit: MAX_SUGGESTIONS };
      const found = await marketData.markets(filter).catch(() => undefined);
      return (found?.page.markets ?? []).map(({ symbol }) => encodeURIComponent(symbol));
    };
    let text: string;
    try {
      text = decoded(typed).slice(0, MAX_SYMBOL_LENGTH);
    } catch {
      return [];
    }
    const found = await find(text.replace(/[_-]/, '/'));
    return found.length > 0 ? found : find(text);
  },
});

export interface MarketResourcesOptions {
  /** By kind: every resource is what the tool of its kind answers. */
  readonly tools: Readonly<Record<MarketKind, Tool>>;
  readonly deps: McpDependencies;
  readonly outcomes: CallOutcomes;
  /** Who asks; undefined over stdio. */
  readonly client: string | undefined;
  readonly limits: CallLimits | undefined;
}

export const registerMarketResources = (
  server: McpServer,
  { tools, deps, outcomes, client, limits }: MarketResourcesOptions,
): void => {
  const readerOf = (kind: MarketKind) => async (uri: URL, variables: Variables, context: ServerContext) => {
    try {
      const args = { exchange: decoded(variables['exchange']), symbol: decoded(variables['symbol']) };
      const { structured, freshUntil } = await tools[kind].run(args, {
        signal: context.mcpReq.signal,
        client,
        limits,
      });
      outcomes.done(tools[kind].name);
      return {
        contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify(structured) }],
        ttlMs: Math.max(0, Math.floor(freshUntil - deps.now())),
        cacheScope: cacheScopeOf(deps),
      } satisfies ReadResourceResult;
    } catch (thrown) {
      const { error, requestId } = outcomes.failed(tools[kind].name, thrown);
      throw resourceError(error, { uri: uri.href, requestId });
    }
  };
  for (const kind of MARKET_KINDS) {
    const { title, name } = tools[kind];
    server.registerResource(
      kind,
      new ResourceTemplate(`market://{exchange}/{symbol}/${kind}`, {
        list: kind === 'ticker' ? () => listKnownMarkets(deps) : undefined,
        complete: completions(deps),
      }),
      {
        title: title.replace(/^Get /, '').replace(/^./, (letter) => letter.toUpperCase()),
        description: `${CONTENTS[kind]} of a symbol on an exchange, written BTC-USDT or BTC%2FUSDT; the same as the tool ${name} with its defaults.`,
        mimeType: 'application/json',
      },
      readerOf(kind),
    );
  }
};
