/**
 * The app in this process over simulated venues, with candles in a temporary file; in `npm run test:slow` in a database of
 * their own on a PostgreSQL, where a test names no store.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { vi } from 'vitest';
import { buildApp, type AppOverrides } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { calmGauge } from '../../support/app.js';
import { extent } from '../../support/extent.js';
import { createTestDatabase, type TestDatabase } from './postgres.js';

export const MINUTE = 60_000;
const ON_POSTGRES = extent({ short: false, long: true });

export const DAY = 1440 * MINUTE;

export interface Backfill {
  readonly id: string;
  readonly exchange: string;
  readonly to: number;
  readonly state: string;
  readonly percent: number;
  readonly pages: number;
  readonly candles: number;
  readonly waiting_for: string | null;
  readonly error: string | null;
}

export interface Range {
  readonly from: number;
  readonly to: number;
  readonly state: string;
  readonly reason?: string;
}

export class LedgerRig {
  readonly sandbox: Sandbox;
  readonly folder = mkdtempSync(join(tmpdir(), 'candles-'));
  readonly storeUrl: string;
  readonly #database: TestDatabase | null;
  /** Added to the clock of the app and of the venues. */
  ahead = 0;
  #apps: FastifyInstance[] = [];

  private constructor(sandbox: Sandbox, storeUrl: string | undefined, database: TestDatabase | null) {
    this.sandbox = sandbox;
    this.storeUrl = storeUrl ?? database?.url ?? `sqlite:${join(this.folder, 'candles.db')}`;
    this.#database = database;
  }

  static async start(storeUrl?: string): Promise<LedgerRig> {
    const clock = { now: Date.now };
    const sandbox = await startSandbox({ weightLimit: Infinity, now: () => clock.now() });
    const database = storeUrl === undefined && ON_POSTGRES ? await createTestDatabase() : null;
    if (ON_POSTGRES && storeUrl === undefined && database === null)
      throw new Error('This test needs a PostgreSQL (TEST_POSTGRES_URL).');
    const rig = new LedgerRig(sandbox, storeUrl, database);
    clock.now = rig.now;
    return rig;
  }

  readonly now = (): number => Date.now() + this.ahead;

  async app(
    env: Readonly<Record<string, string>> = {},
    overrides: AppOverrides = {},
  ): Promise<FastifyInstance> {
    const config = loadConfig({
      REDIS_ENABLED: 'false',
      EXCHANGE_WORKERS: '0',
      SANDBOX: this.sandbox.url,
      STORE_URL: this.storeUrl,
      RATE_LIMIT_REQUESTS: '100000',
      MAX_RETRIES: '0',
      BACKFILL_API: 'true',
      UPSTREAM_TIMEOUT: '5',
      EXCHANGE_OPTIONS:
        '{"binance":{"rateLimit":1},"kraken":{"rateLimit":1},"coinbaseexchange":{"rateLimit":1}}',
      ...env,
    });
    const app = await buildApp(config, {
      log: silentLog,
      loadGauge: calmGauge,
      now: this.now,
      // Time passes; nobody sets the wall clock.
      monotonic: () => steadyNow() + this.ahead,
      // A busy machine is no slow database.
      storeReadMs: 5_000,
      ...overrides,
    });
    this.#apps.push(app);
    await app.listen({ port: 0, host: '127.0.0.1' });
    return app;
  }

  /** Candle requests that the venues have had, all in all. */
  candleRequests(): number {
    return this.sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv').length;
  }

  async close(): Promise<void> {
    for (const app of this.#apps.splice(0)) await app.close();
    await this.sandbox.close();
    await this.#database?.drop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const series = (exchange: string, symbol: string, interval = '1m'): string =>
  `exchange=${exchange}&symbol=${encodeURIComponent(symbol)}&interval=${interval}`;

export const backfill = async (app: FastifyInstance, payload: object): Promise<Backfill> => {
  const answer = await app.inject({ method: 'POST', url: '/v1/backfills', payload });
  if (answer.statusCode !== 202) throw new Error(answer.body);
  return answer.json<Backfill>();
};

export const done = (app: FastifyInstance, id: string): Promise<Backfill> =>
  vi.waitFor(
    async () => {
      const job = (await app.inject(`/v1/backfills/${id}`)).json<Backfill>();
      if (!['done', 'failed', 'cancelled'].includes(job.state)) throw new Error(JSON.stringify(job));
      return job;
    },
    { timeout: 25_000, interval: 20 },
  );

export const jobOf = async (app: FastifyInstance, id: string): Promise<Backfill> =>
  (await app.inject(`/v1/backfills/${id}`)).json<Backfill>();

/** Waits until the job is as `holds` wants it. */
export const until = (
  app: FastifyInstance,
  id: string,
  holds: (job: Backfill) => boolean,
): Promise<Backfill> =>
  vi.waitFor(
    async () => {
      const job = await jobOf(app, id);
      if (!holds(job)) throw new Error(JSON.stringify(job));
      return job;
    },
    { timeout: 15_000, interval: 10 },
  );

export const rangesOf = async (app: FastifyInstance, of: string, span = ''): Promise<Range[]> =>
  (await app.inject(`/v1/markets/ohlcv/coverage?${of}${span}`)).json<{ ranges: Range[] }>().ranges;
