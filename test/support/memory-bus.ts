/** Servers of one process that act as one: the bus without Redis, with deaths and outages to order. */
import type { Bus, Claim, Overrule, Publication, TopicListener, TopicOwner } from '../../src/cluster/bus.js';
import { compareEventIds } from '../../src/streams/event-ids.js';

interface Topic {
  owner: TopicOwner | null;
  status: string | null;
  fences: number[];
  kept: Publication[];
  readonly listeners: Map<string, TopicListener>;
}

export interface MemoryServer extends Bus {
  /** As by `kill -9`: its lease is over and its beat silent. */
  die(): void;
  /** Nothing of the bus answers it. */
  cutOff(isCut: boolean): void;
}

export class MemoryCluster {
  readonly #topics = new Map<string, Topic>();
  readonly #alive = new Set<string>();
  #fence = 1_700_000_000_000;

  join(serverId: string): MemoryServer {
    this.#alive.add(serverId);
    for (const topic of this.#topics.values())
      if (topic.owner?.server === serverId) {
        topic.owner = topic.status = null;
        for (const listener of topic.listeners.values()) listener.owned(null);
      }
    let isCut = false;
    const topicOf = (name: string): Topic => this.#topicOf(name);
    const ask = async <T>(answer: () => T): Promise<T> => {
      await Promise.resolve();
      if (isCut || !this.#alive.has(serverId)) throw new Error('The bus does not answer.');
      return answer();
    };
    const holds = ({ owner }: Topic, fence: number): boolean =>
      owner?.server === serverId && owner.fence === fence;
    const hear = (topic: Topic, act: (listener: TopicListener) => void): number => {
      for (const listener of topic.listeners.values()) act(listener);
      return topic.listeners.size;
    };
    return {
      serverId,
      health: { state: 'ok', since: 0, detail: '' },
      get isIn() {
        return !isCut;
      },
      servers: [],
      leaseMs: 1_200,
      stats: { beats: 0, missed: 0, roundTripMs: null },
      start: () => undefined,
      close: () => {
        this.#alive.delete(serverId);
        return Promise.resolve();
      },
      survivors: () => ({ own: serverId, ids: [...this.#alive] }),
      silentFor: (server) => (this.#alive.has(server) ? 0 : Infinity),
      claim: (name, overrule) => ask(() => this.#claim(serverId, name, overrule)),
      release: (name, fence) =>
        ask(() => {
          const topic = topicOf(name);
          if (!holds(topic, fence)) return;
          topic.owner = topic.status = null;
          hear(topic, (listener) => listener.owned(null));
        }),
      publish: (name, fence, { publications, keep }) =>
        ask(() => {
          const topic = topicOf(name);
          if (!holds(topic, fence)) return false;
          for (const publication of publications) {
            const top = topic.kept.at(-1);
            if (top !== undefined && compareEventIds(publication.id, top.id) <= 0) continue;
            topic.kept = [...topic.kept, publication].slice(-keep);
            hear(topic, (listener) => listener.heard(publication.text));
          }
          return true;
        }),
      tell: (name, fence, { text, asStatus = false }) =>
        ask(() => {
          const topic = topicOf(name);
          if (!holds(topic, fence)) return null;
          if (asStatus) topic.status = text;
          return hear(topic, (listener) => listener.heard(text));
        }),
      subscribe: (name, listener) => {
        const { listeners } = topicOf(name);
        listeners.set(serverId, listener);
        queueMicrotask(() => listeners.get(serverId) === listener && listener.joined());
        return () => listeners.get(serverId) === listener && listeners.delete(serverId);
      },
      history: (name, after, newest = Infinity) =>
        ask(() =>
          topicOf(name)
            .kept.filter(({ id }) => after === undefined || compareEventIds(id, after) > 0)
            .slice(-newest),
        ),
      die: () => void this.#alive.delete(serverId),
      cutOff: (cut) => void (isCut = cut),
    };
  }

  #topicOf(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined)
      this.#topics.set(
        name,
        (topic = { owner: null, status: null, fences: [], kept: [], listeners: new Map() }),
      );
    return topic;
  }

  #claim(server: string, name: string, overrule: Overrule | undefined): Claim {
    const topic = this.#topicOf(name);
    const { owner, fences } = topic;
    const isNamed = owner?.fence === overrule?.owner.fence && owner?.server === overrule?.owner.server;
    const isFree =
      owner === null ||
      owner.server === server ||
      (isNamed && (overrule?.because === 'handover' || !this.#alive.has(owner.server)));
    if (!isFree) return { granted: false, owner, status: topic.status, fences };
    const fence = (this.#fence += 1);
    topic.owner = { server, fence };
    topic.fences = [...fences, fence].slice(-32);
    for (const listener of topic.listeners.values()) listener.owned(topic.owner);
    return { granted: true, fence, top: topic.kept.at(-1)?.id ?? null, fences };
  }
}
