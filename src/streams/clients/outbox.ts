/**
 * The events still to be written to one client. While its socket takes bytes, events are collected per turn of the event
 * loop and written as they are.
 * While it does not, events that replace each other are conflated to the latest, trades are kept up to a bound and
 * counted beyond it, and nothing is written: a slow reader costs a bounded amount of memory and delays no other.
 */
import type { Millis } from '../../schemas/common.js';
import type { SharedEvent } from '../hub-api.js';
import {
  BATCH_BYTES,
  MAX_DUE_EVENTS,
  MAX_ORDERED_BACKLOG,
  MAX_ORDERED_BYTES,
  MAX_SOCKET_BYTES,
} from './limits.js';

/** Finished WebSocket frames, without or with the event's id in their JSON, or finished Server-Sent Events. */
export type Wire = 'frame' | 'frameWithId' | 'sse';

/** What an outbox and a connection need of a socket. A `net.Socket` is one. */
export interface ClientSocket {
  readonly writable: boolean;
  readonly destroyed: boolean;
  /** Bytes written that the kernel has not taken yet. */
  readonly writableLength: number;
  write(bytes: Buffer): boolean;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'close', listener: () => void): unknown;
  destroy(): unknown;
}

interface Flushable {
  flush(): void;
}

interface Joined {
  readonly events: readonly SharedEvent[];
  readonly bytes: Buffer;
}

const sameEvents = (a: readonly SharedEvent[], b: readonly SharedEvent[]): boolean =>
  a.length === b.length && a.every((event, i) => event === b[i]);

const bytesOf = (event: SharedEvent, wire: Wire): Buffer => event[wire];

/**
 * Joins what is due to each client within one turn of the event loop into one write: the system call is the cost of
 * fan-out, not the bytes. Clients that are due the same events (all subscribers of the same topics) share one buffer.
 */
export class WriteBatcher {
  #waiting: Flushable[] = [];
  #joined: Partial<Record<Wire, Joined>> = {};
  readonly #schedule: (run: () => void) => unknown;

  /** `schedule` runs a function once the present turn of the event loop is over. */
  constructor(schedule: (run: () => void) => unknown = setImmediate) {
    this.#schedule = schedule;
  }

  /** `box.flush()` is called once, soon; a box adds itself again only after that. */
  add(box: Flushable): void {
    if (this.#waiting.push(box) === 1) this.#schedule(this.#run);
  }

  /** One buffer with the events' bytes, in order; the same buffer for the same events within a turn. */
  join(events: readonly SharedEvent[], wire: Wire): Buffer {
    const [only] = events;
    if (only !== undefined && events.length === 1) return bytesOf(only, wire);
    const last = this.#joined[wire];
    if (last !== undefined && sameEvents(last.events, events)) return last.bytes;
    const bytes = Buffer.concat(events.map((event) => bytesOf(event, wire)));
    this.#joined[wire] = { events, bytes };
    return bytes;
  }

  readonly #run = (): void => {
    const boxes = this.#waiting;
    this.#waiting = [];
    for (const box of boxes) box.flush();
    this.#joined = {};
  };
}

/** The subscription an event came through; null for heartbeats, replies and errors. */
export interface EventSource {
  /** Different for each subscription of one client. */
  readonly key: string;
  /** How many trades (or candles) the event holds: only asked where they are lost. */
  countLost(event: SharedEvent): number;
  /** The notice that tells the client about its loss. */
  lostEvent(count: number, now: Millis): SharedEvent;
}

/** What the outboxes of one server share. */
export interface OutboxShared {
  readonly batcher: WriteBatcher;
  readonly now: () => Millis;
  /** A monotonic clock. */
  readonly monotonic: () => Millis;
  readonly counters: { delivered: number; conflated: number; lost: number };
}

export class Outbox {
  readonly #socket: ClientSocket;
  readonly #wire: Wire;
  readonly #shared: OutboxShared;
  #due: SharedEvent[] = [];
  /** In order of arrival; made when the reader turns slow, dropped when it has caught up. */
  #backlog: Map<string, SharedEvent> | null = null;
  #lost: Map<EventSource, number> | null = null;
  #ordered = 0;
  #orderedBytes = 0;
  #fullSince: Millis | null = null;
  #lagging = false;
  #ended = false;
  /** Something was written since this was last set to false. */
  wrote = false;

