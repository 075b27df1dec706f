/** The gates of all exchanges behind one interface, each made when its exchange is first asked for. */
import type { ExchangeId } from '../../schemas/common.js';
import { ExchangeGate } from './exchange-gate.js';
import type { UpstreamGate, UpstreamGateOptions } from './upstream-gate.js';

export const createUpstreamGate = ({
  budget,
  now,
  wall = now,
  onChange = () => undefined,
  restored = [],
}: UpstreamGateOptions): UpstreamGate => {
  // Bounded by the enabled exchanges: nobody else is ever asked for.
  const gates = new Map<ExchangeId, ExchangeGate>();
  const gateOf = (exchange: ExchangeId): ExchangeGate => {
    let gate = gates.get(exchange);
    if (gate === undefined) {
      const state = restored.find((candidate) => candidate.exchange === exchange);
      gate = new ExchangeGate({ exchange, budget, now, wall, onChange, restored: state });
      gates.set(exchange, gate);
    }
    return gate;
  };
  return {
    admit: (request) => gateOf(request.exchange).admit(request),
    refusal: (request) => gateOf(request.exchange).refusal(request),
    book: (request) => gateOf(request.exchange).book(request),
    most: (request) => gateOf(request.exchange).most(request),
    report: (exchange, outcome) => gateOf(exchange).report(outcome),
    state: (exchange) => gateOf(exchange).state(),
  };
};
