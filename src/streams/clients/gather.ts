/**
 * Gathers what is due to each client within one turn of the event loop into one write: the system call is the cost of
 * fan-out, not the bytes. Clients that are due the same events (all subscribers of the same topics) share one buffer.
 */
import type { SharedEvent } from '../hub-api.js';
import type { Wire } from './peer.js';

export interface Flushable {
  flush(): void;
}

interface Joined {
  readonly events: readonly SharedEvent[];
  readonly bytes: Buffer;
}

const sameEvents = (a: readonly SharedEvent[], b: readonly SharedEvent[]): boolean =>
  a.length === b.length && a.every((event, i) => event === b[i]);

export const bytesOf = (event: SharedEvent, wire: Wire): Buffer =>
  wire === 'frame' ? event.frame : event.sse;

export class Gather {
  #waiting: Flushable[] = [];
  #joined: { frame: Joined | null; sse: Joined | null } = { frame: null, sse: null };
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
    if (last !== null && sameEvents(last.events, events)) return last.bytes;
    const bytes = Buffer.concat(events.map((event) => bytesOf(event, wire)));
    this.#joined[wire] = { events, bytes };
    return bytes;
  }

  readonly #run = (): void => {
    const boxes = this.#waiting;
    this.#waiting = [];
    for (const box of boxes) box.flush();
    this.#joined = { frame: null, sse: null };
  };
}