  constructor(socket: ClientSocket, wire: Wire, shared: OutboxShared) {
    this.#socket = socket;
    this.#wire = wire;
    this.#shared = shared;
  }

  /** Returns false where an event that may be neither replaced nor lost (a reply) does not fit into the backlog. */
  push(event: SharedEvent, source: EventSource | null): boolean {
    if (this.#ended) return true;
    if (this.#slow()) return this.#defer(event, source);
    const count = this.#due.push(event);
    if (count === 1) this.#shared.batcher.add(this);
    else if (count >= MAX_DUE_EVENTS) this.#writeDue();
    return true;
  }

  /** Writes what is due; called by WriteBatcher at the end of the turn. */
  flush(): void {
    this.#writeDue();
  }

  /** How long the socket has been full without draining once; 0 where it is not. */
  stuckFor(now: Millis): Millis {
    return this.#fullSince === null ? 0 : now - this.#fullSince;
  }

  /** Does not count `duration` against the reader: this process was blocked for so long. */
  excuse(duration: Millis): void {
    if (this.#fullSince !== null) this.#fullSince += duration;
  }

  /** A pong is overdue: nothing more is written until `caughtUp`, but for what is due, which is older than a backlog. */
  lag(): void {
    this.#writeDue();
    this.#lagging = true;
  }

  caughtUp(): void {
    this.#lagging = false;
    if (this.#fullSince === null) this.#writeBacklog();
  }

  /** Writes what is due where the reader can take it, and takes nothing more. Idempotent. */
  end(): void {
    if (!this.#slow()) this.#writeDue();
    this.#ended = true;
    this.#due = [];
    this.#backlog = this.#lost = null;
  }

  /** Nothing is written to a full socket, so its fullness is only found out here, or right after a write. */
  #slow(): boolean {
    return this.#fullSince !== null || this.#lagging || this.#backlog !== null;
  }

  #writeDue(): void {
    const events = this.#due;
    if (events.length === 0) return;
    this.#due = [];
    this.#write(events);
  }

  #write(events: SharedEvent[]): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    this.#shared.counters.delivered += events.length;
    this.wrote = true;
    socket.write(this.#shared.batcher.join(events, this.#wire));
    if (socket.writableLength <= MAX_SOCKET_BYTES || this.#fullSince !== null) return;
    this.#fullSince = this.#shared.monotonic();
    socket.once('drain', () => {
      this.#fullSince = null;
      if (!this.#lagging) this.#writeBacklog();
    });
  }

  #defer(event: SharedEvent, source: EventSource | null): boolean {
    const backlog = (this.#backlog ??= new Map());
    if (event.conflationKey !== null) {
      const key = `${source?.key ?? ''}|${event.conflationKey}`;
      if (backlog.delete(key)) this.#shared.counters.conflated += 1;
      backlog.set(key, event);
      return true;
    }
    const size = bytesOf(event, this.#wire).length;
    if (this.#ordered < MAX_ORDERED_BACKLOG && this.#orderedBytes + size <= MAX_ORDERED_BYTES) {
      this.#ordered += 1;
      this.#orderedBytes += size;
      backlog.set(`#${this.#ordered}`, event);
      return true;
    }
    if (source === null) return false;
    const count = source.countLost(event);
    this.#shared.counters.lost += count;
    this.#lost ??= new Map();
    this.#lost.set(source, (this.#lost.get(source) ?? 0) + count);
    return true;
  }

  /** The latest of everything that was held back, then what was lost; stops where the socket is full again. */
  #writeBacklog(): void {
    const backlog = this.#backlog;
    if (backlog === null || this.#ended) return;
    let batch: SharedEvent[] = [];
    let size = 0;
    for (const [key, event] of backlog) {
      backlog.delete(key);
      batch.push(event);
      size += bytesOf(event, this.#wire).length;
      if (size < BATCH_BYTES) continue;
      this.#write(batch);
      if (this.#fullSince !== null) return;
      batch = [];
      size = 0;
    }
    const now = this.#shared.now();
    for (const [source, count] of this.#lost ?? []) batch.push(source.lostEvent(count, now));
    this.#backlog = this.#lost = null;
    this.#ordered = 0;
    this.#orderedBytes = 0;
    if (batch.length > 0) this.#write(batch);
  }
}
