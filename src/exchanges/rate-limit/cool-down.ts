/** How long requests to a venue wait: the cool-down after a refusal, and the wait where the venue's own counter is nearly full. */
import type { Log } from '../../log/log.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { VenueError } from '../exchange-client.js';
import { USED_WEIGHTS } from '../venues/used-weights.js';
import type { Lane } from './budget.js';
import { parseRetryAfter } from './retry-after.js';
import type { SharedRestraint } from './shared-budget.js';
import type { GateState, UpstreamOutcome } from './upstream-gate.js';

/** After a 429 (or the same said in a body) that does not say how long. */
const DEFAULT_COOL_DOWN_MS = 5_000;
/** After a 418: Binance bans an address for 2 minutes at first, for 3 days at most. */
const DEFAULT_BAN_MS = 120_000;
/** After a 403 for too many requests: firewalls block an address for minutes (Binance 5, Bybit 10). */
const DEFAULT_BLOCK_MS = 300_000;
/** What a guess grows to at most when a venue keeps refusing. */
const MAX_GUESSED_COOL_DOWN_MS = 600_000;
/** Shortest cool-down: `Retry-After: 0` or a date that has passed still comes with a refusal. */
const MIN_COOL_DOWN_MS = 500;
/** A refusal this long after the end of the last cool-down starts a new count of repetitions. */
const REFUSALS_RESET_AFTER_MS = 300_000;

const FIRST_GUESS: ReadonlyMap<number, Millis> = new Map([
  [403, DEFAULT_BLOCK_MS],
  [418, DEFAULT_BAN_MS],
]);

/** Length of a cool-down: as the venue says, or a guess that doubles with each of the `refusals` before this one. */
const coolDownMs = (refusal: {
  readonly retryAfterMs: Millis | null;
  readonly status: number | null;
  readonly refusals: number;
}): Millis => {
  if (refusal.retryAfterMs !== null) return Math.max(refusal.retryAfterMs, MIN_COOL_DOWN_MS);
  const first = FIRST_GUESS.get(refusal.status ?? 0) ?? DEFAULT_COOL_DOWN_MS;
  return Math.min(first * 2 ** refusal.refusals, MAX_GUESSED_COOL_DOWN_MS);
};

/** Fractions of the limit from which polls, then all requests, wait for the venue's next window. */
const POLLS_WAIT_FROM = 0.7;
const ALL_WAIT_FROM = 0.9;
/** Our clock and the venue's may disagree about where a window starts. */
const CLOCK_MARGIN_MS = 500;

/** Until when requests wait because the venue's own counter is nearly full; null where it is not. */
const waitNearLimit = (
  exchange: ExchangeId,
  headers: Readonly<Record<string, string>>,
  wall: Millis,
): { readonly polls: Millis; readonly callers: Millis | null } | null => {
  const rule = USED_WEIGHTS.get(exchange);
  const used = Number(rule === undefined ? NaN : headers[rule.header]);
  if (rule === undefined || !(used >= rule.limit * POLLS_WAIT_FROM)) return null;
  const next = (Math.floor(wall / rule.windowMs) + 1) * rule.windowMs + CLOCK_MARGIN_MS;
  return { polls: next, callers: used >= rule.limit * ALL_WAIT_FROM ? next : null };
};

type LimitsState = Pick<
  GateState,
  | 'coolDownUntil'
  | 'coolDownSince'
  | 'coolDownStatus'
  | 'coolDownReason'
  | 'refusals'
  | 'latestCoolDownUntil'
  | 'nearLimitUntil'
>;

/** One instant on both clocks. */
export interface At {
  readonly now: Millis;
  /** For the times of day that venues send. */
  readonly wall: Millis;
}

/** What an answer changed. */
export interface Changes {
  readonly coolDown: boolean;
  readonly nearLimit: boolean;
}

export class VenueLimits {
  readonly #exchange: ExchangeId;
  #coolDownUntil: Millis;
  #coolDownSince: Millis;
  #coolDownStatus: number | null;
  #coolDownReason: string | null;
  #refusals: number;
  #nearLimitUntil: { callers: Millis; polls: Millis };

  constructor(exchange: ExchangeId, restored: LimitsState | undefined) {
    this.#exchange = exchange;
    this.#coolDownUntil = restored?.latestCoolDownUntil ?? 0;
    this.#coolDownSince = restored?.coolDownSince ?? 0;
    this.#coolDownStatus = restored?.coolDownStatus ?? null;
    this.#coolDownReason = restored?.coolDownReason ?? null;
    this.#refusals = restored?.refusals ?? 0;
    this.#nearLimitUntil = { callers: 0, polls: 0, ...restored?.nearLimitUntil };
  }

  /** Until when not one request may leave; a time in the past means no cool-down. */
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

  /** Until when requests of this lane wait; a time in the past means no wait. */
  nearLimitUntil({ share }: Lane): Millis {
    return this.#nearLimitUntil[share < 1 ? 'polls' : 'callers'];
  }

