/** Logs one outage once: a warning when it begins and a line when it is over, also when it flickers. */
import type { Millis } from '../schemas/common.js';
import type { Log } from './log.js';

/** An outage that returns sooner than this after its last warning counts as the same outage. */
const QUIET_MS = 60_000;

export interface Outage {
  begin(details: object): void;
  /** `details` are added to the line of recovery. */
  end(details?: object): void;
  readonly active: boolean;
  /** When `active` last changed. */
  readonly since: Millis;
}

export const createOutage = ({
  log,
  now,
  warning,
  recovery,
}: {
  readonly log: Log;
  readonly now: () => Millis;
  readonly warning: string;
  readonly recovery: string;
}): Outage => {
  let active = false;
  let warned = false;
  let warnedAt = -Infinity;
  let since = now();
  return {
    begin(details) {
      if (active) return;
      active = true;
      since = now();
      warned = now() - warnedAt >= QUIET_MS;
      if (!warned) return;
      warnedAt = now();
      log.warn(details, warning);
    },
    end(details = {}) {
      if (!active) return;
      active = false;
      since = now();
      if (warned) log.info(details, recovery);
    },
    get active() {
      return active;
    },
    get since() {
      return since;
    },
  };
};
