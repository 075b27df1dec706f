/** What is known of a venue on this side of the port. Pure. */
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { coolDownError } from '../rate-limit/cool-down.js';
import type { GateState } from '../rate-limit/upstream-gate.js';
import type { ExchangeHealth } from '../exchange-client.js';

interface Mirrored {
  readonly exchange: ExchangeId;
  /** undefined: this worker has not reported yet, so it has loaded nothing. */
  readonly reported: ExchangeHealth | undefined;
  /** Outlives its worker. */
  readonly gate: GateState | undefined;
  readonly budget: { readonly requests: number; readonly windowMs: Millis };
  readonly worker: ExchangeHealth['worker'];
  readonly workerSince: Millis;
  readonly workerRestarts: number;
  /** By the wall clock, as are the times of what was reported. */
  readonly now: Millis;
  /** By the gate's clock. */
  readonly monotonic: Millis;
}

export const mirroredHealth = ({
  exchange,
  reported,
  gate,
  budget,
  worker,
  workerSince,
  workerRestarts,
  now,
  monotonic,
}: Mirrored): ExchangeHealth => {
  const ofGate = gate?.coolDownUntil ?? null;
  const coolDownUntil = Math.max(
    ofGate === null ? 0 : Math.round(ofGate - monotonic + now),
    reported?.coolDownUntil ?? 0,
  );
  const cooling = coolDownUntil > now;
  return {
    exchange,
    markets: reported?.markets ?? 'not_loaded',
    marketsLoadedAt: reported?.marketsLoadedAt ?? null,
    coolDownUntil: cooling ? coolDownUntil : null,
    circuit: 'closed',
    budget: reported?.budget ??
      gate?.budget ?? { limit: budget.requests, remaining: budget.requests, windowMs: budget.windowMs },
    worker,
    workerRestarts,
    lastError: reported?.lastError ?? (cooling && gate !== undefined ? coolDownError(gate) : null),
    since: Math.max(reported?.since ?? 0, workerSince),
  };
};
