/**
 * Fetches newly written ranges of live series again after 15 minutes and after 24 hours, since venues correct candles after
 * their close. Due times are wall-clock times in the store; overdue ones are done soon after a start, within
 * the budget of backfills.
 */
import { AppError } from '../errors.js';
import type { CandleEvidence, ExchangeClient } from '../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { addPeriods, periodStart } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import type { BackfillBudget } from './backfill/backfill-budget.js';
import { countIn } from './known-view.js';
import { keyOf, seriesInterval } from './series-range.js';
import type { SeriesName } from './settle.js';
import type { StoreHandle } from './store-status.js';
import type { CandleStore, Due } from './store.js';
import { exchangeLease } from './writer.js';

/** `spacing`: candles written within it are fetched again together. */
const ROUNDS: readonly { readonly after: Millis; readonly spacing: Millis }[] = [
  { after: 15 * 60_000, spacing: 15 * 60_000 },
  { after: 24 * 3_600_000, spacing: 2 * 3_600_000 },
];
const CHECK_EVERY_MS: Millis = 10_000;
const TIMEOUT_MS: Millis = 30_000;
/** A fetch that failed, or was under way when the process died, is repeated after this time. */
const AGAIN_MS: Millis = 5 * 60_000;
const AT_ONCE = 20;
/** Longer than a page takes; backfills renew the same lease. */
const LEASE_MS: Millis = 60_000;

export interface VerificationDeps {
  readonly handle: StoreHandle;
  readonly exchanges: Pick<ExchangeClient, 'fetch' | 'describe'>;
  readonly budget: Pick<BackfillBudget, 'page' | 'waitOf'>;
  readonly record: (name: SeriesName, evidence: CandleEvidence) => Promise<void>;
  readonly isWanted: (name: SeriesName) => boolean;
  readonly enabled: readonly ExchangeId[];
  /** Of the leases under which this process asks an exchange. */
  readonly owner: string;
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
  const { handle, exchanges, budget, record, isWanted, enabled, owner, log, now, monotonic } = deps;
  const planned = new Map<string, Millis>();
  const verified = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  const ending = new AbortController();
  const { signal } = ending;

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

  const verify = async (store: CandleStore, { exchange, symbol, interval, from, to }: Due): Promise<void> => {
    if (budget.waitOf(exchange)?.reason === 'cool_down') throw new Error('It cools down.');
    // Of the servers that share a store one at a time asks an exchange for pages of the store's own.
    if (handle.shared && !(await store.lease(exchangeLease(exchange), owner, LEASE_MS)))
      throw new Error('Another server works on this exchange.');
    const name = { exchange, symbol, interval };
    const limit = countIn(seriesInterval(interval, 0), { from, to });
    const answer = await budget.page(exchange, signal, () =>
      exchanges.fetch(
        { kind: 'ohlcv', ...name, since: from, limit, evidence: true, onePage: true },
        { deadline: monotonic() + TIMEOUT_MS, priority: 'backfill', attempts: 1, signal },
      ),
    );
    if (answer.evidence === undefined) return;
    // A verification's own writes do not schedule another verification.
    verified.add(keyOf(name));
    await record(name, answer.evidence).finally(() => verified.delete(keyOf(name)));
  };

  const checkDue = async (): Promise<void> => {
    const store = handle.store();
    if (store === null || !handle.status().writable) return;
    const dues = await store.takeDue(now(), AT_ONCE, now() + AGAIN_MS);
    const takenAt = monotonic();
    const work = async (exchange: ExchangeId): Promise<void> => {
      for (const due of dues.filter((one) => one.exchange === exchange)) {
        // The rest is due again soon, possibly on another server.
        if (monotonic() - takenAt >= AGAIN_MS - TIMEOUT_MS) return;
        try {
          if (enabled.includes(exchange)) await verify(store, due);
          await store.endDue(due);
        } catch (thrown) {
          if (signal.aborted) return;
          log.debug({ exchange, err: thrown }, 'a verification has to wait');
        }
      }
    };
    await Promise.all([...new Set(dues.map(({ exchange }) => exchange))].map(work));
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
        checkDue()
          .catch((error: unknown) => log.debug({ err: error }, 'verifications have to wait'))
          .finally(() => (running = false));
      };
      timer = setInterval(round, CHECK_EVERY_MS);
      timer.unref();
      round();
    },
    close() {
      clearInterval(timer);
      ending.abort(new AppError('shutting_down', 'The server shuts down.'));
    },
  };
};
