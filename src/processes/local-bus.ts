/** The bus of a process of a server that has several, over the primary: between them, and to other servers where there are. */
import type { Bus, Claim, Overrule, Publication, TopicListener } from '../cluster/bus.js';
import type { Membership } from '../cluster/membership.js';
import { settleWithin } from '../lib/deadline.js';
import type { Millis } from '../schemas/common.js';
import type { EventId } from '../streams/event-ids.js';
import { LEASE_MS } from './bus-host.js';
import type { PrimaryLink } from './primary-link.js';

const DEADLINE_MS: Millis = 2_000;
/** Of claims and histories, which the primary asks Redis for in turn: longer than one may wait there. */
const TURN_DEADLINE_MS: Millis = 8_000;
/** The primary does little: where it does not answer for so long, it does not work any more. */
const AWAY_MS: Millis = 5_000;

export interface LocalBusOptions {
  /** Of the server, as others know it; null: it acts alone. */
  readonly sharesAs: string | null;
  /** Of servers, where it shares. Default: that of processes. */
  readonly leaseMs?: Millis | undefined;
  readonly now: () => Millis;
}

export class LocalBus implements Bus {
  readonly leaseMs: Millis;
  readonly #link: PrimaryLink;
  readonly #sharesAs: string | null;
  readonly #listeners = new Map<string, TopicListener>();
  readonly #startedAt: Millis;

  constructor(link: PrimaryLink, { sharesAs, leaseMs = LEASE_MS, now }: LocalBusOptions) {
    this.leaseMs = leaseMs;
    this.#link = link;
    this.#sharesAs = sharesAs;
    this.#startedAt = now();
    link.listen({
      heard: (topic, text) => this.#listeners.get(topic)?.heard(text),
      owned: (topic, owner) => this.#listeners.get(topic)?.owned(owner),
      joined: (topic) => this.#listeners.get(topic)?.joined(),
    });
  }

  /** Of this process. */
  get serverId(): string {
    return this.#link.serverId;
  }

  get isIn(): boolean {
    return this.#isLinked && (this.#sharesAs === null || this.#link.state?.isIn === true);
  }

  get health(): Membership['health'] {
    const since = this.#startedAt;
    if (!this.#isLinked) return { state: 'unshared', since, detail: 'The primary process does not answer.' };
    if (this.#sharesAs === null)
      return { state: 'ok', since, detail: 'The processes of this server share its feeds.' };
    return this.#link.state?.health ?? { state: 'unshared', since, detail: 'This server has just started.' };
  }

  /** Where the server acts alone, its processes. */
  get servers(): Membership['servers'] {
    const ids = this.#sharesAs === null ? this.#link.processes : [this.#sharesAs];
    const own = ids.map((id) => ({ id, since: this.#startedAt, owned: 0, followed: 0 }));
    return this.#link.state?.servers ?? own;
  }

  /** Its beats and round trips are those of the server. */
  get stats(): Membership['stats'] {
    return this.#link.state?.stats ?? { beats: 0, missed: 0, roundTripMs: null };
  }

  get #isLinked(): boolean {
    return this.#link.silence < AWAY_MS;
  }

  /** The link beats. */
  start(): void {
    return undefined;
  }

  /** The link is closed by who made it. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  silentFor(server: string): Millis {
    const silence = this.#link.silenceOf(server);
    if (silence !== undefined) return silence;
    return this.#sharesAs === null ? Infinity : this.#link.silenceOfServer(server);
  }

  /** Of a process its siblings; of another server the servers that are left, this one's processes as one. */
  survivors(dead: string): ReturnType<Bus['survivors']> {
    const { processes } = this.#link;
    const isProcess = this.#sharesAs === null || processes.includes(dead);
    const names = isProcess ? processes : this.servers.map(({ id }) => id);
    return { own: isProcess ? this.serverId : this.#sharesAs, ids: names.filter((id) => id !== dead) };
  }

  async claim(topic: string, overrule?: Overrule): Promise<Claim> {
    const asked = this.#link.call('claim', topic, overrule);
    try {
      return await this.#within(asked, TURN_DEADLINE_MS);
    } catch (thrown) {
      // Whoever asked has given it up: what is granted later would be held by nobody.
      asked
        .then(
          (claim) => (claim.granted ? this.release(topic, claim.fence) : undefined),
          () => undefined,
        )
        .catch(() => undefined);
      throw thrown;
    }
  }

  release(topic: string, fence: number): Promise<void> {
    return this.#within(this.#link.call('release', topic, fence));
  }

  publish(
    topic: string,
    fence: number,
    what: { readonly publications: readonly Publication[]; readonly keep: number },
  ): Promise<boolean> {
    return this.#within(this.#link.call('publish', topic, fence, what));
  }

  tell(
    topic: string,
    fence: number,
    { text, asStatus = false }: { readonly text: string; readonly asStatus?: boolean },
  ): Promise<number | null> {
    return this.#within(this.#link.call('tell', topic, fence, { text, asStatus }));
  }

  subscribe(topic: string, listener: TopicListener): () => void {
    this.#listeners.set(topic, listener);
    this.#link.send('subscribe', topic);
    return () => {
      if (this.#listeners.get(topic) !== listener) return;
      this.#listeners.delete(topic);
      this.#link.send('unsubscribe', topic);
    };
  }

  history(topic: string, after?: EventId, newest?: number): Promise<readonly Publication[]> {
    return this.#within(this.#link.call('history', topic, after, newest), TURN_DEADLINE_MS);
  }

  #within<T>(call: Promise<T>, ms = DEADLINE_MS): Promise<T> {
    const giveUp = (): Error => new Error('The primary process does not answer.');
    return settleWithin(call, { ms, giveUp });
  }
}

/** The server as one of many, for whoever tells of it. */
export const membershipOver = (bus: LocalBus, serverId: string): Membership => ({
  serverId,
  get health() {
    return bus.health;
  },
  get servers() {
    return bus.servers;
  },
  get stats() {
    return bus.stats;
  },
  start: () => undefined,
  close: () => Promise.resolve(),
});
