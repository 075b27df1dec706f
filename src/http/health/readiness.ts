/** Whether this server can do its work, and what prevents it; from memory alone, no dependency is asked. */
import type { Membership } from '../../cluster/membership.js';
import type { Access } from '../../access/access.js';
import type { BusCheck, ExchangeCheck, Readiness, StoreCheck } from '../../schemas/health.js';
import type { CacheHealth } from '../../cache/cache-entry.js';
import type { ExchangeHealth } from '../../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../../exchanges/exchange-names.js';

export interface ReadinessDeps {
  readonly cache: () => CacheHealth;
  /** null: no candles are kept. */
  readonly store?: () => Pick<StoreCheck, 'state' | 'since' | 'detail'> | null;
  /** Default null: AUTH_MODE=off. */
  readonly access?: Pick<Access, 'mode' | 'health' | 'isServing'> | null;
  /** Default null: this server acts alone. */
  readonly cluster?: Pick<Membership, 'health' | 'serverId' | 'servers'> | null;
  readonly exchanges: () => readonly ExchangeHealth[];
  /** The enabled names with the CCXT ids behind them. */
  readonly enabled: readonly ResolvedExchange[];
  readonly sandbox: boolean;
  readonly draining: () => boolean;
  /** Whether this server refuses requests because there are too many. */
  readonly overloaded: () => boolean;
  readonly now: () => number;
}

/** The state of an exchange in one word. */
export const stateOf = (health: ExchangeHealth, now: number): ExchangeCheck['state'] => {
  if (health.worker === 'restarting') return 'restarting';
  if (health.coolDownUntil !== null && health.coolDownUntil > now) return 'cooling_down';
  if (health.circuit !== 'closed' || health.markets === 'load_failed') return 'failing';
  if (health.markets === 'loading' || health.worker === 'starting') return 'loading';
  return health.markets === 'not_loaded' ? 'idle' : 'ok';
};

const checkOf = (health: ExchangeHealth, now: number): ExchangeCheck => ({
  state: stateOf(health, now),
  since: health.since,
  markets: health.markets,
  circuit: health.circuit,
  cool_down_until: health.coolDownUntil,
  budget_remaining: Math.max(0, Math.floor(health.budget.remaining)),
  last_error: health.lastError?.code ?? null,
  last_error_detail: health.lastError?.detail ?? null,
  last_error_at: health.lastError?.at ?? null,
});

/** `idle` and `loading` are no faults: an exchange is loaded when it is first asked for. */
const WELL: ReadonlySet<ExchangeCheck['state']> = new Set(['ok', 'idle', 'loading']);

/**
 * unavailable: shutting down, overloaded, no key can be checked, or not one exchange can be asked; degraded: some can't, Redis is enabled and away or may evict what servers share, or candles can't be kept;
 * ready: everything else.
 */
export const createReadiness = ({
  cache,
  store,
  access = null,
  cluster = null,
  exchanges,
  enabled,
  sandbox,
  draining,
  overloaded,
  now,
}: ReadinessDeps) => {
  const startedAt = now();
  const noStore: StoreCheck = {
    state: 'disabled',
    since: startedAt,
    detail: 'No candles are kept: STORE_URL=none, or no home folder to keep them in.',
  };
  const busCheck = (): BusCheck => {
    if (cluster === null)
      return {
        ...{ state: 'disabled', since: startedAt, detail: 'This server acts alone: BUS=none, or no Redis.' },
        ...{ server_id: null, servers: 1, owned: 0, followed: 0 },
      };
    const { health, serverId, servers } = cluster;
    const { owned = 0, followed = 0 } = servers[0] ?? {};
    return { ...health, server_id: serverId, servers: servers.length, owned, followed };
  };
  return (): Readiness => {
    const at = now();
    const bus = busCheck();
    const known = new Map(exchanges().map((health) => [health.exchange, health]));
    const checks = enabled.flatMap(({ name, exchange }) => {
      const health = known.get(exchange);
      return health === undefined ? [] : [[name, checkOf(health, at)] as const];
    });
    const { state, since, detail } = cache();
    const stored = store?.() ?? null;
    const kept =
      stored === null ? noStore : { state: stored.state, since: stored.since, detail: stored.detail };
    const ill = checks.filter(([, check]) => !WELL.has(check.state)).length;
    const asked = access?.health() ?? null;
    const locked = access?.isServing() === false;
    const unavailable = draining() || overloaded() || locked || (checks.length > 0 && ill === checks.length);
    const degraded =
      ill > 0 ||
      state === 'degraded' ||
      kept.state === 'degraded' ||
      asked?.state === 'degraded' ||
      bus.state === 'unshared' ||
      bus.state === 'degraded';
    return {
      status: unavailable ? 'unavailable' : degraded ? 'degraded' : 'ready',
      ...(sandbox ? { sandbox } : {}),
      ...(draining() ? { draining: true } : {}),
      ...(overloaded() ? { overloaded: true } : {}),
      auth: access?.mode ?? 'off',
      checks: {
        cache: { state, since, detail },
        store: kept,
        bus,
        ...(asked === null ? {} : { access: asked }),
        ...Object.fromEntries(checks),
      },
    };
  };
};
