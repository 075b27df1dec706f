/** The tool `get_candle_coverage`: which stored history is complete. It makes no upstream call. */
import { coverageBodyOf } from '../ledger/coverage-body.js';
import { noStore } from '../ledger/store-status.js';
import { venueSource } from '../market-data/market-data-api.js';
import type { CoverageBody } from '../schemas/ledger.js';
import { provenanceOf, type McpDependencies } from './provenance.js';
import { coverageText } from './answer-text.js';
import { defineTool, type Tool } from './tool.js';
import { candleCoverageOutput, getCandleCoverageInput } from './tool-schemas.js';

const MAX_RANGES = 200;

/** The first ranges, and `next_from` where more follow. */
const cutRanges = (body: CoverageBody): CoverageBody & { readonly next_from?: number } => {
  const next = body.ranges[MAX_RANGES];
  return next === undefined
    ? body
    : { ...body, ranges: body.ranges.slice(0, MAX_RANGES), next_from: next.from };
};

export const candleCoverage = (deps: McpDependencies): Tool =>
  defineTool({
    name: 'get_candle_coverage',
    title: 'Get candle coverage',
    description:
      'Which ranges of a candle history this server has stored, and which have holes: known, empty, unavailable, suspect, unknown or pending. Asks no exchange. Use it before get_ohlcv over a long range.',
    input: getCandleCoverageInput,
    output: candleCoverageOutput,
    openWorld: false,
    async run({ exchange: asked, symbol, interval, from, to }, { limits }) {
      const { marketData, ledger, sandbox, now } = deps;
      if (ledger === null) throw noStore();
      const { name, exchange } = marketData.resolveStoredExchange(asked);
      limits?.requireExchange(exchange);
      const coverage = await ledger.coverage({ exchange, symbol, interval }, { from, to });
      const body = cutRanges(coverageBodyOf(name, interval, coverage));
      limits?.answered(null);
      const receivedAt = now();
      const source = venueSource(exchange, 'store', sandbox);
      return {
        structured: { ...body, ...provenanceOf({ source, receivedAt }, deps) },
        text: coverageText(body),
        freshUntil: receivedAt,
      };
    },
  });
