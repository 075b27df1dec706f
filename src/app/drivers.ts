/**
 * The services that have a driver of their own, made from the settings. Drivers are imported when they are needed, so
 * that a start without Redis, CoinMarketCap or sandbox does not pay for them.
 */
import type { Config } from '../config/config.js';
import type { SharedTier } from '../cache/shared-tier.js';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { byExchangeId, type ExchangeNames } from '../exchanges/exchange-names.js';
import type { WorkerStats } from '../exchanges/worker/venue-worker.js';
import type { Log } from '../log/log.js';
import { keyPrefix } from '../market-data/cache-keys.js';
import { VERSION } from '../config/version.js';

const USER_AGENT = `mcp-crypto-data-server/${VERSION}`;

/** Remembers what is to be closed at the end. */
export type Own = (name: string, close: () => Promise<void> | void) => void;

/** URL of the simulated venues; null for the real ones. */
export const startSandbox = async (config: Config, own: Own): Promise<string | null> => {
  if (typeof config.sandbox === 'string') return config.sandbox;
  if (!config.sandbox) return null;
  const { startSandbox: start } = await import('../sandbox/sandbox.js');
  const sandbox = await start({ control: config.sandboxControl });
  own('sandbox', () => sandbox.close());
  return sandbox.url;
};

interface Base {
  readonly config: Config;
  readonly log: Log;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly names: ExchangeNames;
  readonly sandboxUrl: string | null;
}

interface RawClient {
  readonly client: ExchangeClient;
  readonly workers: () => readonly WorkerStats[];
  /** Starts what else would start with the first call. */
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
}: Base): Promise<RawClient> => {
  const clientOptions = {
    exchangeOptions: byExchangeId(config.exchangeOptions),
    budget: config.budget,
    upstreamTimeoutMs: config.upstreamTimeoutMs,
    proxy: config.proxy,
    sandboxUrl,
    userAgent: USER_AGENT,
  };
  const exchanges = names.exchangeIds;
  if (config.exchangeWorkers === 0) {
    const { createCcxtClient } = await import('../exchanges/ccxt/ccxt-client.js');
    const { openWatch } = await import('../exchanges/ccxt/feeds/watch.js');
    const client = createCcxtClient({ ...clientOptions, exchanges, log, now, monotonic, openWatch });
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

export const createSharedTier = async ({ config, log, now, monotonic }: Base): Promise<SharedTier | null> => {
  if (!config.redis.enabled) return null;
  const { createRedisCache } = await import('../cache/redis-cache.js');
  const { createAdmission } = await import('../market-data/shared-entries.js');
  const admit = createAdmission({ prefix: keyPrefix(config.sandbox !== false), ttl: config.ttl });
  return createRedisCache({ url: config.redis.url, log, now, monotonic, admit });
};

/** scheme://host/path at the sandbox, which tells its venues apart by the first segment of the path. */
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
