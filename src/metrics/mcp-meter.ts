/** Counts the calls of MCP clients by tool and outcome. */
import type { Registry, Sample } from './families.js';

export interface McpMeter {
  /** `tool`: a name of ours; `outcome`: `ok`, or the code of the error. */
  record(tool: string, outcome: string): void;
  register(registry: Registry): void;
}

export const createMcpMeter = (): McpMeter => {
  // Bounded by our tools and resources, and our codes.
  const counts = new Map<string, Map<string, number>>();
  const samples = function* (): Generator<Sample> {
    for (const [tool, outcomes] of counts)
      for (const [outcome, count] of outcomes) yield [count, { tool, outcome }];
  };
  return {
    record(tool, outcome) {
      const outcomes = counts.get(tool) ?? new Map<string, number>();
      counts.set(tool, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1));
    },
    register(registry) {
      registry.addCounter({
        name: 'mcp_calls_total',
        help: 'Calls of MCP tools, and reads of resources under the name of their tool, by outcome: ok, or the error code.',
        labels: ['tool', 'outcome'],
        samples,
      });
    },
  };
};
