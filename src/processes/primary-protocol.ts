/** What the feeder and the serving processes ask of the primary over its socket, and what it tells them. */
import type { Claim, Overrule, Publication, TopicOwner } from '../cluster/bus.js';
import type { LeaseAnswer, LeaseQuestion, ReturnedLease, WindowName } from '../lib/lease-messages.js';
import type { WantedPlace } from '../lib/open-places.js';
import type { Millis } from '../schemas/common.js';
import type { Beat, ServerState } from './bus-host.js';
import type { Feeds } from './machine-feeds.js';
import type { EventId } from '../streams/event-ids.js';

export const PRIMARY = 'primary';

/** What a process has counted of a key, as access/client-limiter.ts has it. */
export interface Counted {
  readonly key: string;
  readonly hits: number;
  readonly windowMs: Millis;
  readonly leftMs: Millis;
}

export interface Total {
  readonly total: number;
  readonly leftMs: Millis;
}

/** Served by the primary. */
export interface PrimaryFunctions {
  /** The first call of a connection. `serverId`: on the bus. */
  hello(name: ProcessName, serverId: string): void;
  /** `asked`: other servers, whose silence is wanted. */
  beat(asked: readonly string[]): Beat;
  /** Metrics of all processes in Prometheus' text format. */
  metrics(): Promise<string>;
  /** Of the other processes, with the `owner` of each on the bus; first those that their owners tell of. */
  feedsOfOthers(): Promise<Feeds>;
  count(counted: readonly Counted[]): readonly Total[];
  /** `id`: by which they are given back. */
  takePlaces(id: number, wanted: readonly WantedPlace[]): number | null;
  lease(questions: readonly LeaseQuestion[]): Promise<readonly LeaseAnswer[]>;
  claim(topic: string, overrule?: Overrule): Claim | Promise<Claim>;
  release(topic: string, fence: number): void | Promise<void>;
  publish(
    topic: string,
    fence: number,
    what: { readonly publications: readonly Publication[]; readonly keep: number },
  ): boolean | Promise<boolean>;
  tell(
    topic: string,
    fence: number,
    message: { readonly text: string; readonly asStatus: boolean },
  ): number | null | Promise<number | null>;
  history(
    topic: string,
    after?: EventId,
    newest?: number,
  ): readonly Publication[] | Promise<readonly Publication[]>;
  // Events: they have no answer.
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  giveBackPlaces(id: number): void;
  /** To all other processes. */
  notify(topic: string, text: string): void;
  /** Own metrics in Prometheus' text format: what is left of a process that dies. */
  keepMetrics(text: string): void;
}
export const PRIMARY_EVENTS = [
  'subscribe',
  'unsubscribe',
  'notify',
  'keepMetrics',
  'giveBackPlaces',
] as const;

/** Served by the others. */
export interface ChildFunctions {
  ownMetrics(): Promise<string>;
  ownFeeds(): Feeds;
  recall(windows: readonly WindowName[]): Promise<readonly ReturnedLease[]>;
  // Events.
  heard(topic: string, text: string): void;
  owned(topic: string, owner: TopicOwner | null): void;
  joined(topic: string): void;
  state(state: ServerState): void;
  noticed(topic: string, text: string): void;
}
export const CHILD_EVENTS = ['heard', 'owned', 'joined', 'state', 'noticed'] as const;

/** `feeder`, or the number of a serving process. */
export type ProcessName = string;
