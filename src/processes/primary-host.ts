/** What the processes of a server have in common, in the primary: counts, the bus, notices, metrics. */
import { createBirpc, type BirpcReturn } from 'birpc';
import { settleWithin } from '../lib/deadline.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import type { BusHost, BusListener } from './bus-host.js';
import type { FramedPort } from './framed-port.js';
import { LocalBusHost } from './local-bus-host.js';
import type { Feeds } from './machine-feeds.js';
import { listenLocally, socketPath, type LocalServer } from './local-socket.js';
import { addMetrics, metricsText, readMetrics, type Families } from './metrics-sum.js';
import { FEEDER } from './feeder-protocol.js';
import {
  CHILD_EVENTS,
  PRIMARY,
  type ChildFunctions,
  type PrimaryFunctions,
  type ProcessName,
} from './primary-protocol.js';
import { OpenPlaces } from './open-places.js';
import { SharedCounts } from './shared-counts.js';
import { WindowLeases, type LeaseHolder } from './window-leases.js';

/** What a process may take to tell its metrics; after that those that it told last are used. */
const METRICS_MS: Millis = 500;
/** … and its feeds; after that it is taken to have none. */
const FEEDS_MS: Millis = 300;

interface Child {
  readonly rpc: BirpcReturn<ChildFunctions, PrimaryFunctions, false>;
  readonly listener: BusListener;
  readonly holder: LeaseHolder;
  serverId: string;
  metrics: string;
  beatAt: Millis;
}

export interface PrimaryHostOptions {
  /** Of the sockets. */
  readonly folder: string;
  /** The primary's own metrics. */
  readonly ownMetrics: () => Promise<string>;
  /** Of events of streams that are kept here; default: no bound. */
  readonly historyBytes?: number | undefined;
  /** Of the processes; closed here. Default: one in the memory of this process, for a server that acts alone. */
  readonly bus?: BusHost | undefined;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface PrimaryHost {
  /** Since the process was last heard of; null: it is not connected. */
  silentFor(name: ProcessName): Millis | null;
  close(): Promise<void>;
}

class Host implements PrimaryHost {
  readonly #options: PrimaryHostOptions;
  readonly #children = new Map<ProcessName, Child>();
  readonly #bus: BusHost;
  readonly #counts: SharedCounts;
  readonly #leases: WindowLeases;
  readonly #places = new OpenPlaces<Child>();
  /** Counters of the processes that are gone. */
  readonly #gone: Families = new Map();
  #server: LocalServer | null = null;

  constructor(options: PrimaryHostOptions) {
    this.#options = options;
    this.#bus = options.bus ?? new LocalBusHost(options);
    this.#counts = new SharedCounts(options);
    this.#leases = new WindowLeases({
      monotonic: options.monotonic,
      holders: () => [...this.#children.keys()].filter((name) => name !== FEEDER).length,
    });
  }

