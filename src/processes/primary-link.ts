/** The way of a process to the primary. The primary outlives every other process: when it is gone, so is the server. */
import { createBirpc, type BirpcReturn } from 'birpc';
import { settleWithin } from '../lib/deadline.js';
import type { ReturnedLease, WindowName } from '../lib/lease-messages.js';
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import type { Beat, ServerState } from './bus-host.js';
import type { Feeds } from './machine-feeds.js';
import { connectLocally, socketPath } from './local-socket.js';
import {
  PRIMARY,
  PRIMARY_EVENTS,
  type ChildFunctions,
  type PrimaryFunctions,
  type ProcessName,
} from './primary-protocol.js';

const CONNECT_MS: Millis = 10_000;
const BEAT_MS: Millis = 300;
/** A third of what a sum may be behind. */
const METRICS_EVERY_MS: Millis = 1_000;

type Rpc = BirpcReturn<PrimaryFunctions, ChildFunctions, false>;
type Listeners = Pick<ChildFunctions, 'heard' | 'owned' | 'joined' | 'noticed'> & {
  recall(windows: readonly WindowName[]): readonly ReturnedLease[];
  ownFeeds(): Feeds;
};

export interface PrimaryLinkOptions {
  readonly folder: string;
  readonly name: ProcessName;
  readonly serverId: string;
  readonly log: Log;
  readonly monotonic: () => Millis;
}

export class PrimaryLink {
  readonly name: ProcessName;
  readonly serverId: string;
  readonly #rpc: Rpc;
  readonly #close: () => void;
  readonly #monotonic: () => Millis;
  #listeners: Partial<Listeners> = {};
  #metrics: () => Promise<string> = () => Promise.resolve('');
  #timers: NodeJS.Timeout[] = [];
  #beatAt: Millis;
  #beating = false;
  /** The latest answer to a beat. */
  #beat: Beat = { processes: new Map(), servers: new Map(), state: null };
  /** Servers whose silence was wanted since the latest beat. */
  #asked = new Set<string>();

  constructor(
    { name, serverId, monotonic }: PrimaryLinkOptions,
    rpc: (own: ChildFunctions) => Rpc,
    close: () => void,
  ) {
    this.name = name;
    this.serverId = serverId;
    this.#monotonic = monotonic;
    this.#beatAt = monotonic();
    this.#close = close;
    this.#rpc = rpc({
      ownMetrics: () => this.#metrics(),
      ownFeeds: () => this.#listeners.ownFeeds?.() ?? [],
      recall: async (windows) => {
        // Answers that came with this call are taken over first.
        await new Promise<void>((resolve) => setImmediate(resolve));
        return this.#listeners.recall?.(windows) ?? [];
      },
      heard: (topic, text) => this.#listeners.heard?.(topic, text),
      owned: (topic, owner) => this.#listeners.owned?.(topic, owner),
      joined: (topic) => this.#listeners.joined?.(topic),
      state: (state) => (this.#beat = { ...this.#beat, state }),
      noticed: (topic, text) => this.#listeners.noticed?.(topic, text),
    });
  }

  call<K extends keyof PrimaryFunctions>(
    name: K,
    ...args: Parameters<PrimaryFunctions[K]>
  ): Promise<Awaited<ReturnType<PrimaryFunctions[K]>>> {
    // birpc works the arguments out from the name, which the compiler can't follow for a name that is generic itself.
    return this.#rpc.$call(name, ...(args as never));
  }

  send<K extends (typeof PRIMARY_EVENTS)[number]>(name: K, ...args: Parameters<PrimaryFunctions[K]>): void {
    this.#rpc.$callEvent(name, ...(args as never)).catch(() => undefined);
  }

  listen(listeners: Partial<Listeners>): void {
    this.#listeners = { ...this.#listeners, ...listeners };
  }

  /** Since the primary last answered. */
  get silence(): Millis {
    return this.#monotonic() - this.#beatAt;
  }

  /** Since another process was last heard of; undefined: it is not there. */
  silenceOf(process: string): Millis | undefined {
    const known = this.#beat.processes.get(process);
    return known === undefined ? undefined : known + this.silence;
  }

  /** Since another server was last heard of; 0: not known before the next beat. */
  silenceOfServer(server: string): Millis {
    this.#asked.add(server);
    const known = this.#beat.servers.get(server);
    return known === undefined ? 0 : known + this.silence;
  }

  /** Processes on the bus, as of the latest beat. */
  get processes(): readonly string[] {
    return [...this.#beat.processes.keys()];
  }

  /** null: the server acts alone, or has not told. */
  get state(): ServerState | null {
    return this.#beat.state;
  }

  /** `metrics`: of this process, in Prometheus' text format. */
  async start(metrics: () => Promise<string>): Promise<void> {
    this.#metrics = metrics;
    const keep = async (): Promise<void> => this.send('keepMetrics', await metrics());
    this.#timers = [
      setInterval(() => void this.#sendBeat(), BEAT_MS).unref(),
      setInterval(() => void keep().catch(() => undefined), METRICS_EVERY_MS).unref(),
    ];
    await this.#sendBeat();
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#rpc.$close();
    this.#close();
  }

  async #sendBeat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    const at = this.#monotonic();
    const asked = [...this.#asked];
    this.#asked.clear();
    try {
      this.#beat = await this.call('beat', asked);
      this.#beatAt = at;
    } catch {
      // The primary is gone, and this process is about to end.
    } finally {
      this.#beating = false;
    }
  }
}

/** Rejects where the primary is not there. */
export const connectPrimary = async (options: PrimaryLinkOptions): Promise<PrimaryLink> => {
  const late = AbortSignal.timeout(CONNECT_MS);
  const port = await connectLocally(socketPath(options.folder, PRIMARY), late);
  if (port === null) throw new Error('The primary process does not answer.');
  const link = new PrimaryLink(
    options,
    (own) =>
      createBirpc<PrimaryFunctions, ChildFunctions, false>(own, {
        ...{ proxify: false, bind: 'functions', timeout: -1, eventNames: [...PRIMARY_EVENTS] },
        post: (message) => port.postMessage(message),
        on: (listener) => void port.on('message', listener),
      }),
    () => port.close(),
  );
  port.once('close', () => link.close());
  const giveUp = (): Error => new Error('The primary process does not answer.');
  await settleWithin(link.call('hello', options.name, options.serverId), { ms: CONNECT_MS, giveUp });
  return link;
};
