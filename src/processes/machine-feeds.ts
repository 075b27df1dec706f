/** The feeds of all processes of a server, for whoever tells of them: what the others have is asked for, and remembered. */
import type { Millis } from '../schemas/common.js';
import type { HubStats } from '../streams/hub-api.js';

export type Feeds = HubStats['feeds'];

/** What is younger is not asked for again. */
const FRESH_MS: Millis = 500;

export interface MachineFeedsOptions {
  /** Those of the other processes, of one topic first as its owner has it. */
  readonly ask: () => Promise<Feeds>;
  /** What they hold is this server's. */
  readonly processes: ReadonlySet<string>;
  readonly monotonic: () => Millis;
}

const keyOf = ({ topic: { channel, exchange, symbol, interval = '' } }: Feeds[number]): string =>
  `${channel} ${exchange} ${interval} ${symbol}`;

export class MachineFeeds {
  readonly #options: MachineFeedsOptions;
  #others: Feeds = [];
  #askedAt: Millis = -Infinity;
  #asking: Promise<void> | null = null;

  constructor(options: MachineFeedsOptions) {
    this.#options = options;
  }

  /** Resolves once it is known what the others have. Never rejects: where they don't say, what they said last counts. */
  refresh(): Promise<void> {
    if (this.#options.monotonic() - this.#askedAt < FRESH_MS) return Promise.resolve();
    return (this.#asking ??= this.#ask());
  }

  /** Each topic once: as the process has it that holds the feed, or else one that follows it. `owner`: another server. */
  withOthers(own: Feeds): Feeds {
    void this.refresh();
    const all = new Map(own.map((feed) => [keyOf(feed), feed]));
    const told = new Set<string>();
    for (const feed of this.#others) {
      const key = keyOf(feed);
      const known = all.get(key);
      const isFollowed = known?.owner !== undefined && known.owner === feed.owner;
      if (!told.has(key) && (known === undefined || isFollowed)) all.set(key, feed);
      told.add(key);
    }
    const { processes } = this.#options;
    return [...all.values()].map((feed) =>
      feed.owner !== undefined && processes.has(feed.owner) ? { ...feed, owner: undefined } : feed,
    );
  }

  async #ask(): Promise<void> {
    try {
      this.#others = await this.#options.ask();
    } catch {
      // The primary is busy.
    }
    this.#askedAt = this.#options.monotonic();
    this.#asking = null;
  }
}
