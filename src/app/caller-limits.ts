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

type Needed = Pick<Services, 'access' | 'log' | 'now' | 'monotonic' | 'names' | 'sandbox'>;

const openMetering = async (quotas: Quotas, { access, log, now, monotonic }: Needed) => {
  if (access === null) return null;
  const [{ createMetering }, { createLiveLimits }] = await Promise.all([
    import('../access/metering.js'),
    import('../access/live-limits.js'),
  ]);
  const metering = createMetering({ quotas, store: () => access.store(), log, now, monotonic });
  return { metering, live: createLiveLimits() };
};

/** Exchanges the counts of windows with the other servers that use this Redis. */
const openSharing = async (quotas: Quotas, config: Config, { log, monotonic, sandbox }: Needed) => {
  if (!config.redis.enabled) return null;
  const { createRedisCounts } = await import('../access/client-limiter-redis.js');
  const { url } = config.redis;
  const counts = createRedisCounts({ url, prefix: keyPrefix(sandbox), log, now: monotonic });
  return shareClientLimit({ limiters: quotas.limiters, counts, now: monotonic });
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
  const quotas = createQuotas({ clientRule, shared: config.redis.enabled, now, monotonic });
  const sharing = await openSharing(quotas, config, services);
  const metered = await openMetering(quotas, services);
  return {
    quotas,
    metering: metered?.metering ?? null,
    permits,
    streams: createStreamLimits(metered === null ? null : { ...metered, permits }),
    async close() {
      await sharing?.close();
      await metered?.metering.close();
    },
  };
};
