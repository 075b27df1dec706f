/** A SQLite file with its host, as it runs in the store's thread. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { settlePage } from '../../../src/ledger/settle.js';
import { loadSqlite, type SqliteDriver } from '../../../src/ledger/sqlite/driver.js';
import { SqliteHost } from '../../../src/ledger/sqlite/sqlite-host.js';
import type { StoreStatus } from '../../../src/ledger/store-status.js';
import { recordingLog } from '../../support/recording-log.js';
import { DAY, NAME, pageOf, T0 } from './candle-data.js';

export let folder: string;
export let file: string;
const hosts: SqliteHost[] = [];

/** Registers the hooks of a test file: a folder of its own for each test, whose hosts are closed at the end. */
export const useFolder = (): void => {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'candles-'));
    file = join(folder, 'deep', 'candles.db');
  });
  afterEach(() => {
    for (const host of hosts.splice(0)) host.close();
    rmSync(folder, { recursive: true });
  });
};

/** Of the hosts that are made from now on. */
export const useFile = (path: string): void => {
  file = path;
};

/** 2023-11-03T08:26:40Z. */
const NOW = 1_699_000_000_000;

const listening = (asked: string[]): SqliteDriver => {
  const driver = loadSqlite();
  return {
    name: driver.name,
    open(path, options) {
      const connection = driver.open(path, options);
      return {
        exec(text) {
          asked.push(text);
          connection.exec(text);
        },
        prepare(text) {
          asked.push(text);
          return connection.prepare(text);
        },
        close: () => connection.close(),
      };
    },
  };
};

export const hostOf = (given: { marker?: string; newest?: number; text?: string } = {}) => {
  const log = recordingLog();
  const told: StoreStatus[] = [];
  /** Statements in the order in which they were first asked for, those without results each time. */
  const asked: string[] = [];
  const { newest, text = 'SELECT 1' } = given;
  const migrations = [
    ...readMigrations('sqlite'),
    ...(newest === undefined ? [] : [{ version: newest, name: 'later.sql', text }]),
  ];
  const host = new SqliteHost({
    file,
    marker: given.marker ?? 'real',
    driver: listening(asked),
    migrations,
    log,
    now: () => NOW,
    onStatus: (status) => told.push(status),
  });
  hosts.push(host);
  return { host, log, told, asked };
};

export const write = (host: SqliteHost, first = 0) =>
  host.call('write', [settlePage(pageOf({ first, count: 100, askedAt: T0 + 100 * DAY }), 0)]);
export const count = async (host: SqliteHost) => {
  const range = { ...NAME, from: 0, to: T0 * 2, limit: 10_000, newest: false };
  const found = await host.call('read', [range]);
  return found === null ? 0 : (found as { count: number }).count;
};
