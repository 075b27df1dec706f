/**
 * Fetches newly written ranges of live series again after 15 minutes and after 24 hours, since venues correct candles after
 * their close. Due times are wall-clock times in the store; overdue ones are done soon after a start.
 */
import type { CandleEvidence, ExchangeClient } from '../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { addPeriods, periodStart } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import { countIn } from './known-view.js';
import { keyOf, seriesInterval } from './series-range.js';
import type { SeriesName } from './settle.js';
import type { StoreHandle } from './store-status.js';
import type { Due } from './store.js';

/** `spacing`: what is written within it is asked for again together. */
const ROUNDS: readonly { readonly after: Millis; readonly spacing: Millis }[] = [
  { after: 15 * 60_000, spacing: 15 * 60_000 },
  { after: 24 * 3_600_000, spacing: 2 * 3_600_000 },
];
const LOOK_EVERY_MS: Millis = 10_000;
const TIMEOUT_MS: Millis = 30_000;
/** A fetch that failed, or was under way when the process died, is repeated after this time. */
const AGAIN_MS: Millis = 5 * 60_000;
const AT_ONCE = 20;

export interface VerificationDeps {
  readonly handle: StoreHandle;
  readonly exchanges: Pick<ExchangeClient, 'fetch' | 'describe'>;
  readonly record: (name: SeriesName, evidence: CandleEvidence) => Promise<void>;
  readonly isWanted: (name: SeriesName) => boolean;
  readonly enabled: readonly ExchangeId[];
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface Verification {
  /** Something of the series was stored. */
  written(name: SeriesName): void;
  start(): void;
  close(): void;
}

export const createVerification = (deps: VerificationDeps): Verification => {
  const { handle, exchanges, record, isWanted, enabled, log, now, monotonic } = deps;
  const planned = new Map<string, Millis>();
  const verified = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let running = false;

  const plan = async (name: SeriesName, after: Millis): Promise<void> => {
    const store = handle.store();
    if (store === null) return;
    const interval = seriesInterval(name.interval, 0);
    const description = await exchanges.describe(name.exchange);
    const traits = name.symbol.includes(':') ? description.candles?.contract : description.candles?.spot;
    const to = periodStart(interval, now());
    const from = addPeriods(interval, to, -(traits?.page ?? 100));
    await store.addDue({ ...name, at: now() + after, from, to });
  };

  const verify = async ({ exchange, symbol, interval, from, to }: Due): Promise<void> => {
    const name = { exchange, symbol, interval };
    const limit = countIn(seriesInterval(interval, 0), { from, to });
    const answer = await exchanges.fetch(
      { kind: 'ohlcv', ...name, since: from, limit, evidence: true, onePage: true },
      { deadline: monotonic() + TIMEOUT_MS, priority: 'backfill', attempts: 1 },
    );
    if (answer.evidence === undefined) return;
    // A verification's own writes do not schedule another verification.
    verified.add(keyOf(name));
    await record(name, answer.evidence).finally(() => verified.delete(keyOf(name)));
  };

  const look = async (): Promise<void> => {
    const store = handle.store();
    if (store === null || !handle.status().writable) return;
    for (const due of await store.takeDue(now(), AT_ONCE, now() + AGAIN_MS)) {
      try {
        if (enabled.includes(due.exchange)) await verify(due);
        await store.endDue(due);
      } catch (thrown) {
        log.debug({ exchange: due.exchange, err: thrown }, 'a verification has to wait');
      }
    }
  };

  return {
    written(name) {
      if (!isWanted(name) || verified.has(keyOf(name))) return;
      const { exchange, symbol, interval } = name;
      for (const { after, spacing } of ROUNDS) {
        const key = `${after} ${keyOf(name)}`;
        const at = monotonic();
        if (at - (planned.get(key) ?? -Infinity) < spacing) continue;
        planned.set(key, at);
        plan({ exchange, symbol, interval }, after).catch((error: unknown) =>
          log.debug({ err: error }, 'a verification could not be planned'),
        );
      }
    },
    start() {
      if (timer !== undefined) return;
      const round = (): void => {
        if (running) return;
        running = true;
        look()
          .catch((error: unknown) => log.debug({ err: error }, 'verifications have to wait'))
          .finally(() => (running = false));
      };
      timer = setInterval(round, LOOK_EVERY_MS);
      timer.unref();
      round();
    },
    close() {
      clearInterval(timer);
    },
  };
};
