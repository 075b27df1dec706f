/** Metrics of the streams: topics, feeds and clients. */
import type { ConnectionStats } from '../streams/clients/connections.js';
import type { HubStats } from '../streams/hub-api.js';
import type { Labels, Registry, Sample } from './families.js';

/** Feeds summed up by `labelsOf`: a symbol is a client's choice and no label. */
const grouped = (
  feeds: HubStats['feeds'],
  labelsOf: (feed: HubStats['feeds'][number]) => Labels,
  {
    value,
    join,
  }: { value: (feed: HubStats['feeds'][number]) => number; join: (a: number, b: number) => number },
): Sample[] => {
  const groups = new Map<string, Sample>();
  for (const feed of feeds) {
    const labels = labelsOf(feed);
    const key = Object.values(labels).join(' ');
    const before = groups.get(key);
    groups.set(key, [before === undefined ? value(feed) : join(before[0], value(feed)), labels]);
  }
  return [...groups.values()];
};

export const addHub = (registry: Registry, stats: () => HubStats): void => {
  registry.addGauge({
    name: 'stream_topics',
    help: 'Topics (channel, exchange, symbol) with a feed.',
    samples: () => [[stats().topics]],
  });
  registry.addGauge({
    name: 'stream_subscriptions',
    help: 'Subscriptions of all clients to topics.',
    samples: () => [[stats().subscribers]],
  });
  registry.addCounter({
    name: 'stream_events_in_total',
    help: 'Messages that feeds brought in.',
    samples: () => [[stats().eventsIn]],
  });
  registry.addCounter({
    name: 'stream_events_out_total',
    help: 'Events made of them, counted once for each subscription that they go to.',
    samples: () => [[stats().eventsOut]],
  });
  registry.addCounter({
    name: 'stream_reconnects_total',
    help: 'Feeds that were opened again.',
    samples: () => [[stats().reconnects]],
  });
  registry.addCounter({
    name: 'book_resyncs_total',
    help: 'Live order books that were found to be wrong: sequence, checksum, crossed, crosscheck, unreadable.',
    labels: ['exchange', 'reason'],
    samples: () => stats().bookResyncs.map(({ exchange, reason, count }) => [count, { exchange, reason }]),
  });
  registry.addGauge({
    name: 'stream_feeds',
    help: 'Feeds by exchange, channel and state: live, polling, reconnecting, stale.',
    labels: ['exchange', 'channel', 'state'],
    samples: () =>
      grouped(
        stats().feeds,
        ({ topic, state }) => ({ exchange: topic.exchange, channel: topic.channel, state }),
        { value: () => 1, join: (a, b) => a + b },
      ),
  });
  registry.addGauge({
    name: 'stream_last_item_timestamp_seconds',
    help: 'When the quietest feed of an exchange and channel brought its last message, in seconds since the epoch.',
    labels: ['exchange', 'channel'],
    samples: () =>
      grouped(
        stats().feeds.filter(({ lastItemAt }) => lastItemAt !== null),
        ({ topic }) => ({ exchange: topic.exchange, channel: topic.channel }),
        {
          value: ({ lastItemAt }) => (lastItemAt ?? 0) / 1000,
          join: Math.min,
        },
      ),
  });
};

export const addConnections = (registry: Registry, stats: () => ConnectionStats): void => {
  registry.addGauge({
    name: 'stream_clients',
    help: 'Open stream connections by kind.',
    labels: ['kind'],
    samples: () => [
      [stats().sse, { kind: 'sse' }],
      [stats().websocket, { kind: 'websocket' }],
    ],
  });
  registry.addCounter({
    name: 'stream_clients_opened_total',
    help: 'Stream connections since the start, by kind.',
    labels: ['kind'],
    samples: () => [
      [stats().opened.sse, { kind: 'sse' }],
      [stats().opened.websocket, { kind: 'websocket' }],
    ],
  });
  const counters = [
    ['stream_clients_refused_total', 'Clients turned away at STREAM_MAX_CONNECTIONS.', 'refused'],
    ['stream_clients_dropped_total', 'Readers that were closed because they were stuck.', 'dropped'],
    ['stream_events_delivered_total', 'Events handed to clients, each client counted.', 'delivered'],
    [
      'stream_events_conflated_total',
      'Events replaced by later ones before a slow reader took them.',
      'conflated',
    ],
    ['stream_events_lost_total', 'Trades that slow readers lost, and were told so.', 'lost'],
  ] as const;
  for (const [name, help, member] of counters)
    registry.addCounter({ name, help, samples: () => [[stats()[member]]] });
};
