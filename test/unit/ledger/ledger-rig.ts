/** A ledger over a real SQLite file and a venue that a test holds in its hands. Times are those of `Date`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  CandleTraits,
  ExchangeClient,
  ExchangeHealth,
  OhlcvRequest,
} from '../../../src/exchanges/exchange-client.js';
import { createLedger, type Ledger, type LedgerDeps } from '../../../src/ledger/ledger.js';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { settlePage } from '../../../src/ledger/settle.js';
import { createSqlStore } from '../../../src/ledger/sql-store.js';
import { loadSqlite } from '../../../src/ledger/sqlite/driver.js';
import { openSqliteFile, SQLITE_NOW } from '../../../src/ledger/sqlite/sqlite-database.js';
import type { StoreHandle, StoreStatus } from '../../../src/ledger/store-status.js';
import type { CandleStore } from '../../../src/ledger/store.js';
import { recordingLog } from '../../support/recording-log.js';
import { candleAt, MINUTE, NAME, pageOf, T0 } from './candle-data.js';

export const openTestStore = () => {
  const folder = mkdtempSync(join(tmpdir(), 'candles-'));
  const file = join(folder, 'candles.db');
  const { database } = openSqliteFile(loadSqlite(), {
    file,
    owner: true,
    migrations: readMigrations('sqlite'),
  });
  const store = createSqlStore({ database, databaseNow: SQLITE_NOW });
  const end = async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  };
  return { store, file, end };
};

/** Stores a page as if the venue had been asked when it says. */
export const write = async (store: CandleStore, given: Parameters<typeof pageOf>[0], settleMs = 10_000) => {
  const settled = settlePage(pageOf(given), settleMs);
  if (settled === null) throw new Error('nothing is settled');
  return store.write(settled);
};

export class FakeHandle implements StoreHandle {
  shared = false;
  file: string | null = null;
  readonly opened = Promise.resolve();
  current: CandleStore | null;
  told: StoreStatus = { state: 'ok', detail: 'a test', since: 0, writable: true };
  constructor(store: CandleStore | null) {
    this.current = store;
  }
  store() {
    return this.current;
  }
  status() {
    return this.told;
  }
  close() {
    return Promise.resolve();
  }
}

/** One-minute candles of every symbol, without end. */
export class FakeCandleVenue implements Pick<ExchangeClient, 'fetch' | 'describe' | 'health'> {
  readonly asked: OhlcvRequest[] = [];
  traits: CandleTraits = { page: 100, kind: 'jump', omitsEmpty: false };
  contractTraits: CandleTraits = { page: 7, kind: 'jump', omitsEmpty: false };
  described = true;
  /** Added to the clock of the machine. */
  ahead = 0;
  /** Rejects every call. */
  fault: Error | null = null;
  /** Close of the candles that were corrected, by start. */
  readonly corrected = new Map<number, number>();
  /** Starts of candles that it does not give. */
  readonly missing = new Set<number>();
  evidence = true;
  healthOf: Partial<ExchangeHealth> = {};

  fetch: ExchangeClient['fetch'] = (request) => {
    if (request.kind !== 'ohlcv') throw new Error('candles only');
    this.asked.push(request);
    if (this.fault !== null) return Promise.reject(this.fault);
    const askedAt = Date.now() + this.ahead;
    const { since = askedAt - request.limit * MINUTE, limit } = request;
    const first = Math.ceil((since - T0) / MINUTE);
    const candles = Array.from({ length: limit }, (_, index) => first + index)
      .map((index) => candleAt(index))
      .map((candle) => ({ ...candle, close: this.corrected.get(candle.timestamp) ?? candle.close }))
      .filter(({ timestamp }) => timestamp <= askedAt && !this.missing.has(timestamp))
      .map((candle) => ({ ...candle, closed: candle.timestamp + MINUTE <= askedAt }));
    const rows = Float64Array.from(
      candles.flatMap(({ timestamp, open, high, low, close, volume }) => [
        ...[timestamp, open, high, low, close, volume ?? NaN],
      ]),
    );
    const { exchange, symbol, interval } = request;
    return Promise.resolve({
      body: Buffer.from(JSON.stringify({ exchange, symbol, interval, candles })),
      symbol,
      receivedAt: askedAt,
      closesAt: candles.at(-1)?.closed === false ? askedAt - (askedAt % MINUTE) + MINUTE : null,
      ...(this.evidence
        ? {
            evidence: {
              marketId: 'BTCUSDT',
              traits: this.traits,
              pages: [{ since: request.since ?? null, limit, askedAt, rows }],
            },
          }
        : {}),
    });
  };

  describe: ExchangeClient['describe'] = (exchange) =>
    Promise.resolve({
      exchange,
      name: exchange,
      capabilities: { ticker: true, ohlcv: true, orderbook: true, trades: true, stream: 'websocket' },
      watchable: [],
      intervals: ['1m', '1d'],
      bookIntegrity: null,
      ...(this.described ? { candles: { spot: this.traits, contract: this.contractTraits } } : {}),
    });

  health: ExchangeClient['health'] = () => [
    {
      exchange: 'binance',
      markets: 'loaded',
      marketsLoadedAt: 0,
      coolDownUntil: null,
      circuit: 'closed',
      budget: { limit: 10_000, remaining: 10_000, windowMs: 60_000 },
      worker: 'inline',
      workerRestarts: 0,
      lastError: null,
      since: 0,
      ...this.healthOf,
    },
  ];
}

const SETTINGS: LedgerDeps['settings'] = {
  settleMs: 10_000,
  maxBytes: 1e12,
  minFreeBytes: 0,
  retentionMs: 0,
  budgetShare: 1,
  wanted: [],
};

export class UnitRig {
  readonly venue = new FakeCandleVenue();
  readonly log = recordingLog();
  readonly handle: FakeHandle;
  readonly store: CandleStore;
  readonly file: string;
  readonly #end: () => Promise<void>;
  #ledgers: Ledger[] = [];

  constructor() {
    const { store, file, end } = openTestStore();
    this.store = store;
    this.file = file;
    this.#end = end;
    this.handle = new FakeHandle(store);
  }

  ledger(
    settings: Partial<LedgerDeps['settings']> = {},
    { now = Date.now, enabled = ['binance'] }: { now?: () => number; enabled?: readonly string[] } = {},
  ): Ledger {
    const ledger = createLedger({
      handle: this.handle,
      exchanges: this.venue,
      settings: { ...SETTINGS, ...settings },
      enabled,
      log: this.log,
      now,
      monotonic: Date.now,
    });
    this.#ledgers.push(ledger);
    return ledger;
  }

  /** [from, to, state] in minutes from T0. */
  async states(name: { exchange: string; symbol: string; interval: string } = NAME) {
    const series = await this.store.series(name);
    const ranges = series === null ? [] : await this.store.coverage(series.id, null, 1000);
    return ranges.map(({ from, to, state }) => [(from - T0) / MINUTE, (to - T0) / MINUTE, state]);
  }

  async close() {
    for (const ledger of this.#ledgers.splice(0)) await ledger.close();
    await this.#end();
  }
}

export const feedCandle = (index: number, closed = true) => ({ ...candleAt(index), closed });
