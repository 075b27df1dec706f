/** What a serving process has in place of venues, store and cluster of its own: those of the feeder, and the primary's memory. */
import type { SharedCounts } from '../access/client-limiter-sharing.js';
import type { LeaseSource } from '../access/window-leases.js';
import { createListeners, type Notices } from '../access/notify/notices.js';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import type { LedgerStats } from '../ledger/ledger.js';
import type { StoreHandle } from '../ledger/store-status.js';
import { settleWithin } from '../lib/deadline.js';
import type { TakePlaces } from '../lib/open-places.js';
import type { Millis } from '../schemas/common.js';
import { FeederExchanges } from '../processes/feeder-exchanges.js';
import { connectFeederServices } from '../processes/feeder-services.js';
import type { Membership } from '../cluster/membership.js';
import { LocalBus, membershipOver } from '../processes/local-bus.js';
import { MachineFeeds, type Feeds } from '../processes/machine-feeds.js';
import { idOfProcess, type Place } from '../processes/place.js';
import { connectPrimary, type PrimaryLink } from '../processes/primary-link.js';
import type { Base, Own } from './drivers.js';

/** Nobody waits for these replies. */
const COUNT_MS: Millis = 500;
/** A primary that is silent for so long is not asked to count. */
const SILENT_MS: Millis = 1_000;

export interface ServerPart {
  readonly exchanges: ExchangeClient;
  /** null: no candles are kept. */
  readonly store: StoreHandle | null;
  readonly coinMarketCap: CoinMarketCapClient | null;
  /** What the feeder counts of the store; null before it has. */
  ledgerStats(): LedgerStats | null;
  /** Where the processes share feeds. */
  readonly bus: LocalBus;
  /** Of the server among others; null: it acts alone. */
  readonly membership: Membership | null;
  /** Counts of clients, added up by the primary. */
  readonly counts: SharedCounts;
  /** What of clients' windows this process may use. */
  readonly leases: LeaseSource;
  /** Places of what may be open at once. */
  readonly takePlaces: TakePlaces;
  /** To the other processes. */
  readonly notices: Notices;
  /** Of all processes. */
  readonly feeds: Pick<MachineFeeds, 'refresh' | 'withOthers'>;
  /** Tells the others of the feeds of this process from now on. */
  tellFeeds(own: () => Feeds): void;
  /** Metrics of all processes; rejects where the primary does not answer. */
  metrics(): Promise<string>;
  /** Tells the primary those of this process from now on. */
  tellMetrics(own: () => Promise<string>): Promise<void>;
}

const noticesOver = (link: PrimaryLink): Notices => {
  const { on, tell } = createListeners();
  link.listen({ noticed: tell });
  return { on, notify: (topic, text) => link.send('notify', topic, text), close: () => Promise.resolve() };
};

const IN_TIME = {
  ms: COUNT_MS,
  giveUp: (): Error => new Error('The primary process does not answer.'),
};

const countsOver = (link: PrimaryLink): SharedCounts => ({
  get isUp() {
    return link.silence < SILENT_MS;
  },
  async add(counted) {
    const plain = counted.map(({ key, hits, windowMs, leftMs }) => ({ key, hits, windowMs, leftMs }));
    try {
      return await settleWithin(link.call('count', plain), IN_TIME);
    } catch {
      return counted.map(() => undefined);
    }
  },
  close: () => Promise.resolve(),
});

const leasesOver = (link: PrimaryLink): LeaseSource => ({
  get isUp() {
    return link.silence < SILENT_MS;
  },
  async ask(questions) {
    try {
      return await settleWithin(link.call('lease', questions), IN_TIME);
    } catch {
      return questions.map(() => undefined);
    }
  },
  onRecall: (recall) => link.listen({ recall }),
});

const feedsOfOthers = (link: PrimaryLink): Promise<Feeds> =>
  settleWithin(link.call('feedsOfOthers'), IN_TIME);

/** Where the primary does not answer, each process counts for itself. */
const placesOver = (link: PrimaryLink): TakePlaces => {
  let lastId = 0;
  return (wanted) => {
    const id = (lastId += 1);
    const asked = settleWithin(link.call('takePlaces', id, wanted), IN_TIME);
    return { missing: asked.catch(() => null), giveBack: () => link.send('giveBackPlaces', id) };
  };
};

/** Rejects where primary or feeder cannot be reached. */
export const openServerPart = async (
  place: Place,
  { config, bus: others, names, log, now, monotonic }: Base,
  own: Own,
): Promise<ServerPart> => {
  const { folder, name, serverId } = place;
  const link = await connectPrimary({ folder, name, serverId: config.serverId, log, monotonic });
  own('primary', () => link.close());
  const services = await connectFeederServices(folder, { log, now });
  own('feeder', () => services.close());
  const bus = new LocalBus(link, {
    ...{ sharesAs: others === null ? null : serverId, now },
    leaseMs: others === null ? undefined : config.bus?.leaseMs,
  });
  const processes = Array.from({ length: config.serverProcesses }, (_, at) =>
    idOfProcess({ name: String(at + 1), serverId }),
  );
  return {
    exchanges: new FeederExchanges({
      ...{ folder, exchanges: names.exchangeIds, budget: config.budget, log, now, monotonic },
    }),
    store: services.store,
    coinMarketCap: services.coinMarketCap,
    ledgerStats: () => services.facts.ledger,
    bus,
    membership: others === null ? null : membershipOver(bus, serverId),
    counts: countsOver(link),
    leases: leasesOver(link),
    takePlaces: placesOver(link),
    notices: noticesOver(link),
    feeds: new MachineFeeds({
      ask: () => feedsOfOthers(link),
      processes: new Set(processes),
      monotonic,
    }),
    tellFeeds: (own) => link.listen({ ownFeeds: own }),
    metrics: () => link.call('metrics'),
    tellMetrics: (metrics) => link.start(metrics),
  };
};