  observe({ status, headers, bodyThrottled, retryAfterMs, reason }: UpstreamOutcome, at: At): Changes {
    const { now, wall } = at;
    const nearLimit = waitNearLimit(this.#exchange, headers, wall);
    if (nearLimit !== null) {
      this.#nearLimitUntil.polls = Math.max(this.#nearLimitUntil.polls, nearLimit.polls - wall + now);
      if (nearLimit.callers !== null)
        this.#nearLimitUntil.callers = Math.max(this.#nearLimitUntil.callers, nearLimit.callers - wall + now);
    }
    const refused = status === 418 || status === 429 || bodyThrottled;
    if (refused)
      this.#coolDown({ status, reason, retryAfterMs: retryAfterMs ?? parseRetryAfter(headers, wall), at });
    return { coolDown: refused, nearLimit: nearLimit !== null };
  }

  /** What a venue answered another server. true: a cool-down began or was extended by it. */
  adopt({ coolDownMs, status, reason, refusals, nearLimitMs }: SharedRestraint, { now, wall }: At): boolean {
    this.#nearLimitUntil.callers = Math.max(this.#nearLimitUntil.callers, now + nearLimitMs.callers);
    this.#nearLimitUntil.polls = Math.max(this.#nearLimitUntil.polls, now + nearLimitMs.polls);
    if (coolDownMs <= 0 || now + coolDownMs <= this.#coolDownUntil) return false;
    if (now >= this.#coolDownUntil) this.#coolDownSince = wall;
    this.#refusals = Math.max(this.#refusals, refusals);
    this.#coolDownUntil = now + coolDownMs;
    this.#coolDownStatus = status;
    this.#coolDownReason = reason;
    return true;
  }

  /** For the other servers. */
  restraint(now: Millis): SharedRestraint {
    return {
      coolDownMs: Math.max(0, this.#coolDownUntil - now),
      status: this.#coolDownStatus,
      reason: this.#coolDownReason,
      refusals: this.#refusals,
      nearLimitMs: {
        callers: Math.max(0, this.#nearLimitUntil.callers - now),
        polls: Math.max(0, this.#nearLimitUntil.polls - now),
      },
    };
  }

  state(now: Millis): LimitsState {
    const cooling = now < this.#coolDownUntil;
    return {
      coolDownUntil: cooling ? this.#coolDownUntil : null,
      coolDownSince: cooling ? this.#coolDownSince : null,
      coolDownStatus: cooling ? this.#coolDownStatus : null,
      coolDownReason: cooling ? this.#coolDownReason : null,
      refusals: this.#refusals,
      latestCoolDownUntil: this.#coolDownUntil,
      nearLimitUntil: { ...this.#nearLimitUntil },
    };
  }

  /** Refusals that come in while the venue already cools down were on their way: they count as the same one. */
  #coolDown({
    status,
    reason,
    retryAfterMs,
    at: { now, wall },
  }: {
    readonly status: number | null;
    readonly reason: string | undefined;
    readonly retryAfterMs: Millis | null;
    readonly at: At;
  }): void {
    if (now >= this.#coolDownUntil) {
      const fresh = now - this.#coolDownUntil < REFUSALS_RESET_AFTER_MS;
      this.#refusals = fresh ? this.#refusals + 1 : 1;
      this.#coolDownSince = wall;
    }
    const length = coolDownMs({
      retryAfterMs: retryAfterMs,
      status,
      refusals: this.#refusals - 1,
    });
    if (now + length <= this.#coolDownUntil) return;
    this.#coolDownUntil = now + length;
    this.#coolDownStatus = status;
    this.#coolDownReason = reason ?? null;
  }
}

type CoolDown = Pick<GateState, 'coolDownUntil' | 'coolDownSince' | 'coolDownStatus' | 'coolDownReason'>;

/** A cool-down as the venue's latest fault; null without one. */
export const coolDownError = ({
  coolDownUntil,
  coolDownSince,
  coolDownReason,
}: CoolDown): VenueError | null =>
  coolDownUntil === null
    ? null
    : { code: 'upstream_rate_limited', detail: coolDownReason, at: coolDownSince ?? coolDownUntil };

export interface CoolDownLogOptions {
  readonly log: Log;
  /** The gate's clock. */
  readonly now: () => Millis;
  /** For the stamp in the log line. */
  readonly wall: () => Millis;
  /** As the gate has it at this moment. */
  readonly stateOf: (exchange: ExchangeId) => CoolDown;
}

/** Logs cool-downs: one line when one begins ("until …"), one when it is over. */
export class CoolDownLog {
  readonly #options: CoolDownLogOptions;
  /** Cool-downs that were logged; bounded by the enabled exchanges. */
  readonly #logged = new Map<ExchangeId, NodeJS.Timeout>();

  constructor(options: CoolDownLogOptions) {
    this.#options = options;
  }

  /** To be called whenever a gate has changed. A cool-down that is extended is the same one. */
  changed(exchange: ExchangeId): void {
    const { log, now, wall, stateOf } = this.#options;
    const { coolDownUntil, coolDownStatus, coolDownReason } = stateOf(exchange);
    if (coolDownUntil === null || this.#logged.has(exchange)) return;
    const details = { exchange, status: coolDownStatus ?? undefined, cause: coolDownReason ?? undefined };
    const until = new Date(wall() + coolDownUntil - now()).toISOString();
    log.warn(details, `the exchange limits requests; none is sent until ${until}`);
    this.#await(exchange, now());
  }

  /** A cool-down that another gate has begun, and logged, ends here. */
  resumed(exchange: ExchangeId): void {
    const { coolDownUntil } = this.#options.stateOf(exchange);
    if (coolDownUntil !== null) this.#await(exchange, this.#options.now());
  }

  #await(exchange: ExchangeId, since: Millis): void {
    const { log, now, stateOf } = this.#options;
    const { coolDownUntil } = stateOf(exchange);
    if (coolDownUntil === null) {
      this.#logged.delete(exchange);
      const seconds = Math.round((now() - since) / 1000);
      log.warn({ exchange, seconds }, 'the cool-down is over; the exchange is asked again');
      return;
    }
    const timer = setTimeout(() => this.#await(exchange, since), Math.max(1, coolDownUntil - now()));
    timer.unref();
    this.#logged.set(exchange, timer);
  }

  close(): void {
    for (const timer of this.#logged.values()) clearTimeout(timer);
    this.#logged.clear();
  }
}
