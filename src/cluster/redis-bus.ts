/** The bus over Redis: Lua decides who owns a topic and refuses what others publish, PUBLISH delivers, a stream repairs. */
import { createRedisConnection, type RedisConnection } from '../cache/redis-connection.js';
import { Slots } from '../lib/slots.js';
import type { Millis } from '../schemas/common.js';
import { keyPrefix } from './bus-settings.js';
import type { Bus, Claim, Overrule, Publication, TopicListener, TopicOwner } from './bus.js';
import type { EventId } from '../streams/event-ids.js';
import { createMembership, LEASE_MS, type Membership, type MembershipOptions } from './membership.js';
import { createRedisSubscriber, type RedisSubscriber } from './redis-subscriber.js';
import { StallWatch } from './stall-watch.js';
import { CLAIM, DISOWN, PUBLISH, RELEASE, SWEEP, TELL } from './topic-scripts.js';

const DEADLINE_MS: Millis = 500;
/** Own beats come every 300 ms: a subscription that has heard none for so long is dead. */
const CANARY_MS: Millis = 900;
const CANARY_EVERY_MS: Millis = 300;
/** A server of which nothing was heard for so long. */
const FORGOTTEN_AFTER_MS: Millis = 60_000;
const SWEEP_EVERY_MS: Millis = 30_000;

/**
 * Claims that Redis is asked for at once, and histories: a takeover of thousands of topics asks for all of them together, and
 * the last answers would miss their deadline.
 */
const ASKED_AT_ONCE = 100;
/** Until it is asked. */
const MAX_WAIT_MS: Millis = 5_000;

const ownerText = ({ server, fence }: TopicOwner): string => `${server}|${fence}`;
const ownerOf = (text: string): TopicOwner => {
  const at = text.lastIndexOf('|');
  return { server: text.slice(0, at), fence: Number(text.slice(at + 1)) };
};
const fencesOf = (text: string): number[] => (text === '' ? [] : text.split(' ').map(Number));

class RedisBus implements Bus {
  readonly #membership: Membership;
  readonly #connection: RedisConnection;
  readonly #subscriber: RedisSubscriber;
  readonly leaseMs: Millis;
  readonly #monotonic: () => Millis;
  readonly #prefix: string;
  /** By server; those that are not alive any more are forgotten. */
  readonly #heardAt = new Map<string, Millis>();
  /** Since when beats are heard. */
  #listensSince: Millis;
  readonly #claimSlots = new Slots(ASKED_AT_ONCE, MAX_WAIT_MS);
  readonly #historySlots = new Slots(ASKED_AT_ONCE, MAX_WAIT_MS);
  #canary: NodeJS.Timeout | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  /**
   * Topics that Redis may have as this server's though nobody here holds them, since the answer to a claim or a release did
   * not come in time. By fence; null: that is not known.
   */
  readonly #doubtful = new Map<string, number | null>();
  /** How many claims of a topic are under way. */
  readonly #claims = new Map<string, number>();
  /** By topic; each resolves once it is over. */
  readonly #givingBack = new Map<string, Promise<void>>();
  /** Of those that claims were answered with and that owners announced. */
  #highestFence = 0;
  #cursor = '0';
  #canaryReconnects = 0;
  readonly #stalls = new StallWatch(CANARY_EVERY_MS);
  #joining = false;
  #hasJoined = false;

