/**
 * Tells the log of takeovers: once a second a line for each server that topics were taken from, since they may be thousands, and
 * a log that is read slowly stops the server that writes it.
 */
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { FeedRequest } from '../../streams/feed/feed-source.js';
import type { Overrule } from '../bus.js';

const EVERY_MS: Millis = 1_000;
/** Named in the line. */
const EXAMPLES = 3;

interface Taken {
  readonly because: Overrule['because'];
  readonly from: string;
  readonly examples: FeedRequest['topic'][];
  topics: number;
}

export class TakeoverLog {
  readonly #log: Log;
  readonly #taken = new Map<string, Taken>();
  #toldAt: Millis = -Infinity;

  constructor(log: Log) {
    this.#log = log;
  }

  add(topic: FeedRequest['topic'], { because, owner }: Overrule): void {
    const key = `${because} ${owner.server}`;
    const taken = this.#taken.get(key) ?? { because, from: owner.server, examples: [], topics: 0 };
    taken.topics += 1;
    if (taken.examples.length < EXAMPLES) taken.examples.push(topic);
    this.#taken.set(key, taken);
  }

  /** `at`: by the monotonic clock. Called often. */
  tell(at: Millis): void {
    if (this.#taken.size === 0 || at - this.#toldAt < EVERY_MS) return;
    this.#toldAt = at;
    for (const taken of this.#taken.values()) this.#log.info(taken, 'took over feeds of another server');
    this.#taken.clear();
  }
}
