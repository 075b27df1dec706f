/** The checks of a server's shared feeds: of all of them at every look, or of a part where nothing is about to change. */
import type { Millis } from '../../schemas/common.js';
import type { Moment } from './moment.js';
import type { SharedFeed } from './shared-feed.js';

/** In so long each feed is looked at while all is calm: there may be thousands. */
const ROUND_MS: Millis = 1_000;
/** A server is heard every 300 ms: one that has missed two beats may be dead, and what it feeds may want a new owner. */
const UNSURE_AFTER_MS: Millis = 700;

export class FeedChecks {
  readonly #feeds: ReadonlySet<SharedFeed>;
  /** Every feed was settled when it was last looked at, and none has said since that it is not. */
  #isCalm = false;
  #wasUneventful = false;
  /** Who feeds what this server follows. */
  #owners = new Set<string>();
  /** Those of this server when the bus was last there. */
  #leases: number | undefined;
  #lookedAt: Millis = -Infinity;
  /** What is left of the round. */
  #rest: Iterator<SharedFeed> = [][Symbol.iterator]();

  /** `feeds`: may change at any time; of those that come it is told by `unsettled`. */
  constructor(feeds: ReadonlySet<SharedFeed>) {
    this.#feeds = feeds;
  }

  /** A feed is new, or something that it asked of the bus was not answered: the next look is at all of them. */
  unsettled(): void {
    this.#isCalm = false;
  }

  look(moment: Moment): void {
    const isUneventful = this.#isUneventful(moment);
    // What could not be done in an eventful moment is done in the one behind it.
    if (this.#isCalm && isUneventful && this.#wasUneventful) this.#lookAtSome(moment);
    else this.#lookAtAll(moment);
    this.#wasUneventful = isUneventful;
    if (moment.isIn) this.#leases = moment.leases;
    this.#lookedAt = moment.at;
  }

  #isUneventful({ isIn, mayReturn, leases, silentFor }: Moment): boolean {
    if (!isIn || !mayReturn || leases !== this.#leases) return false;
    return [...this.#owners].every((server) => silentFor(server) < UNSURE_AFTER_MS);
  }

  #lookAtAll(moment: Moment): void {
    this.#owners = new Set();
    this.#isCalm = true;
    for (const feed of this.#feeds) this.#lookAt(feed, moment);
    this.#rest = this.#feeds.values();
  }

  /** As many as fit the time since the last look. The set's iterator reaches what was added, and leaves out what was deleted. */
  #lookAtSome(moment: Moment): void {
    const share = Math.min(1, (moment.at - this.#lookedAt) / ROUND_MS);
    for (let left = Math.ceil(this.#feeds.size * share); left > 0; left -= 1) {
      let next = this.#rest.next();
      if (next.done === true) {
        this.#rest = this.#feeds.values();
        next = this.#rest.next();
      }
      if (next.done === true) return;
      this.#lookAt(next.value, moment);
    }
  }

  #lookAt(feed: SharedFeed, moment: Moment): void {
    feed.check(moment);
    const { owner, isSettled } = feed;
    if (owner !== undefined) this.#owners.add(owner);
    if (!isSettled) this.#isCalm = false;
  }
}
