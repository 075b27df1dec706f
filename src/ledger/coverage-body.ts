/** Coverage as the contract's JSON has it, over HTTP and MCP. */
import type { CoverageBody } from '../schemas/ledger.js';
import type { CoverageAnswer } from './coverage-report.js';

/** `exchange`: the name that was asked for. */
export const coverageBodyOf = (
  exchange: string,
  interval: string,
  { symbol, series, ranges }: CoverageAnswer,
): CoverageBody => ({
  exchange,
  symbol,
  interval,
  series:
    series === null
      ? null
      : {
          anchor: series.anchor,
          generation: series.generation,
          first: series.first,
          last: series.last,
          candles: series.candles,
        },
  ranges: ranges.map(({ from, to, state, reason, source, checkedAt }) => ({
    from,
    to,
    state,
    ...(reason === null ? {} : { reason }),
    ...(source === null ? {} : { source }),
    ...(checkedAt === null ? {} : { checked_at: checkedAt }),
  })),
});
