/** How fast servers that share a budget notice that one of them, or Redis, does not answer. */
import type { Millis } from '../schemas/common.js';

export interface BudgetTimes {
  /** Redis is asked for each request, and its answer not waited for longer. */
  readonly deadlineMs: Millis;
  /** A command that reaches Redis later is not carried out: longer than `deadlineMs`, and than Redis' clock may be misjudged. */
  readonly lateMs: Millis;
  /** Between two heartbeats. */
  readonly heartbeatMs: Millis;
  /** A server without a heartbeat for so long may send its share without asking: the others withhold that. */
  readonly lapseMs: Millis;
  /** So long after its last heartbeat a server sends without asking: longer than `lapseMs`. */
  readonly aloneAfterMs: Millis;
  /** For so long all servers must have synchronized with an emptied Redis before its count is relied upon. */
  readonly settleMs: Millis;
}

/** The product's own; servers of one egress have the same. */
export const BUDGET_TIMES: BudgetTimes = {
  deadlineMs: 50,
  lateMs: 100,
  heartbeatMs: 60,
  lapseMs: 200,
  aloneAfterMs: 260,
  settleMs: 5_000,
};
