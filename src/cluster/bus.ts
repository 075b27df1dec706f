/**
 * What servers that act as one need of each other: who is alive, which of them holds a topic's feed, what its feed brought,
 * and what it brought before. A driver is proven by test/api/cluster/bus.contract.ts. Request budgets are shared apart from
 * this, from the threads that ask the venues.
 */
import type { Millis } from '../schemas/common.js';
import type { EventId } from '../streams/event-ids.js';
import type { Membership } from './membership.js';

/** Which server holds a topic's feed. Of two fences of a topic the higher one holds. */
export interface TopicOwner {
  readonly server: string;
  readonly fence: number;
}

export interface Publication {
  /** Higher than that of every publication of the topic before. */
  readonly id: EventId;
  readonly text: string;
}

/** `fences`: those under which the topic was published to what is kept of it, oldest first, at most 32. */
export type Claim =
  | {
      readonly granted: true;
      readonly fence: number;
      /** The latest publication; null: none is kept. */
      readonly top: EventId | null;
      readonly fences: readonly number[];
    }
  | {
      readonly granted: false;
      readonly owner: TopicOwner;
      /** What its owner told last with `asStatus`. */
      readonly status: string | null;
      readonly fences: readonly number[];
    };

/** Whom a claim may take a topic from. */
export interface Overrule {
  readonly owner: TopicOwner;
  /** `dead`: granted only where its lease is over too. `handover`: it has offered the topic. */
  readonly because: 'dead' | 'handover';
}

export interface TopicListener {
  /** A publication, or what was told: in the order in which its owner sent them. */
  heard(text: string): void;
  /**
   * The topic has a new owner; null: nobody has it any more, since its owner has released it or has died, whoever has that
   * server's name now.
   */
  owned(owner: TopicOwner | null): void;
  /** From here on everything is heard; after a break once more: what was sent meanwhile was missed. */
  joined(): void;
}

export interface Bus extends Membership {
  /** Whether this server is with the others: what it owns is its own. Judged by its own clock, at every call. */
  readonly isIn: boolean;
  /** Since this server heard a beat of another, or since it listens where it never did; Infinity: it has heard that it left. */
  silentFor(server: string): Millis;
  /** A server that was not heard of for so long may be dead. */
  readonly leaseMs: Millis;
  /** Who may take over from a server that is dead, by their names, and which of them this one is. */
  survivors(dead: string): { readonly own: string; readonly ids: readonly string[] };
  /** The feed of a topic, unless a server holds it that may not be overruled. A fence is never granted twice. */
  claim(topic: string, overrule?: Overrule): Promise<Claim>;
  /**
   * The topic is nobody's, and its listeners are told; nothing where the fence does not hold any more. What is kept of the
   * topic is forgotten in time.
   */
  release(topic: string, fence: number): Promise<void>;
  /**
   * Keeps the publications, the last `keep` (≥ 1) of the topic, and delivers them to its listeners: all or none. One that is
   * kept already is passed over. false: the fence does not hold any more. Rejects where it is not known which.
   */
  publish(
    topic: string,
    fence: number,
    { publications, keep }: { readonly publications: readonly Publication[]; readonly keep: number },
  ): Promise<boolean>;
  /** Delivers without keeping, or as the status that later claims are told. How many heard it; null: the fence does not hold. */
  tell(topic: string, fence: number, message: { text: string; asStatus?: boolean }): Promise<number | null>;
  /** The answer ends it. One listener a topic. */
  subscribe(topic: string, listener: TopicListener): () => void;
  /** What is kept of the topic, oldest first: all, or what came after an id; of that the `newest` so many at most, default all. */
  history(topic: string, after?: EventId, newest?: number): Promise<readonly Publication[]>;
}