  async listen(): Promise<void> {
    this.#server = await listenLocally(socketPath(this.#options.folder, PRIMARY), (port) =>
      this.#serve(port),
    );
  }

  silentFor(name: ProcessName): Millis | null {
    const child = this.#children.get(name);
    return child === undefined ? null : this.#options.monotonic() - child.beatAt;
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.#bus.close();
  }

  #serve(port: FramedPort): void {
    const { monotonic } = this.#options;
    const bus = this.#bus;
    let name: ProcessName = '';
    const functions: PrimaryFunctions = {
      hello: (own, serverId) => {
        name = own;
        child.serverId = serverId;
        this.#children.set(name, child);
        // The feeder takes no part in the bus.
        if (serverId !== '') bus.join(serverId, child.listener);
      },
      beat: (asked) => {
        child.beatAt = monotonic();
        return bus.beat(child.serverId, asked);
      },
      metrics: () => this.#metrics(),
      feedsOfOthers: () => this.#feedsOfOthers(child),
      count: (counted) => this.#counts.add(counted),
      takePlaces: (id, wanted) => this.#places.take(child, id, wanted),
      giveBackPlaces: (id) => this.#places.giveBack(child, id),
      lease: (questions) => this.#leases.ask(child.holder, questions),
      claim: (topic, overrule) => bus.claim(child.serverId, topic, overrule),
      release: (topic, fence) => bus.release(child.serverId, topic, fence),
      publish: (topic, fence, what) => bus.publish(child.serverId, topic, { fence, ...what }),
      tell: (topic, fence, message) => bus.tell(child.serverId, topic, { fence, ...message }),
      subscribe: (topic) => bus.subscribe(child.serverId, topic),
      history: (topic, after, newest) => bus.history(topic, after, newest),
      unsubscribe: (topic) => bus.unsubscribe(child.serverId, topic),
      notify: (topic, text) => {
        for (const other of this.#children.values())
          if (other !== child) other.rpc.$callEvent('noticed', topic, text).catch(() => undefined);
      },
      keepMetrics: (text) => (child.metrics = text),
    };
    const rpc = createBirpc<ChildFunctions, PrimaryFunctions, false>(functions, {
      ...{ proxify: false, bind: 'functions', timeout: -1, eventNames: [...CHILD_EVENTS] },
      post: (message) => port.postMessage(message),
      on: (listener) => void port.on('message', listener),
    });
    const child: Child = {
      rpc,
      listener: {
        heard: (topic, text) => void rpc.$callEvent('heard', topic, text).catch(() => undefined),
        owned: (topic, owner) => void rpc.$callEvent('owned', topic, owner).catch(() => undefined),
        joined: (topic) => void rpc.$callEvent('joined', topic).catch(() => undefined),
        state: (state) => void rpc.$callEvent('state', state).catch(() => undefined),
      },
      holder: { recall: (windows) => rpc.$call('recall', windows) },
      ...{ serverId: '', metrics: '', beatAt: monotonic() },
    };
    port.once('close', () => {
      rpc.$close();
      bus.leave(child.serverId, child.listener);
      this.#leases.leave(child.holder);
      this.#places.leave(child);
      if (this.#children.get(name) === child) this.#children.delete(name);
      addMetrics(this.#gone, readMetrics(child.metrics), null);
    });
  }

  async #feedsOfOthers(asker: Child): Promise<Feeds> {
    const giveUp = (): Error => new Error('The process is busy.');
    const others = [...this.#children.values()].filter((other) => other !== asker && other.serverId !== '');
    const told = await Promise.all(
      others.map(({ rpc, serverId }) =>
        settleWithin(rpc.$call('ownFeeds'), { ms: FEEDS_MS, giveUp }).then(
          (feeds) =>
            feeds.map((feed) => ({
              isHeld: feed.owner === undefined,
              feed: { ...feed, owner: feed.owner ?? serverId },
            })),
          () => [],
        ),
      ),
    );
    // A feed as its holder has it, rather than as a follower.
    const all = told.flat();
    return [...all.filter(({ isHeld }) => isHeld), ...all.filter(({ isHeld }) => !isHeld)].map(
      ({ feed }) => feed,
    );
  }

  async #metrics(): Promise<string> {
    const { ownMetrics } = this.#options;
    const giveUp = (): Error => new Error('The process is busy.');
    const told = [...this.#children].map(async ([name, child]) => {
      try {
        const asked = child.rpc.$call('ownMetrics');
        child.metrics = await settleWithin(asked, { ms: METRICS_MS, giveUp });
      } catch {
        // It was busy, or has ended meanwhile.
        if (this.#children.get(name) !== child) return null;
      }
      return { name, text: child.metrics };
    });
    const own = { name: PRIMARY, text: await ownMetrics() };
    const all = await Promise.all(told);
    const sum: Families = new Map();
    for (const one of [own, ...all]) if (one !== null) addMetrics(sum, readMetrics(one.text), one.name);
    addMetrics(sum, this.#gone, null);
    return metricsText(sum);
  }
}

export const startPrimaryHost = async (options: PrimaryHostOptions): Promise<PrimaryHost> => {
  const host = new Host(options);
  await host.listen();
  return host;
};
