/**
 * The `health` channel of /ws: how the server and its exchanges are, to all who asked for it. One snapshot is made and
 * written as JSON once for all of them; while nobody asks, nothing runs.
 */
import type { Millis } from '../../schemas/common.js';
import type { ServerStatus } from '../../schemas/status.js';
import { createSharedEvent } from '../events.js';
import type { SharedEvent } from '../hub-api.js';

/** Between two checks for a change: what has changed is sent within this time, or as soon as the spacing allows it. */
const CHECK_INTERVAL: Millis = 250;
/** Between two events. */
const SPACING: Millis = 1000;

export interface HealthFeedOptions {
  /** The body of GET /v1/status as of `at`. */
  readonly status: (at: Millis) => ServerStatus;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface HealthFeed {
  /** Calls `deliver` with a snapshot at once, then on each change. What it returns ends that; idempotent. */
  subscribe(deliver: (event: SharedEvent) => void): () => void;
}

const instant = (at: Millis, age: number | null): number | null => (age === null ? null : at - age);

/**
 * What shows a change. Ages grow by themselves, which every client can compute: the instants behind them are compared.
 * `uptime` is left out for the same reason.
 */
const fingerprint = (status: ServerStatus, at: Millis): string =>
  JSON.stringify({
    ...status,
    uptime: undefined,
    exchanges: status.exchanges.map(({ oldest_tick_age_ms, markets_age_ms, cooldown_ms, ...exchange }) => ({
      ...exchange,
      tick: instant(at, oldest_tick_age_ms),
      markets: instant(at, markets_age_ms),
      cooldown: cooldown_ms > 0 ? at + cooldown_ms : 0,
    })),
  });

export const createHealthFeed = ({ status, now, monotonic }: HealthFeedOptions): HealthFeed => {
  const readers = new Set<(event: SharedEvent) => void>();
  let timer: NodeJS.Timeout | null = null;
  let sentPrint = '';
  let sentAt = 0;

  const snapshot = (): { readonly print: string; readonly event: () => SharedEvent } => {
    const at = now();
    const body = status(at);
    return {
      print: fingerprint(body, at),
      event: () =>
        createSharedEvent({
          type: 'health',
          json: JSON.stringify({ event_type: 'health', ...body }),
          conflationKey: 'health',
        }),
    };
  };

  const check = (): void => {
    if (monotonic() - sentAt < SPACING) return;
    const { print, event } = snapshot();
    if (print === sentPrint) return;
    sentPrint = print;
    sentAt = monotonic();
    const shared = event();
    for (const deliver of readers) deliver(shared);
  };

  const begin = (print: string): void => {
    sentPrint = print;
    sentAt = monotonic();
    timer = setInterval(check, CHECK_INTERVAL);
    timer.unref();
  };

  return {
    subscribe(deliver) {
      const { print, event } = snapshot();
      // Also where others read already: what has changed meanwhile is theirs with the next check.
      if (timer === null) begin(print);
      const reader = (shared: SharedEvent): void => deliver(shared);
      readers.add(reader);
      deliver(event());
      return () => {
        readers.delete(reader);
        if (readers.size > 0 || timer === null) return;
        clearInterval(timer);
        timer = null;
      };
    },
  };
};
