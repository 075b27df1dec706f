/**
 * The bus of the processes of one server that is one of many: to the others all of them are that server. A topic that the
 * server holds is one process' here, by the fence that the bus granted to the server; what the bus sends comes once, and goes
 * to each process that listens. So an owner is refused twice where it is over: here, and by its fence at the bus.
 */
import type { Bus, Claim, Overrule, Publication, TopicOwner } from '../cluster/bus.js';
import type { Millis } from '../schemas/common.js';
import type { EventId } from '../streams/event-ids.js';
import { LEASE_MS, type Beat, type BusHost, type BusListener, type ServerState } from './bus-host.js';
import { MachineTopic } from './machine-topic.js';

const CHECK_EVERY_MS: Millis = 100;
/** What a process held that died is another's of this server that listens, or after this time any server's. */
const HEIR_MS: Millis = 500;

interface Member {
  readonly listener: BusListener;
  beatAt: Millis;
}

/** Claims of one topic come one after the other. */
interface Turn {
  claims: number;
  latest: Promise<unknown>;
}

/** The bus has the topic as this server's, but no process holds it any more. */
interface Abandoned {
  readonly fence: number;
  readonly at: Millis;
  isReleasing: boolean;
}

export interface MachineBusOptions {
  /** `topics`: for its beat. It is started here, and closed. */
  readonly createBus: (topics: () => { readonly owned: number; readonly followed: number }) => Bus;
  readonly monotonic: () => Millis;
}

export class MachineBus implements BusHost {
  /** Of the server. */
  readonly bus: Bus;
  readonly #monotonic: () => Millis;
  readonly #members = new Map<string, Member>();
  /** Of all processes that there have been. */
  readonly #names = new Set<string>();
  readonly #topics = new Map<string, MachineTopic>();
  readonly #turns = new Map<string, Turn>();
  readonly #abandoned = new Map<string, Abandoned>();
  readonly #checker: NodeJS.Timeout;
  #checkedAt: Millis;
  /** What the processes know of the server's state. */
  #told = '';