  constructor(options: MembershipOptions) {
    const { settings, leaseMs = LEASE_MS, log, monotonic } = options;
    this.leaseMs = leaseMs;
    this.#monotonic = monotonic;
    this.#listensSince = monotonic();
    this.#prefix = keyPrefix(settings);
    this.#membership = createMembership(options);
    this.#connection = createRedisConnection({
      ...{ url: settings.url, log, now: monotonic, deadlineMs: DEADLINE_MS },
      warning: 'Redis does not answer; this server opens its own feeds until it does',
      recovery: 'Redis answers again; feeds are shared again',
    });
    this.#subscriber = createRedisSubscriber(settings.url);
  }

  get serverId(): string {
    return this.#membership.serverId;
  }

  get health(): Membership['health'] {
    return this.#membership.health;
  }

  get servers(): Membership['servers'] {
    return this.#membership.servers;
  }

  get stats(): Membership['stats'] {
    return { ...this.#membership.stats, subscriberReplaced: this.#canaryReconnects };
  }

  get isIn(): boolean {
    return this.#membership.health.state !== 'unshared';
  }

  start(): void {
    if (this.#canary !== undefined) return;
    this.#subscriber.subscribe(`${this.#prefix}:beat`, {
      heard: (text) => this.#heard(text),
      joined: () => (this.#listensSince = this.#monotonic()),
    });
    void this.#join();
    this.#canary = setInterval(() => this.#listenForItself(), CANARY_EVERY_MS).unref();
    this.#sweeper = setInterval(() => void this.#sweep(), SWEEP_EVERY_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#canary);
    this.#canary = undefined;
    clearInterval(this.#sweeper);
    // Each may wait for a Redis that does not answer.
    await Promise.all([this.#membership.close(), this.#connection.close()]);
    this.#subscriber.close();
  }

  silentFor(server: string): Millis {
    return this.#monotonic() - (this.#heardAt.get(server) ?? this.#listensSince);
  }

  survivors(dead: string): ReturnType<Bus['survivors']> {
    return { own: this.serverId, ids: this.servers.map(({ id }) => id).filter((id) => id !== dead) };
  }

  async claim(topic: string, overrule?: Overrule): Promise<Claim> {
    this.#claims.set(topic, (this.#claims.get(topic) ?? 0) + 1);
    try {
      const givingBack = this.#givingBack.get(topic);
      // Else it might give back what is granted here.
      if (givingBack !== undefined) await givingBack;
      const claim = await this.#claimSlots.run(() => this.#claim(topic, overrule));
      this.#doubtful.delete(topic);
      return claim;
    } catch (thrown) {
      // Redis may have granted it all the same, or may yet do so.
      this.#doubtful.set(topic, null);
      throw thrown;
    } finally {
      const left = (this.#claims.get(topic) ?? 1) - 1;
      if (left > 0) this.#claims.set(topic, left);
      else this.#claims.delete(topic);
    }
  }

  async #claim(topic: string, overrule: Overrule | undefined): Promise<Claim> {
    const keys = ['owners', 'servers', 'fence', `t:${topic}`, `m:${topic}`].map((key) => this.#key(key));
    const reply = await CLAIM.run(this.#connection, keys, [
      ...[topic, this.serverId, overrule === undefined ? '' : ownerText(overrule.owner)],
      ...[overrule?.because === 'handover' ? '1' : '0', this.#channel(topic)],
      this.#highestFence,
    ]);
    const [granted, holder, known, last] = reply as [number, string, string, string];
    const fences = fencesOf(known);
    const owner = this.#ownerIn(holder);
    return granted === 1
      ? { granted: true, fence: owner.fence, top: last === '' ? null : last, fences }
      : { granted: false, owner, status: last === '' ? null : last, fences };
  }

  #ownerIn(text: string): TopicOwner {
    const owner = ownerOf(text);
    // Other programs may speak on the channel.
    if (Number.isSafeInteger(owner.fence)) this.#highestFence = Math.max(this.#highestFence, owner.fence);
    return owner;
  }

  async release(topic: string, fence: number): Promise<void> {
    if (this.#doubtful.get(topic) !== null) this.#doubtful.set(topic, fence);
    await this.#release(topic, fence);
  }

  /** Where Redis does not answer it is asked again by `#giveBackDoubtful`. */
  async #release(topic: string, fence: number | null): Promise<void> {
    const keys = ['owners', `t:${topic}`, `m:${topic}`].map((key) => this.#key(key));
    const mine = fence === null ? `${this.serverId}|` : this.#mine(fence);
    await RELEASE.run(this.#connection, keys, [topic, mine, this.#channel(topic)]);
    if (this.#doubtful.get(topic) === fence) this.#doubtful.delete(topic);
  }

  /** Else the others would follow this server, which lives, and wait for a feed that nobody has. */
  #giveBackDoubtful(): void {
    for (const [topic, fence] of this.#doubtful) {
      if (this.#givingBack.has(topic)) continue;
      // Who listens holds it, or claims it again: of any fence only what nobody wants is given back.
      const isWanted = this.#claims.has(topic) || this.#subscriber.has(this.#channel(topic));
      if (fence === null && isWanted) continue;
      const end = (): void => void this.#givingBack.delete(topic);
      this.#givingBack.set(topic, this.#release(topic, fence).then(end, end));
    }
  }

  async publish(
    topic: string,
    fence: number,
    { publications, keep }: { readonly publications: readonly Publication[]; readonly keep: number },
  ): Promise<boolean> {
    const keys = [this.#key('owners'), this.#key(`t:${topic}`)];
    const reply = await PUBLISH.run(this.#connection, keys, [
      ...[topic, this.#mine(fence), this.#channel(topic), keep],
      ...publications.flatMap(({ id, text }) => [id, text]),
    ]);
    return reply === 1;
  }

  async tell(
    topic: string,
    fence: number,
    { text, asStatus = false }: { readonly text: string; readonly asStatus?: boolean },
  ): Promise<number | null> {
    const keys = [this.#key('owners'), this.#key(`m:${topic}`)];
    const args = [topic, this.#mine(fence), this.#channel(topic), text, asStatus ? '1' : '0'];
    const heard = Number(await TELL.run(this.#connection, keys, args));
    return heard < 0 ? null : heard;
  }

  subscribe(topic: string, listener: TopicListener): () => void {
    return this.#subscriber.subscribe(this.#channel(topic), {
      heard: (text) => {
        if (text.startsWith('m')) listener.heard(text.slice(1));
        else listener.owned(text === 'o' ? null : this.#ownerIn(text.slice(1)));
      },
      joined: () => listener.joined(),
    });
  }

  async history(topic: string, after?: EventId, newest?: number): Promise<Publication[]> {
    const from = after === undefined ? '-' : `(${after}`;
    const key = this.#key(`t:${topic}`);
    const entries = await this.#historySlots.run(() =>
      this.#connection.run(async (redis) =>
        newest === undefined
          ? redis.xrange(key, from, '+')
          : (await redis.xrevrange(key, '+', from, 'COUNT', newest)).reverse(),
      ),
    );
    return entries.map(([id, [, text = '']]) => ({ id, text }));
  }

  /** Takes part once what a server of this name held that died is nobody's. */
  async #join(): Promise<void> {
    if (this.#joining || this.#hasJoined) return;
    this.#joining = true;
    try {
      const prefixes = [this.#key('t:'), this.#key('m:'), this.#channel('')];
      await DISOWN.run(this.#connection, [this.#key('owners')], [this.serverId, ...prefixes]);
      this.#hasJoined = true;
      if (this.#canary !== undefined) this.#membership.start();
    } catch {
      // Redis is away; asked again with the canary.
    } finally {
      this.#joining = false;
    }
  }

  #key(name: string): string {
    return `${this.#prefix}:${name}`;
  }

  #channel(topic: string): string {
    return `${this.#prefix}:ev:${topic}`;
  }

  #mine(fence: number): string {
    return ownerText({ server: this.serverId, fence });
  }

  /** A server that leaves says so with a minus. */
  #heard(text: string): void {
    if (text.startsWith('-')) this.#heardAt.set(text.slice(1), -Infinity);
    else this.#heardAt.set(text, this.#monotonic());
  }

  #listenForItself(): void {
    void this.#join();
    if (this.isIn) this.#giveBackDoubtful();
    for (const server of this.#heardAt.keys())
      if (this.silentFor(server) > FORGOTTEN_AFTER_MS) this.#heardAt.delete(server);
    const { hasUnread } = this.#stalls.look(this.#monotonic());
    if (hasUnread || !this.isIn || this.silentFor(this.serverId) < CANARY_MS) return;
    this.#canaryReconnects += 1;
    // A new connection needs a moment too.
    this.#heardAt.delete(this.serverId);
    this.#listensSince = this.#monotonic();
    this.#subscriber.replace();
  }

  async #sweep(): Promise<void> {
    const keys = [this.#key('owners'), this.#key('servers')];
    try {
      const args = [this.#cursor, this.#key('t:'), this.#key('m:')];
      this.#cursor = String(await SWEEP.run(this.#connection, keys, args));
    } catch {
      this.#cursor = '0';
    }
  }
}

/** Connects at once; takes part once it is started. */
export const createRedisBus = (options: MembershipOptions): Bus => new RedisBus(options);
