/** The state of all that runs here in one answer, from memory alone: no dependency is asked. */
import type { Membership } from '../../cluster/membership.js';
import type { ExchangeHealth } from '../../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../../exchanges/exchange-names.js';
import type { LedgerStats } from '../../ledger/ledger.js';
import type { ServerStatus } from '../../schemas/status.js';
import type { HubStats } from '../../streams/hub-api.js';
import { stateOf } from './readiness.js';

export interface StatusDeps {
  readonly version: string;
  /** Seconds since the start. */
  readonly uptime: () => number;
  readonly sandbox: boolean;
  readonly features: ServerStatus['features'];
  /** The enabled names with the CCXT ids behind them. */
  readonly enabled: readonly ResolvedExchange[];
  readonly exchanges: () => readonly ExchangeHealth[];
  readonly hub: () => Pick<HubStats, 'feeds'>;
  /** null: no candles are kept. */
  readonly ledger: () => LedgerStats | null;
  /** Default null: this server acts alone. */
  readonly cluster?: Pick<Membership, 'health' | 'serverId' | 'servers'> | null;
  readonly now: () => number;
}

type ExchangeStatus = ServerStatus['exchanges'][number];
type Feeds = HubStats['feeds'];

const countsOf = (feeds: Feeds): ExchangeStatus['feeds'] => {
  const counts = { live: 0, polling: 0, reconnecting: 0, stale: 0 };
  for (const { state } of feeds) if (Object.hasOwn(counts, state)) counts[state as keyof typeof counts] += 1;
  return counts;
};

const oldestAge = (feeds: Feeds, at: number): number | null => {
  const times = feeds.flatMap(({ lastItemAt }) => (lastItemAt === null ? [] : [lastItemAt]));
  return times.length === 0 ? null : Math.max(0, at - Math.min(...times));
};

const exchangeStatus = (
  { name, exchange }: ResolvedExchange,
  health: ExchangeHealth,
  { feeds, at }: { readonly feeds: Feeds; readonly at: number },
): ExchangeStatus => {
  const { limit, remaining, windowMs } = health.budget;
  const { coolDownUntil, marketsLoadedAt, lastError } = health;
  const left = Math.max(0, Math.floor(remaining));
  return {
    id: name,
    ccxt_id: exchange,
    state: stateOf(health, at),
    feeds: countsOf(feeds),
    oldest_tick_age_ms: oldestAge(feeds, at),
    budget: { limit, remaining: left, resets_in_ms: left >= limit ? 0 : windowMs },
    cooldown_ms: Math.max(0, (coolDownUntil ?? at) - at),
    circuit: health.circuit,
    markets_age_ms: marketsLoadedAt === null ? null : Math.max(0, at - marketsLoadedAt),
    reconnects: feeds.reduce((sum, { reconnects = 0 }) => sum + reconnects, 0),
    last_error:
      lastError === null ? null : { code: lastError.code, detail: lastError.detail, at: lastError.at },
  };
};

const ledgerStatus = ({ status, totals, jobs }: LedgerStats): NonNullable<ServerStatus['ledger']> => {
  const counted = { queued: 0, running: 0, waiting: 0, failed: 0 };
  for (const { state, jobs: count } of jobs)
    if (Object.hasOwn(counted, state)) counted[state as keyof typeof counted] += count;
  return {
    state: status.state,
    series: totals?.series ?? null,
    candles: totals?.candles ?? null,
    bytes: totals?.bytes ?? null,
    jobs: counted,
  };
};

const topicOf = (
  { channel, exchange, symbol, interval }: Feeds[number]['topic'],
  owner: string,
): NonNullable<ServerStatus['cluster']>['owned'][number] => ({
  ...{ channel, exchange, symbol, owner },
  ...(interval === undefined ? {} : { interval }),
});

/** The status as of now, or of `at` (the wall clock). */
export const createStatus =
  (deps: StatusDeps) =>
  (at: number = deps.now()): ServerStatus => {
    const { cluster = null } = deps;
    const known = new Map(deps.exchanges().map((health) => [health.exchange, health]));
    const { feeds } = deps.hub();
    const stored = deps.ledger();
    return {
      version: deps.version,
      uptime: Math.round(deps.uptime() * 100) / 100,
      sandbox: deps.sandbox,
      features: deps.features,
      exchanges: deps.enabled.flatMap((resolved) => {
        const health = known.get(resolved.exchange);
        const own = feeds.filter(({ topic }) => topic.exchange === resolved.exchange);
        return health === undefined ? [] : [exchangeStatus(resolved, health, { feeds: own, at })];
      }),
      ledger: stored === null ? null : ledgerStatus(stored),
      cluster:
        cluster === null
          ? null
          : {
              server_id: cluster.serverId,
              state: cluster.health.state,
              servers: cluster.servers.map(({ id, since, owned, followed }) => ({
                id,
                since,
                owned,
                followed,
              })),
              owned: feeds.flatMap(({ topic, owner }) =>
                owner === undefined ? [topicOf(topic, cluster.serverId)] : [],
              ),
              followed: feeds.flatMap(({ topic, owner }) =>
                owner === undefined ? [] : [topicOf(topic, owner)],
              ),
            },
    };
  };
