/**
 * The services that have a driver of their own, made from the settings. Drivers are imported when they are needed, so
 * that a start without Redis, CoinMarketCap or sandbox does not pay for them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, type Config } from '../config/config.js';
import type { Access } from '../access/access.js';
import type { Notices } from '../access/notify/notices.js';
import type { SharedTier } from '../cache/shared-tier.js';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { byExchangeId, type ExchangeNames } from '../exchanges/exchange-names.js';
import type { BusPlace } from '../exchanges/worker/protocol.js';
import type { WorkerStats } from '../exchanges/worker/venue-worker.js';
import type { StoreHandle } from '../ledger/store-status.js';
import { systemTimers } from '../lib/timers.js';
import type { Log } from '../log/log.js';
import { createAdmission, keyPrefix } from '../market-data/cache-keys.js';
import { VERSION } from '../config/version.js';
import { sandboxSeed } from './sandbox-seed.js';

const USER_AGENT = `mcp-crypto-data-server/${VERSION}`;

/** Two sandboxes with the same seed simulate the same prices. */
const SANDBOX_SEED = 1;

/** Registers a service that is closed at the end. */
export type Own = (name: string, close: () => Promise<void> | void) => void;

/** URL of the simulated venues; null for the real ones. */
export const startSandbox = async (config: Config, own: Own): Promise<string | null> => {
  if (typeof config.sandbox === 'string') return config.sandbox;
  if (!config.sandbox) return null;
  const { startSandbox: start } = await import('../sandbox/sandbox.js');
  const sandbox = await start({ control: config.sandboxControl, seed: SANDBOX_SEED });
  own('sandbox', () => sandbox.close());
  return sandbox.url;
};

export interface Base {
  readonly config: Config;
  readonly log: Log;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly names: ExchangeNames;
  readonly sandboxUrl: string | null;
  /** null: this server acts alone. */
  readonly bus: BusPlace | null;
}

interface RawClient {
  readonly client: ExchangeClient;
  readonly workers: () => readonly WorkerStats[];
  /** Starts the worker threads, which otherwise start with the first call. */
  readonly start: () => void;
}

/** One worker pool, or the very same client in this thread where EXCHANGE_WORKERS=0. */
export const createRawClient = async ({
  config,
  log,
  now,
  monotonic,
  names,
  sandboxUrl,
  bus,
}: Base): Promise<RawClient> => {
  const clientOptions = {
    exchangeOptions: byExchangeId(config.exchangeOptions),
    budget: config.budget,
    upstreamTimeoutMs: config.upstreamTimeoutMs,
    proxy: config.proxy,
    sandboxUrl,
    userAgent: USER_AGENT,
    bus,
  };
  const exchanges = names.exchangeIds;
  if (config.exchangeWorkers === 0) {
    const { createCcxtClient } = await import('../exchanges/ccxt/ccxt-client.js');
    const { openWatch } = await import('../exchanges/ccxt/feeds/watch.js');
    const shared =
      bus === null
        ? undefined
        : (await import('../cluster/redis-budget.js')).createRedisBudget({
            ...{ settings: bus, exchanges, budget: config.budget, log, now: monotonic },
          });
    const client = createCcxtClient({ ...clientOptions, exchanges, log, now, monotonic, openWatch, shared });
    return { client, workers: () => [], start: () => undefined };
  }
  const { createSupervisor } = await import('../exchanges/worker/supervisor.js');
  const supervisor = createSupervisor({
    workers: config.exchangeWorkers,
    exchanges,
    clientOptions,
    log,
    now,
    monotonic,
  });
  return {
    client: supervisor,
    workers: () => supervisor.stats(),
    start: () => {
      supervisor.start();
    },
  };
};

/** What the store of this server holds: real candles, or those of one sandbox. */
const markerOf = async ({ sandbox }: Config): Promise<string> => {
  if (sandbox === false) return 'real';
  const seed = sandbox === true ? SANDBOX_SEED : await sandboxSeed(sandbox);
  return seed === null ? 'sandbox' : `sandbox:${seed}`;
};

/** A file in a temporary folder, deleted when this process ends. */
const temporaryFile = (own: Own): string => {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-crypto-data-server-'));
  own('temporary folder', () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'candles.db');
};

/** How long the start waits for the store; after that the store goes on opening in the background. */
const STORE_OPENING_MS = 3_000;

