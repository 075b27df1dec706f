/** Puts together what limits callers: their windows and quotas, shared with other servers, and what is metered of them. */
import type { Services } from './services.js';
import { shareClientLimit } from '../access/client-limiter-sharing.js';
import type { Metering } from '../access/metering.js';
import { createPermits, type Permit } from '../access/permit.js';
import type { Principal } from '../access/principal.js';
import { createQuotas, type Quotas } from '../access/quotas.js';
import type { Config } from '../config/config.js';
import { keyPrefix } from '../market-data/cache-keys.js';
import { createStreamLimits, type StreamLimits } from '../http/limits/stream-limits.js';

export interface CallerLimits {
  /** null: nothing is limited. */
  readonly quotas: Quotas | null;
  /** null: nobody is asked who he is. */
  readonly metering: Metering | null;
  readonly permits: (principal: Principal) => Permit;
  readonly streams: StreamLimits;
  /** Writes what was counted, before the store is closed. */
  close(): Promise<void>;
}

type Needed = Pick<Services, 'access' | 'part' | 'log' | 'now' | 'monotonic' | 'names' | 'sandbox'>;

const openMetering = async (quotas: Quotas, { access, part, log, now, monotonic }: Needed) => {
  if (access === null) return null;
  const [{ createMetering }, { createLiveLimits }] = await Promise.all([
    import('../access/metering.js'),
    import('../access/live-limits.js'),
  ]);
  const metering = createMetering({ quotas, store: () => access.store(), log, now, monotonic });
  return { metering, live: createLiveLimits(part?.takePlaces) };
};

/** The processes of a server exchange their counts so soon: the way is short. */
const LOCAL_SOON_MS = 1;

/** Exchanges counts with the other servers that use this Redis, and with the other processes of this server. */
const openSharing = async (
  quotas: Quotas | null,
  config: Config,
  { access, part, log, monotonic, sandbox }: Needed,
): Promise<{ close(): Promise<void> | void }[]> => {
  const sharings: { close(): Promise<void> | void }[] = [];
  const { enabled, url } = config.redis;
  if (quotas !== null && enabled) {
    const { createRedisCounts } = await import('../access/client-limiter-redis.js');
    const redis = createRedisCounts({ url, prefix: keyPrefix(sandbox), log, now: monotonic });
    const counts =
      part === null
        ? redis
        : (await import('../access/fallback-counts.js')).countsWithFallback(redis, part.counts);
    sharings.push(shareClientLimit({ limiters: quotas.limiters, counts, now: monotonic }));
  }
  if (part !== null) {
    const limiters = [
      ...(quotas === null || enabled ? [] : [quotas.addressUnits]),
      ...(access === null ? [] : [access.failures]),
    ];
    const { counts, leases: source } = part;
    if (quotas !== null) {
      const { leaseWindows } = await import('../access/window-leases.js');
      const leases = leaseWindows({ limiters: quotas.windows, source, now: monotonic });
      quotas.leaseBy(leases);
      sharings.push(leases);
    }
    sharings.push(shareClientLimit({ limiters, counts, now: monotonic, soonMs: LOCAL_SOON_MS }));
  }
  return sharings;
};

export const openCallerLimits = async (config: Config, services: Needed): Promise<CallerLimits> => {
  const { access, now, monotonic, names } = services;
  const { requests, windowMs } = config.clientRateLimit;
  const permits = createPermits((name) => names.resolveKnown(name).exchange);
  if (access === null && requests === 0)
    return {
      quotas: null,
      metering: null,
      permits,
      streams: createStreamLimits(null),
      close: () => Promise.resolve(),
    };
  const clientRule = requests === 0 ? null : { requests, windowMs };
  const { part } = services;
  const units =
    part === null || access === null
      ? null
      : (await import('../access/unit-sharing.js')).shareUnits(part.notices);
  const quotas = createQuotas({
    clientRule,
    onUnits: units?.onUnits,
    shared: config.redis.enabled,
    sharesUnits: config.redis.enabled || part !== null,
    now,
    monotonic,
  });
  units?.listen(quotas.units);
  const sharing = await openSharing(quotas, config, services);
  const metered = await openMetering(quotas, services);
  return {
    quotas,
    metering: metered?.metering ?? null,
    permits,
    streams: createStreamLimits(metered === null ? null : { ...metered, permits }),
    async close() {
      for (const one of sharing) await one.close();
      await metered?.metering.close();
      units?.close();
    },
  };
};
