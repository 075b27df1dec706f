/** The bus between the processes of one server, over the primary. */
import type { Bus, Overrule, Publication, TopicListener } from '../cluster/bus.js';
import type { Membership } from '../cluster/membership.js';
import { settleWithin } from '../lib/deadline.js';
import type { Millis } from '../schemas/common.js';
import type { EventId } from '../streams/event-ids.js';
import type { PrimaryLink } from './primary-link.js';

const DEADLINE_MS: Millis = 2_000;
/** The primary does little: where it does not answer for so long, it does not work any more. */
const AWAY_MS: Millis = 5_000;

export class LocalBus implements Bus {
  readonly #link: PrimaryLink;
  readonly #listeners = new Map<string, TopicListener>();
  readonly #startedAt: Millis;
  readonly stats: Membership['stats'] = { beats: 0, missed: 0, roundTripMs: null };

  constructor(link: PrimaryLink, now: () => Millis) {
    this.#link = link;
    this.#startedAt = now();
    link.listen({
      heard: (topic, text) => this.#listeners.get(topic)?.heard(text),
      owned: (topic, owner) => this.#listeners.get(topic)?.owned(owner),
    });
  }

  get serverId(): string {
    return this.#link.serverId;
  }

  get isIn(): boolean {
    return this.#link.silence < AWAY_MS;
  }

  get health(): Membership['health'] {
    const state = this.isIn ? 'ok' : 'unshared';
    return { state, since: this.#startedAt, detail: 'The processes of this server share its feeds.' };
  }

  get servers(): Membership['servers'] {
    return [...this.#link.alive].map((id) => ({ id, since: this.#startedAt, owned: 0, followed: 0 }));
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
    return this.#link.silenceOf(server);
  }

  claim(topic: string, overrule?: Overrule): ReturnType<Bus['claim']> {
    return this.#within(this.#link.call('claim', topic, overrule));
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
    this.#link.call('subscribe', topic).then(
      () => {
        if (this.#listeners.get(topic) === listener) listener.joined();
      },
      () => undefined,
    );
    return () => {
      if (this.#listeners.get(topic) !== listener) return;
      this.#listeners.delete(topic);
      this.#link.send('unsubscribe', topic);
    };
  }

  history(topic: string, after?: EventId): Promise<readonly Publication[]> {
    return this.#within(this.#link.call('history', topic, after));
  }

  #within<T>(call: Promise<T>): Promise<T> {
    const giveUp = (): Error => new Error('The primary process does not answer.');
    return settleWithin(call, { ms: DEADLINE_MS, giveUp });
  }
}
