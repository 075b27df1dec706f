/** The bus of the processes of one server, as their primary serves it over its socket. */
import type { Claim, Overrule, Publication, TopicOwner } from '../cluster/bus.js';
import type { Membership } from '../cluster/membership.js';
import type { Millis } from '../schemas/common.js';
import type { EventId } from '../streams/event-ids.js';

/** A process that has not been heard of for so long may be overruled. */
export const LEASE_MS: Millis = 1_200;
/** Fences of a topic that are remembered: an id under an older one is not known any more. */
export const MAX_FENCES = 32;

/** The server as one of many. Plain data. */
export interface ServerState extends Pick<Membership, 'health' | 'servers' | 'stats'> {
  /** As Bus has it. */
  readonly isIn: boolean;
}

/** What a process is told. */
export interface BusListener {
  heard(topic: string, text: string): void;
  owned(topic: string, owner: TopicOwner | null): void;
  joined(topic: string): void;
  /** It has changed between two beats. */
  state(state: ServerState): void;
}

/** What the bus answers to a process that says that it is alive. */
export interface Beat {
  /** How long each process has been silent, the one that asks included; one that is gone is left out. */
  readonly processes: ReadonlyMap<string, Millis>;
  /** … and each other server that was asked about. */
  readonly servers: ReadonlyMap<string, Millis>;
  /** null: the server acts alone. */
  readonly state: ServerState | null;
}

/** `id`: of the process that asks. For what is not told here see Bus. */
export interface BusHost {
  join(id: string, listener: BusListener): void;
  /**
   * The process is dead, and its topics are nobody's: the process that replaces it has its name, and would seem to hold
   * them. `listener`: of the connection that has ended; a later one of the same name stays.
   */
  leave(id: string, listener: BusListener): void;
  /** `asked`: servers, at most as many as the process follows topics. */
  beat(id: string, asked: readonly string[]): Beat;
  claim(id: string, topic: string, overrule: Overrule | undefined): Claim | Promise<Claim>;
  release(id: string, topic: string, fence: number): void | Promise<void>;
  publish(
    id: string,
    topic: string,
    what: { readonly fence: number; readonly publications: readonly Publication[]; readonly keep: number },
  ): boolean | Promise<boolean>;
  tell(
    id: string,
    topic: string,
    message: { readonly fence: number; readonly text: string; readonly asStatus: boolean },
  ): number | null | Promise<number | null>;
  subscribe(id: string, topic: string): void;
  unsubscribe(id: string, topic: string): void;
  history(
    topic: string,
    after: EventId | undefined,
    newest?: number,
  ): readonly Publication[] | Promise<readonly Publication[]>;
  close(): Promise<void>;
}
