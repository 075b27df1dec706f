/** Metrics of the cluster: is this server with the others, and how far away is Redis? */
import type { Membership } from '../cluster/membership.js';
import type { Registry, Sample } from './families.js';

export type BusSource = Pick<Membership, 'health' | 'servers' | 'stats'>;

/** For servers that share: a server that acts alone has none of these. */
export const addBus = (registry: Registry, bus: BusSource): void => {
  registry.addGauge({
    name: 'bus_up',
    help: '1 while this server shares with the others of its namespace, 0 while it acts alone.',
    samples: () => [[bus.health.state === 'unshared' ? 0 : 1]],
  });
  registry.addGauge({
    name: 'bus_servers',
    help: 'Servers of the namespace that are alive, this one included.',
    samples: () => [[bus.servers.length]],
  });
  registry.addGauge({
    name: 'bus_round_trip_seconds',
    help: 'Of the latest beat to Redis.',
    samples: (): Sample[] => {
      const { roundTripMs } = bus.stats;
      return roundTripMs === null ? [] : [[roundTripMs / 1000]];
    },
  });
  registry.addCounter({
    name: 'bus_beats_total',
    help: 'Beats to Redis by outcome: answered, missed.',
    labels: ['outcome'],
    samples: () => [
      [bus.stats.beats, { outcome: 'answered' }],
      [bus.stats.missed, { outcome: 'missed' }],
    ],
  });
};
