/** The views of a topic by what their clients asked for, and the delivery of events to them. */
import type { StreamTopic } from '../exchanges/exchange-client.js';
import type { Log } from '../log/log.js';
import type { EventSource } from './events.js';
import type { Tick } from './history.js';
import type { SharedEvent, Subscriber } from './hub-api.js';
import { createView, type Member, type View } from './view.js';

const NONE: ReadonlySet<object> = new Set();

export interface ViewRequest {
  readonly name: string;
  readonly threshold: number;
  /** Of tickers: with the venue's last 24 hours. */
  readonly stats: boolean;
}

/** Threshold and stats mean nothing outside of tickers; the hub sets them to 0 and false there. */
const keyOf = ({ name, threshold, stats }: ViewRequest): string =>
  `${name} ${threshold}${stats ? ' stats' : ''}`;

export class TopicViews {
  readonly #topic: StreamTopic;
  readonly #sandbox: boolean;
  readonly #log: Log;
  readonly #views = new Map<string, View>();

  constructor({ topic, sandbox, log }: { topic: StreamTopic; sandbox: boolean; log: Log }) {
    this.#topic = topic;
    this.#sandbox = sandbox;
    this.#log = log;
  }

  of(request: ViewRequest): View {
    const key = keyOf(request);
    let view = this.#views.get(key);
    if (view === undefined) {
      const { name, threshold, stats } = request;
      const source = { topic: this.#topic, name, sandbox: this.#sandbox };
      view = createView({ source, threshold, stats, deliver: this.deliver });
      this.#views.set(key, view);
    }
    return view;
  }

  /** A view without members ends. */
  leave(view: View, request: ViewRequest, member: Member): void {
    view.leave(member);
    if (view.members.size === 0) this.#views.delete(keyOf(request));
  }

  clear(): void {
    this.#views.clear();
  }

  /** How many events went out. */
  publish(tick: Tick): number {
    let events = 0;
    for (const view of this.#views.values()) events += view.publish(tick);
    return events;
  }

  /** One event a view, whatever its members have seen so far; not for those who know it already. */
  tellAll(eventOf: (source: EventSource) => SharedEvent, informed: ReadonlySet<object> = NONE): void {
    for (const view of this.#views.values()) {
      const event = eventOf(view.source);
      for (const member of view.members) if (!informed.has(member)) this.deliver(member.subscriber, event);
    }
  }

  /** A subscriber that throws affects no other. */
  readonly deliver = (subscriber: Subscriber, event: SharedEvent): void => {
    try {
      subscriber.onEvent(event);
    } catch (error) {
      this.#log.error({ error }, 'a stream subscriber threw');
    }
  };
}
