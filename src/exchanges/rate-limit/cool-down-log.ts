/** What operators are told of cool-downs: one line when one begins ("until …"), one when it is over. */
import type { Log } from '../../log/log.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { VenueError } from '../exchange-client.js';
import type { GateState } from './upstream-gate.js';

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
  /** For the stamp that is told. */
  readonly wall: () => Millis;
  /** As the gate has it at this moment. */
  readonly stateOf: (exchange: ExchangeId) => CoolDown;
}

export class CoolDownLog {
  readonly #options: CoolDownLogOptions;
  /** Cool-downs that have been told of; bounded by the enabled exchanges. */
  readonly #told = new Map<ExchangeId, NodeJS.Timeout>();

  constructor(options: CoolDownLogOptions) {
    this.#options = options;
  }

  /** To be called whenever a gate has changed. A cool-down that is extended is the same one. */
  changed(exchange: ExchangeId): void {
    const { log, now, wall, stateOf } = this.#options;
    const { coolDownUntil, coolDownStatus, coolDownReason } = stateOf(exchange);
    if (coolDownUntil === null || this.#told.has(exchange)) return;
    const details = { exchange, status: coolDownStatus ?? undefined, cause: coolDownReason ?? undefined };
    const until = new Date(wall() + coolDownUntil - now()).toISOString();
    log.warn(details, `the exchange limits requests; none is sent until ${until}`);
    this.#await(exchange, now());
  }

  /** A cool-down that another gate has begun, and told of, ends here. */
  resumed(exchange: ExchangeId): void {
    const { coolDownUntil } = this.#options.stateOf(exchange);
    if (coolDownUntil !== null) this.#await(exchange, this.#options.now());
  }

  #await(exchange: ExchangeId, since: Millis): void {
    const { log, now, stateOf } = this.#options;
    const { coolDownUntil } = stateOf(exchange);
    if (coolDownUntil === null) {
      this.#told.delete(exchange);
      const seconds = Math.round((now() - since) / 1000);
      log.warn({ exchange, seconds }, 'the cool-down is over; the exchange is asked again');
      return;
    }
    const timer = setTimeout(() => this.#await(exchange, since), Math.max(1, coolDownUntil - now()));
    timer.unref();
    this.#told.set(exchange, timer);
  }

  close(): void {
    for (const timer of this.#told.values()) clearTimeout(timer);
    this.#told.clear();
  }
}
