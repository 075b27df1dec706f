/** The cluster as the settings have it: where servers meet, and what of it a server or a process of one takes part in. */
import { createHash, randomBytes } from 'node:crypto';
import type { Bus } from '../cluster/bus.js';
import type { SharedFeeds } from '../cluster/feeds/shared-feeds.js';
import type { Membership } from '../cluster/membership.js';
import type { Config } from '../config/config.js';
import type { BusPlace } from '../exchanges/worker/protocol.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Log } from '../log/log.js';
import type { MachineBus } from '../processes/machine-bus.js';
import type { FeedSources } from '../streams/feed/feed-source.js';
import type { Base } from './drivers.js';

/** Of a random server id, and of the digest that names an egress. */
const SERVER_ID_BYTES = 6;
const EGRESS_LENGTH = 16;

const digest = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, EGRESS_LENGTH);

/** Egress of servers that use the same proxy, or the same simulated venues, without telling an address or a password. */
const egressOf = ({ proxy: { https, http }, sandbox }: Pick<Config, 'proxy' | 'sandbox'>): string => {
  if (typeof sandbox === 'string') return digest(sandbox);
  return https === '' && http === '' ? 'direct' : digest(`${https} ${http}`);
};

/** The same settings with a name of this server: a random one where they say none. */
export const named = (config: Config): Config =>
  config.serverId === '' ? { ...config, serverId: randomBytes(SERVER_ID_BYTES).toString('hex') } : config;

/** Where this server meets others; null: it acts alone. */
export const busPlaceOf = ({ bus, redis, proxy, sandbox, serverId }: Config): BusPlace | null => {
  if (bus === null) return null;
  const egress = bus.egress === '' ? egressOf({ proxy, sandbox }) : bus.egress;
  return {
    ...{ url: redis.url, namespace: bus.namespace, serverId, sandbox: sandbox !== false },
    // The venues inside this process are nobody else's: there is no budget to share.
    egress: sandbox === true ? `inside-${serverId}` : egress,
  };
};

/** Servers with other venues share no feed; '': the real ones. */
const venuesOf = ({ sandbox }: Config): string => (typeof sandbox === 'string' ? digest(sandbox) : '');

/** What a process has of the server whose part it is. `membership`: null: the server acts alone. */
type ClusterPart = Pick<Cluster, 'membership'> & { readonly bus: Bus };

export interface Cluster {
  /** Beats once it is started; null: this server acts alone. */
  readonly membership: Membership | null;
  /** Where the hub gets its feeds from. */
  readonly feeds: FeedSources;
  /** null: each server has its own. */
  readonly shared: SharedFeeds | null;
}

/** `local`: the feeds of this process. `topics`: how many there are. `part`: it is one of several of a server. */
export const createCluster = async (
  { config, bus, log, now, monotonic }: Base,
  {
    local,
    topics,
    random,
    part = null,
  }: { local: FeedSources; topics: () => number; random: () => number; part?: ClusterPart | null },
): Promise<Cluster> => {
  if (part !== null) {
    const { createSharedFeeds } = await import('../cluster/feeds/shared-feeds.js');
    const { events, bytes } = config.localHistory;
    const { membership } = part;
    const shared = createSharedFeeds({
      ...{ bus: part.bus, local, history: events, log, now, monotonic, random },
      // Where it acts alone, the primary bounds what is kept of all processes.
      historyBytes: membership === null ? bytes : bytes / config.serverProcesses,
      venues: membership === null ? '' : venuesOf(config),
    });
    return { membership, feeds: shared, shared };
  }
  if (bus === null || config.bus === null) return { membership: null, feeds: local, shared: null };
  const { leaseMs, history, historyBytes } = config.bus;
  const common = { settings: bus, leaseMs, limit: config.budget.requests, log, now, monotonic };
  // The venues inside this process are nobody else's: there is no feed to share.
  if (config.sandbox === true) {
    const { createMembership } = await import('../cluster/membership.js');
    const membership = createMembership({ ...common, topics: () => ({ owned: topics(), followed: 0 }) });
    return { membership, feeds: local, shared: null };
  }
  const { createRedisBus } = await import('../cluster/redis-bus.js');
  const { createSharedFeeds } = await import('../cluster/feeds/shared-feeds.js');
  const membership = createRedisBus({ ...common, topics: () => shared.stats });
  const shared: SharedFeeds = createSharedFeeds({
    ...{ bus: membership, local, history, historyBytes, log, now, monotonic, random },
    venues: venuesOf(config),
  });
  return { membership, feeds: shared, shared };
};

/**
 * The place of a server of several processes among the others, in its primary, which outlives the rest. `config`: as the
 * processes that serve have it. null: the server acts alone.
 */
export const createMachineBus = async (config: Config, log: Log): Promise<MachineBus | null> => {
  const settings = busPlaceOf(config);
  if (settings === null || config.bus === null) return null;
  const { leaseMs } = config.bus;
  const { createRedisBus } = await import('../cluster/redis-bus.js');
  const { MachineBus } = await import('../processes/machine-bus.js');
  const common = {
    settings,
    leaseMs,
    limit: config.budget.requests,
    log,
    now: Date.now,
    monotonic: steadyNow,
  };
  return new MachineBus({
    createBus: (topics) => createRedisBus({ ...common, topics }),
    monotonic: steadyNow,
  });
};
