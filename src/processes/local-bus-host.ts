/**
 * The bus of the processes of one server, in its primary's memory: who owns a topic, what it brought, who listens. It is
 * there for as long as any of them is.
 */
import type { Claim, Overrule, Publication, TopicOwner } from '../cluster/bus.js';
import { LEASE_MS, MAX_FENCES, type Beat, type BusHost, type BusListener } from './bus-host.js';
import type { Millis } from '../schemas/common.js';
import { compareEventIds, type EventId } from '../streams/event-ids.js';

/** What is kept of a topic without an owner. */
const ORPHAN_MS: Millis = 600_000;
const SWEEP_EVERY_MS: Millis = 30_000;

interface Topic {
  owner: TopicOwner | null;
  status: string | null;
  fences: number[];
  kept: Publication[];
  /** By the process that listens. */
  readonly listeners: Map<string, BusListener>;
  /** Since when nobody owns it or listens. */
  orphanedAt: Millis | null;
}

export interface LocalBusHostOptions {
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
  /** Of all events that are kept; the latest of each topic is kept all the same. Default: no bound. */
  readonly historyBytes?: number | undefined;
}

interface Member {
  readonly listener: BusListener;
  beatAt: Millis;
}

export class LocalBusHost implements BusHost {
  readonly #now: () => Millis;
  readonly #monotonic: () => Millis;
  readonly #topics = new Map<string, Topic>();
  readonly #members = new Map<string, Member>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #maxBytes: number;
  #fence = 0;
  /** Of all events that are kept, as their JSON. */
  #bytes = 0;

  constructor({ now, monotonic, historyBytes = Infinity }: LocalBusHostOptions) {
    this.#maxBytes = historyBytes;
    this.#now = now;
    this.#monotonic = monotonic;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_EVERY_MS).unref();
  }

  close(): Promise<void> {
    clearInterval(this.#sweeper);
    return Promise.resolve();
  }

  join(id: string, listener: BusListener): void {
    this.#members.set(id, { listener, beatAt: this.#monotonic() });
  }

  leave(id: string, listener: BusListener): void {
    if (this.#members.get(id)?.listener !== listener) return;
    this.#members.delete(id);
    for (const [name, topic] of this.#topics) {
      if (topic.listeners.get(id) === listener) topic.listeners.delete(id);
      if (topic.owner?.server !== id) continue;
      topic.owner = topic.status = null;
      topic.orphanedAt = this.#monotonic();
      for (const other of topic.listeners.values()) other.owned(name, null);
    }
  }

  beat(id: string): Beat {
    const at = this.#monotonic();
    const own = this.#members.get(id);
    if (own !== undefined) own.beatAt = at;
    const processes = new Map([...this.#members].map(([member, { beatAt }]) => [member, at - beatAt]));
    return { processes, servers: new Map(), state: null };
  }

  claim(id: string, name: string, overrule: Overrule | undefined): Claim {
    const topic = this.#topicOf(name);
    const { owner, status, fences } = topic;
    if (owner !== null && owner.server !== id && !this.#mayOverrule(owner, overrule))
      return { granted: false, owner, status, fences };
    const fence = (this.#fence = Math.max(this.#fence + 1, Math.trunc(this.#now())));
    topic.owner = { server: id, fence };
    topic.fences = [...fences, fence].slice(-MAX_FENCES);
    topic.orphanedAt = null;
    for (const listener of topic.listeners.values()) listener.owned(name, topic.owner);
    return { granted: true, fence, top: topic.kept.at(-1)?.id ?? null, fences };
  }

  release(id: string, name: string, fence: number): void {
    const topic = this.#held(id, name, fence);
    if (topic === null) return;
    topic.owner = topic.status = null;
    topic.orphanedAt = this.#monotonic();
    for (const listener of topic.listeners.values()) listener.owned(name, null);
  }

  publish(
    id: string,
    name: string,
    { fence, publications, keep }: { fence: number; publications: readonly Publication[]; keep: number },
  ): boolean {
    const topic = this.#held(id, name, fence);
    if (topic === null) return false;
    for (const publication of publications) {
      const top = topic.kept.at(-1);
      // Sent again after an answer that was lost.
      if (top !== undefined && compareEventIds(publication.id, top.id) <= 0) continue;
      topic.kept.push(publication);
      this.#bytes += publication.text.length;
      this.#shorten(topic, keep);
      if (this.#bytes > this.#maxBytes) this.#makeRoom();
      for (const listener of topic.listeners.values()) listener.heard(name, publication.text);
    }
    return true;
  }

  tell(
    id: string,
    name: string,
    { fence, text, asStatus }: { fence: number; text: string; asStatus: boolean },
  ): number | null {
    const topic = this.#held(id, name, fence);
    if (topic === null) return null;
    if (asStatus) topic.status = text;
    for (const listener of topic.listeners.values()) listener.heard(name, text);
    return topic.listeners.size;
  }

  subscribe(id: string, name: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#topicOf(name).listeners.set(id, member.listener);
    member.listener.joined(name);
  }

  unsubscribe(id: string, name: string): void {
    this.#topics.get(name)?.listeners.delete(id);
  }

  history(name: string, after: EventId | undefined, newest?: number): readonly Publication[] {
    const kept = this.#topics.get(name)?.kept ?? [];
    const asked = after === undefined ? kept : kept.filter(({ id }) => compareEventIds(id, after) > 0);
    return newest === undefined ? asked : asked.slice(-newest);
  }

  /** To so many events. */
  #shorten({ kept }: Topic, events: number): void {
    if (kept.length <= events) return;
    for (const { text } of kept.splice(0, kept.length - events)) this.#bytes -= text.length;
  }

  /** Each topic gives up the older half of what it has, and keeps one. */
  #makeRoom(): void {
    for (const topic of this.#topics.values()) this.#shorten(topic, Math.ceil(topic.kept.length / 2));
  }

  #isAlive(id: string): boolean {
    const member = this.#members.get(id);
    return member !== undefined && this.#monotonic() - member.beatAt < LEASE_MS;
  }

  #mayOverrule(owner: TopicOwner, overrule: Overrule | undefined): boolean {
    if (overrule?.owner.server !== owner.server || overrule.owner.fence !== owner.fence) return false;
    return overrule.because === 'handover' || !this.#isAlive(owner.server);
  }

  /** The topic, where its fence holds. */
  #held(id: string, name: string, fence: number): Topic | null {
    const topic = this.#topics.get(name);
    return topic?.owner?.server === id && topic.owner.fence === fence ? topic : null;
  }

  #topicOf(name: string): Topic {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const made: Topic = {
      ...{ owner: null, status: null, fences: [], kept: [], listeners: new Map() },
      orphanedAt: this.#monotonic(),
    };
    this.#topics.set(name, made);
    return made;
  }

  #sweep(): void {
    const at = this.#monotonic();
    for (const [name, topic] of this.#topics) {
      const { owner, listeners } = topic;
      if (owner !== null || listeners.size > 0) topic.orphanedAt = null;
      else if (at - (topic.orphanedAt ??= at) > ORPHAN_MS) {
        this.#shorten(topic, 0);
        this.#topics.delete(name);
      }
    }
  }
}