/** null: no candles are kept. The store goes on opening: `storeOpened` waits for it. */
export const openStore = async ({ config, log, now }: Base, own: Own): Promise<StoreHandle | null> => {
  const { location } = config.store;
  if (location.kind === 'none') return null;
  const options = { marker: await markerOf(config), log, now };
  const open = async (): Promise<StoreHandle> => {
    if (location.kind === 'postgres') {
      const { openPostgresStore } = await import('../ledger/postgres/postgres-store.js');
      return openPostgresStore({ ...options, url: location.url });
    }
    const { openSqliteStore } = await import('../ledger/sqlite/sqlite-store.js');
    const file = location.kind === 'temporary' ? temporaryFile(own) : location.file;
    return openSqliteStore({ ...options, file });
  };
  const handle = await open();
  // A failure after `storeOpened` is reported by the status of the store, so the rejection itself is ignored.
  handle.opened.catch(() => undefined);
  return handle;
};

/** Rejects with a ConfigError where simulated and real data would mix. */
export const storeOpened = async (handle: StoreHandle): Promise<void> => {
  const late = new Promise<void>((resolve) => setTimeout(resolve, STORE_OPENING_MS).unref());
  try {
    await Promise.race([handle.opened, late]);
  } catch (thrown) {
    throw new ConfigError([`STORE_URL: ${thrown instanceof Error ? thrown.message : String(thrown)}`]);
  }
};

/** null: AUTH_MODE=off. Whatever the store's state: it is opened later where it cannot be now. */
export const createAccess = async (
  { config, log, now, monotonic }: AccessBase,
  own: Own,
  processes: Notices | null = null,
): Promise<Access | null> => {
  const { mode, store: location } = config.access;
  if (mode === 'off' || location.kind === 'none') return null;
  const { openAccess } = await import('../access/open-access.js');
  const access = await openAccess({
    ...config.access,
    ...{ mode, location, processes, log, now, monotonic },
    redis: config.redis.enabled
      ? { url: config.redis.url, prefix: keyPrefix(config.sandbox !== false) }
      : null,
  });
  own('access', () => access.close());
  await addTokens({ config, log, now, monotonic }, access, own);
  return access;
};

type AccessBase = Pick<Base, 'config' | 'log' | 'now' | 'monotonic'>;

/** Access tokens of the issuers that the settings name. */
const addTokens = async (
  { config, log, now, monotonic }: AccessBase,
  access: Access,
  own: Own,
): Promise<void> => {
  const { oauth, publicUrl } = config.access;
  if (oauth.issuers.length === 0 && oauth.introspection === null) return;
  const { createOAuth } = await import('../access/oauth/oauth.js');
  const tokens = createOAuth({
    settings: { ...oauth, publicUrl },
    plan: (name) => access.plan(name),
    defaultPlan: access.planNamed(oauth.defaultPlan),
    ...{ proxy: config.proxy, userAgent: USER_AGENT, log, now, monotonic, timers: systemTimers },
  });
  own('tokens', () => tokens.close());
  access.use(tokens.credentials);
  tokens.start();
};

export const createSharedTier = async ({ config, log, now, monotonic }: Base): Promise<SharedTier | null> => {
  if (!config.redis.enabled) return null;
  const { createRedisCache } = await import('../cache/redis-cache.js');
  const admit = createAdmission({ prefix: keyPrefix(config.sandbox !== false), ttl: config.ttl });
  return createRedisCache({ url: config.redis.url, log, now, monotonic, admit });
};

/** scheme://host/path at the sandbox; the first segment of the path names the venue. */
const sandboxed = (url: string, sandboxUrl: string | null): string => {
  if (sandboxUrl === null) return url;
  const { host, pathname } = new URL(url);
  return `${sandboxUrl}/${host}${pathname}`;
};

export const createCoinMarketCap = async ({
  config,
  log,
  now,
  monotonic,
  sandboxUrl,
}: Base): Promise<CoinMarketCapClient | null> => {
  const { apiKey, url } = config.coinMarketCap;
  if (apiKey === '') return null;
  const { createCoinMarketCapClient } = await import('../coinmarketcap/coinmarketcap-client.js');
  return createCoinMarketCapClient({
    apiKey,
    url: sandboxed(url, sandboxUrl),
    proxy: sandboxUrl === null ? config.proxy : { https: '', http: '', no: '' },
    userAgent: USER_AGENT,
    reuseMs: config.ttl.staleIfErrorMs,
    log,
    now,
    monotonic,
  });
};
