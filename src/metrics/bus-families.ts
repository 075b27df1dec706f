/** Metrics of the cluster: is this server with the others, how far away is Redis, and how do shared feeds fare? */
import type { SharedFeedsStats } from '../cluster/feeds/shared-feeds.js';
import type { Membership } from '../cluster/membership.js';
import type { ExchangeHealth } from '../exchanges/exchange-client.js';
import type { Registry, Sample } from './families.js';
import { histogramOf } from './histogram.js';

export interface BusSource {
  /** null: another process of the server counts that. */
  readonly membership: Pick<Membership, 'health' | 'servers' | 'stats'> | null;
  /** null: each server has its own feeds, or other processes have them. */
  readonly feeds: () => SharedFeedsStats | null;
}

const seconds = (ms: number | null | undefined): Sample[] =>
  ms === null || ms === undefined ? [] : [[ms / 1000]];

/** Of the process that asks the exchanges, where it counts its requests together with others. */
export const addSharedBudgets = (registry: Registry, health: () => readonly ExchangeHealth[]): void => {
  const shared = () =>
    health().flatMap(({ exchange, budget }) =>
      budget.shared === undefined ? [] : [{ exchange, ...budget.shared }],
    );
  registry.addGauge({
    name: 'bus_budget_shared',
    help: "1 while an exchange's requests are counted together with other servers, 0 while this one keeps to its part.",
    labels: ['exchange'],
    samples: () => shared().map(({ exchange, isShared }) => [isShared ? 1 : 0, { exchange }]),
  });
  registry.addHistogram(
    histogramOf({
      name: 'bus_budget_wait_seconds',
      help: 'How long requests waited for a slot of the shared budget before they left.',
      series: () => shared().map(({ exchange, waits }) => [waits, { exchange }]),
    }),
  );
};

/** For servers that share: a server that acts alone has none of these. */
export const addBus = (registry: Registry, { membership, feeds }: BusSource): void => {
  if (membership !== null) addMembership(registry, membership);
  if (feeds() !== null) addSharedFeeds(registry, () => feeds());
};

const addMembership = (registry: Registry, membership: NonNullable<BusSource['membership']>): void => {
  registry.addGauge({
    name: 'bus_up',
    help: '1 while this server shares with the others of its namespace, 0 while it acts alone.',
    samples: () => [[membership.health.state === 'unshared' ? 0 : 1]],
  });
  registry.addGauge({
    name: 'bus_servers',
    help: 'Servers of the namespace that are alive, this one included.',
    samples: () => [[membership.servers.length]],
  });
  registry.addGauge({
    name: 'bus_round_trip_seconds',
    help: 'Of the latest beat to Redis.',
    samples: () => seconds(membership.stats.roundTripMs),
  });
  registry.addGauge({
    name: 'bus_clock_offset_seconds',
    help: "What Redis' clock is ahead of this server's.",
    samples: () => seconds(membership.stats.clockOffsetMs),
  });
  registry.addCounter({
    name: 'bus_beats_total',
    help: 'Beats to Redis by outcome: answered, missed.',
    labels: ['outcome'],
    samples: () => [
      [membership.stats.beats, { outcome: 'answered' }],
      [membership.stats.missed, { outcome: 'missed' }],
    ],
  });
  registry.addCounter({
    name: 'bus_canary_reconnects_total',
    help: 'Subscribed connections that were replaced because this server did not hear its own beat.',
    samples: () => [[membership.stats.subscriberReplaced ?? 0]],
  });
};

const addSharedFeeds = (registry: Registry, stats: () => SharedFeedsStats | null): void => {
  const samples = (read: (of: SharedFeedsStats) => Sample[]) => (): Sample[] => {
    const now = stats();
    return now === null ? [] : read(now);
  };
  const gauges = [
    ['bus_leases_held', 'Topics whose feed this server holds for the whole cluster.', 'leases'],
    ['bus_followed_topics', 'Topics that this server gets from another one.', 'followed'],
    ['bus_unshared_feeds', 'Topics that this server feeds alone because the bus is away.', 'unshared'],
    ['bus_pending_bytes', 'Of events that wait for the bus.', 'pendingBytes'],
  ] as const;
  for (const [name, help, member] of gauges)
    registry.addGauge({ name, help, samples: samples((now) => [[now[member]]]) });
  const counters = [
    ['bus_published_total', 'Events that the bus took from this server.', 'published'],
    [
      'bus_conflated_total',
      'Tickers and order books replaced by later ones before the bus took them.',
      'conflated',
    ],
    [
      'bus_dropped_total',
      'Trades and candles given up because too many waited for the bus; followers are told.',
      'dropped',
    ],
    ['bus_fenced_total', "Topics that turned out to be another server's.", 'fenced'],
  ] as const;
  for (const [name, help, member] of counters)
    registry.addCounter({ name, help, samples: samples((now) => [[now[member]]]) });
  registry.addCounter({
    name: 'bus_gaps_total',
    help: 'Gaps in what was heard of an owner: repaired from the history, or lost.',
    labels: ['outcome'],
    samples: samples(({ repaired, lost }) => [
      [repaired, { outcome: 'repaired' }],
      [lost, { outcome: 'lost' }],
    ]),
  });
  registry.addCounter({
    name: 'bus_takeovers_total',
    help: 'Topics taken over, by cause: the owner was dead, or ended and handed them over.',
    labels: ['cause'],
    samples: samples(({ takeovers }) => [
      [takeovers.dead, { cause: 'dead' }],
      [takeovers.handover, { cause: 'handover' }],
    ]),
  });
  registry.addHistogram(
    histogramOf({
      name: 'bus_takeover_seconds',
      help: 'From the last sign of a dead owner, or the offer of one that ends, until this server had the topic.',
      series: () => {
        const { dead, handover } = stats()?.takeoverSeconds ?? {};
        return dead === undefined || handover === undefined
          ? []
          : [
              [dead, { cause: 'dead' }],
              [handover, { cause: 'handover' }],
            ];
      },
    }),
  );
  registry.addHistogram(
    histogramOf({
      name: 'bus_delivery_lag_seconds',
      help: "From the owner's receipt of an item until this server showed it, as its follower.",
      series: () => {
        const lag = stats()?.deliverySeconds;
        return lag === undefined ? [] : [[lag]];
      },
    }),
  );
};
