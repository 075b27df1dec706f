/** The MCP server: the tools and resources of this product, registered with the official SDK. */
import { McpServer } from '@modelcontextprotocol/server';
import type { Log } from '../log/log.js';
import { advertise } from './advertised-schema.js';
import { candleCoverage } from './coverage-tool.js';
import { listExchanges, searchMarkets } from './directory-tools.js';
import { createCallOutcomes } from './call-outcomes.js';
import { createMarketTools } from './market-tools.js';
import { registerMarketResources } from './market-resources.js';
import { toolError } from './mcp-error.js';
import { CLIENT_HEADER, LIMITS_HEADER, type CallLimits } from './tool.js';
import { cacheScopeOf, provenanceText, type McpDependencies } from './provenance.js';

export interface McpServerDependencies extends McpDependencies {
  readonly log: Log;
  /** Called for each tool call and each read of a resource (under its tool's name) with `ok` or the error's code. */
  readonly onCall?: (tool: string, outcome: string) => void;
  /** The limits that LIMITS_HEADER names; undefined: there are none. */
  readonly limitsOf?: (name: string) => CallLimits | undefined;
  /** The product's version, from package.json. */
  readonly version: string;
}

const INSTRUCTIONS = `Public crypto market data, live from the exchanges, read-only. Every answer says where it came from (source) and how old it is (age_ms); cache STALE means that the exchange is failing and this is its last good answer. A candle with closed=false has not ended. null means that the exchange does not say. Never take one exchange's price for another's.`;

/** Most elements that the arguments of one call may have; the tools here have at most six. */
const MAX_INPUT_ELEMENTS = 64;

/** Most `subscriptions/listen` streams. No list changes and no resource is pushed, so none is held open. */
export const MAX_SUBSCRIPTIONS = 0;

/** The lists never change while the process runs: clients may cache them for an hour. */
const LISTS_TTL_MS = 3_600_000;
const cacheHints = (cacheScope: 'public' | 'private') => {
  const lists = { ttlMs: LISTS_TTL_MS, cacheScope };
  return {
    'tools/list': lists,
    'resources/list': lists,
    'resources/templates/list': lists,
    'server/discover': lists,
  };
};

/** What the SDK passes of the request that a server is created for; absent over stdio. */
export interface McpServerContext {
  readonly requestInfo?: Pick<Request, 'headers'> | undefined;
}

/** A function that builds a server: the SDK wants a fresh one for every HTTP request and every stdio connection. */
export const createMcpServerFactory = (
  deps: McpServerDependencies,
): ((context?: McpServerContext) => McpServer) => {
  const market = createMarketTools(deps);
  const hints = cacheHints(cacheScopeOf(deps));
  const tools = [
    listExchanges(deps),
    searchMarkets(deps),
    market.ticker,
    market.ohlcv,
    market.orderbook,
    market.trades,
    candleCoverage(deps),
  ].map((tool) => ({
    ...tool,
    inputSchema: advertise(tool.input, 'input'),
    outputSchema: advertise(tool.output, 'output'),
  }));

  return (context = {}) => {
    const headers = context.requestInfo?.headers;
    const outcomes = createCallOutcomes(deps, headers?.get('x-request-id'));
    const client = headers?.get(CLIENT_HEADER) ?? undefined;
    const limits = deps.limitsOf?.(headers?.get(LIMITS_HEADER) ?? '');
    const server = new McpServer(
      { name: 'mcp-crypto-data-server', title: 'Crypto market data', version: deps.version },
      {
        instructions: INSTRUCTIONS,
        maxToolInputElements: MAX_INPUT_ELEMENTS,
        cacheHints: hints,
        capabilities: { tools: { listChanged: false }, resources: { listChanged: false } },
      },
    );
    for (const { name, title, description, inputSchema, outputSchema, openWorld, run } of tools) {
      const annotations = {
        title,
        readOnlyHint: true,
        destructiveHint: false,
        idempotentHint: true,
        openWorldHint: openWorld,
      };
      server.registerTool(
        name,
        { title, description, inputSchema, outputSchema, annotations },
        async (args, { mcpReq }) => {
          try {
            const { structured, text } = await run(args, { signal: mcpReq.signal, client, limits });
            outcomes.done(name);
            return {
              content: [{ type: 'text', text: `${text}\n${provenanceText(structured)}` }],
              structuredContent: structured,
            };
          } catch (thrown) {
            const { error, requestId } = outcomes.failed(name, thrown);
            return toolError(error, requestId);
          }
        },
      );
    }
    registerMarketResources(server, { tools: market, deps, outcomes, client, limits });
    return server;
  };
};