  constructor({ createBus, monotonic }: MachineBusOptions) {
    this.#monotonic = monotonic;
    this.#checkedAt = monotonic();
    this.bus = createBus(() => this.#counts());
    this.#checker = setInterval(() => this.#check(), CHECK_EVERY_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#checker);
    await this.bus.close();
  }

  /** The server takes part once one of its processes does. */
  join(id: string, listener: BusListener): void {
    const before = this.#members.get(id);
    if (before !== undefined) this.leave(id, before.listener);
    this.#names.add(id);
    this.#members.set(id, { listener, beatAt: this.#monotonic() });
    this.bus.start();
  }

  leave(id: string, listener: BusListener): void {
    if (this.#members.get(id)?.listener !== listener) return;
    this.#members.delete(id);
    for (const topic of this.#topics.values()) topic.mute(id, listener);
    this.#giveUp(id);
    for (const topic of this.#topics.values()) this.#forgetUnused(topic);
  }

  beat(id: string, asked: readonly string[]): Beat {
    const at = this.#monotonic();
    const own = this.#members.get(id);
    if (own !== undefined) own.beatAt = at;
    const silence = (server: string): Millis =>
      this.#names.has(server) ? Infinity : this.bus.silentFor(server);
    return {
      processes: new Map([...this.#members].map(([member, { beatAt }]) => [member, at - beatAt])),
      servers: new Map(asked.map((server) => [server, silence(server)])),
      state: this.#state(),
    };
  }

  claim(id: string, name: string, overrule: Overrule | undefined): Promise<Claim> {
    const turn = this.#turns.get(name) ?? { claims: 0, latest: Promise.resolve() };
    this.#turns.set(name, turn);
    turn.claims += 1;
    const claim = turn.latest.then(() => this.#claim(id, this.#topicOf(name), overrule));
    const end = (): void => {
      turn.claims -= 1;
      if (turn.claims === 0) this.#turns.delete(name);
      this.#forgetUnused(this.#topics.get(name));
    };
    turn.latest = claim.then(end, end);
    return claim;
  }

  async release(id: string, name: string, fence: number): Promise<void> {
    const topic = this.#held(id, name, fence);
    if (topic === null) return;
    topic.released();
    this.#abandoned.set(name, { fence, at: -Infinity, isReleasing: false });
    await this.#releaseAbandoned(name);
  }

  async publish(
    id: string,
    name: string,
    { fence, publications, keep }: { fence: number; publications: readonly Publication[]; keep: number },
  ): Promise<boolean> {
    const topic = this.#held(id, name, fence);
    if (topic === null) return false;
    const holds = await this.bus.publish(name, fence, { publications, keep });
    if (!holds) this.#lost(topic, fence);
    return holds;
  }

  async tell(
    id: string,
    name: string,
    { fence, text, asStatus }: { fence: number; text: string; asStatus: boolean },
  ): Promise<number | null> {
    const topic = this.#held(id, name, fence);
    if (topic === null) return null;
    // A process that asks now may have listened too late for it.
    if (asStatus) topic.told(text);
    const heard = await this.bus.tell(name, fence, { text, asStatus });
    if (heard === null) {
      this.#lost(topic, fence);
      return null;
    }
    return topic.heardBy(heard);
  }

  subscribe(id: string, name: string): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#topicOf(name).listen(id, member.listener);
  }

  unsubscribe(id: string, name: string): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    topic.mute(id);
    this.#forgetUnused(topic);
  }

  history(name: string, after: EventId | undefined, newest?: number): Promise<readonly Publication[]> {
    return this.bus.history(name, after, newest);
  }

  async #claim(id: string, topic: MachineTopic, overrule: Overrule | undefined): Promise<Claim> {
    const { owner } = topic;
    const member = this.#members.get(id);
    if (member === undefined) throw new Error('The process has ended.');
    if (owner !== null && owner.server !== id && !this.#mayOverrule(owner, overrule))
      return topic.refusal(owner);
    // To the bus what another process holds is this server's already.
    const ofServer = overrule !== undefined && !this.#names.has(overrule.owner.server) ? overrule : undefined;
    const claim = await this.bus.claim(topic.name, ofServer);
    this.#abandoned.delete(topic.name);
    if (!claim.granted) topic.refused(claim);
    else if (this.#members.get(id) === member) topic.granted(id, claim);
    else {
      this.#abandon(topic, claim.fence);
      throw new Error('The process has ended.');
    }
    return claim;
  }

  #mayOverrule(owner: TopicOwner, overrule: Overrule | undefined): boolean {
    if (overrule?.owner.server !== owner.server || overrule.owner.fence !== owner.fence) return false;
    return overrule.because === 'handover' || !this.#isAlive(owner.server);
  }

  #isAlive(id: string): boolean {
    const member = this.#members.get(id);
    return member !== undefined && this.#monotonic() - member.beatAt < LEASE_MS;
  }

  /** The bus has it as another server's, or as nobody's. */
  #lost(topic: MachineTopic, fence: number): void {
    topic.lost(fence);
    this.#forgetUnused(topic);
  }

  /** What a process holds that is dead or frozen. */
  #giveUp(id: string): void {
    for (const topic of this.#topics.values())
      if (topic.owner?.server === id) this.#abandon(topic, topic.owner.fence);
  }

  #abandon(topic: MachineTopic, fence: number): void {
    this.#abandoned.set(topic.name, { fence, at: this.#monotonic(), isReleasing: false });
    topic.orphaned();
  }

  /** Where the bus does not answer it is asked again by `#check`. */
  async #releaseAbandoned(name: string): Promise<void> {
    const abandoned = this.#abandoned.get(name);
    if (abandoned === undefined || abandoned.isReleasing || this.#turns.has(name)) return;
    abandoned.isReleasing = true;
    try {
      await this.bus.release(name, abandoned.fence);
      if (this.#abandoned.get(name) === abandoned) this.#abandoned.delete(name);
      this.#forgetUnused(this.#topics.get(name));
    } catch {
      abandoned.isReleasing = false;
    }
  }

  #check(): void {
    const at = this.#monotonic();
    const lateMs = at - this.#checkedAt - CHECK_EVERY_MS;
    this.#checkedAt = at;
    for (const [id, member] of this.#members) {
      // While this process did not run, it heard no beat.
      if (lateMs > CHECK_EVERY_MS) member.beatAt = Math.min(at, member.beatAt + lateMs);
      // Also what was granted to it since the last time: it had claimed that before it froze.
      if (!this.#isAlive(id)) this.#giveUp(id);
    }
    // While the bus is away it would reject each of them, ten times a second.
    if (this.bus.isIn)
      for (const [name, { at: since }] of this.#abandoned)
        if (at - since > HEIR_MS || this.#topics.get(name)?.listeners === 0)
          void this.#releaseAbandoned(name);
    this.#tellState();
  }

  #tellState(): void {
    const state = this.#state();
    const told = `${state.health.state} ${String(state.isIn)}`;
    if (told === this.#told) return;
    this.#told = told;
    if (!state.isIn) for (const topic of this.#topics.values()) topic.cutOff();
    for (const { listener } of this.#members.values()) listener.state(state);
  }

  #state(): ServerState {
    const { health, servers, stats, isIn } = this.bus;
    return { health, servers, stats, isIn };
  }

  /** Each topic counts once, however many processes have it. */
  #counts(): { readonly owned: number; readonly followed: number } {
    let [owned, followed] = [0, 0];
    for (const { owner, listeners, isFollowed } of this.#topics.values())
      if (owner !== null) owned += 1;
      else if (listeners > 0 && isFollowed) followed += 1;
      else if (listeners > 0) owned += 1;
    return { owned, followed };
  }

  /** The topic, where its fence holds. */
  #held(id: string, name: string, fence: number): MachineTopic | null {
    const topic = this.#topics.get(name);
    return topic?.isHeld(id, fence) === true ? topic : null;
  }

  #topicOf(name: string): MachineTopic {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const made = new MachineTopic(name, this.bus);
    this.#topics.set(name, made);
    return made;
  }

  #forgetUnused(topic: MachineTopic | undefined): void {
    // A later topic of the same name stays.
    if (topic?.owner !== null || topic.listeners > 0 || this.#topics.get(topic.name) !== topic) return;
    if (!this.#abandoned.has(topic.name) && !this.#turns.has(topic.name)) this.#topics.delete(topic.name);
  }
}
