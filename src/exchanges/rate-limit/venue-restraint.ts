/** How long one venue wants to be left alone: its cool-down after a refusal, and the brake before one. */
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { STRIKE_MEMORY_MS, coolDownMs, parseRetryAfter } from './cool-down.js';
import type { GateState, UpstreamOutcome } from './upstream-gate.js';
import { brakeFor } from './used-weight.js';

type RestraintState = Pick<
  GateState,
  | 'coolDownUntil'
  | 'coolDownSince'
  | 'coolDownStatus'
  | 'coolDownReason'
  | 'strikes'
  | 'struckUntil'
  | 'brakeUntil'
>;

/** One instant on both clocks. */
interface At {
  readonly now: Millis;
  /** Venues tell times of day. */
  readonly wall: Millis;
}

/** What an answer changed. */
export interface Heard {
  readonly coolDown: boolean;
  readonly brake: boolean;
}

export class VenueRestraint {
  readonly #exchange: ExchangeId;
  #coolDownUntil: Millis;
  #coolDownSince: Millis;
  #coolDownStatus: number | null;
  #coolDownReason: string | null;
  #strikes: number;
  #brakeUntil: { callers: Millis; polls: Millis };

  constructor(exchange: ExchangeId, restored: RestraintState | undefined) {
    this.#exchange = exchange;
    this.#coolDownUntil = restored?.struckUntil ?? 0;
    this.#coolDownSince = restored?.coolDownSince ?? 0;
    this.#coolDownStatus = restored?.coolDownStatus ?? null;
    this.#coolDownReason = restored?.coolDownReason ?? null;
    this.#strikes = restored?.strikes ?? 0;
    this.#brakeUntil = { callers: 0, polls: 0, ...restored?.brakeUntil };
  }

  /** Until when not one request may leave; in the past where there is none. */
  get coolDownUntil(): Millis {
    return this.#coolDownUntil;
  }

  get coolDownStatus(): number | null {
    return this.#coolDownStatus;
  }

  /** The venue's words that started it, for operators. */
  get coolDownReason(): string | null {
    return this.#coolDownReason;
  }

  /** Until when requests of this class had better wait; in the past where they need not. */
  brakeUntil(poll: boolean): Millis {
    return this.#brakeUntil[poll ? 'polls' : 'callers'];
  }

  hear({ status, headers, bodyThrottled, toldWaitMs, reason }: UpstreamOutcome, at: At): Heard {
    const { now, wall } = at;
    const brake = brakeFor(this.#exchange, headers, wall);
    if (brake !== null) {
      this.#brakeUntil.polls = Math.max(this.#brakeUntil.polls, brake.polls - wall + now);
      if (brake.callers !== null)
        this.#brakeUntil.callers = Math.max(this.#brakeUntil.callers, brake.callers - wall + now);
    }
    const refused = status === 418 || status === 429 || bodyThrottled;
    if (refused)
      this.#coolDown({ status, reason, toldWaitMs: toldWaitMs ?? parseRetryAfter(headers, wall), at });
    return { coolDown: refused, brake: brake !== null };
  }

  state(now: Millis): RestraintState {
    const cooling = now < this.#coolDownUntil;
    return {
      coolDownUntil: cooling ? this.#coolDownUntil : null,
      coolDownSince: cooling ? this.#coolDownSince : null,
      coolDownStatus: cooling ? this.#coolDownStatus : null,
      coolDownReason: cooling ? this.#coolDownReason : null,
      strikes: this.#strikes,
      struckUntil: this.#coolDownUntil,
      brakeUntil: { ...this.#brakeUntil },
    };
  }

  /** Refusals that come in while the venue already cools down were on their way: they count as the same one. */
  #coolDown({
    status,
    reason,
    toldWaitMs,
    at: { now, wall },
  }: {
    readonly status: number | null;
    readonly reason: string | undefined;
    readonly toldWaitMs: Millis | null;
    readonly at: At;
  }): void {
    if (now >= this.#coolDownUntil) {
      const fresh = now - this.#coolDownUntil < STRIKE_MEMORY_MS;
      this.#strikes = fresh ? this.#strikes + 1 : 1;
      this.#coolDownSince = wall;
    }
    const length = coolDownMs({
      retryAfterMs: toldWaitMs,
      status,
      strikes: this.#strikes - 1,
    });
    if (now + length <= this.#coolDownUntil) return;
    this.#coolDownUntil = now + length;
    this.#coolDownStatus = status;
    this.#coolDownReason = reason ?? null;
  }
}
