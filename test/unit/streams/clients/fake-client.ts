/** A client socket that swallows what it is told to, and the host of a connection, for tests without a network. */
import {
  type CloseCode,
  Connection,
  type ConnectionHost,
  type ConnectionKind,
  type Peer,
} from '../../../../src/streams/clients/connection.js';
import { type ClientSocket, WriteBatcher } from '../../../../src/streams/clients/outbox.js';

export class FakeSocket implements ClientSocket {
  writable = true;
  destroyed = false;
  writableLength = 0;
  /** The text of each write. */
  readonly writes: Buffer[] = [];
  /** While true the kernel takes nothing. */
  stalled = false;
  #drain: (() => void)[] = [];
  #close: (() => void)[] = [];

  write(bytes: Buffer): boolean {
    this.writes.push(bytes);
    if (this.stalled) this.writableLength += bytes.length;
    return !this.stalled;
  }

  once(event: 'drain' | 'close', listener: () => void): void {
    (event === 'drain' ? this.#drain : this.#close).push(listener);
  }

  off(_event: 'close', listener: () => void): void {
    this.#close = this.#close.filter((other) => other !== listener);
  }

  /** The kernel takes everything. */
  drain(): void {
    this.stalled = false;
    this.writableLength = 0;
    for (const listener of this.#drain.splice(0)) listener();
  }

  destroy(): void {
    this.destroyed = true;
    this.writable = false;
    for (const listener of this.#close.splice(0)) listener();
  }

  /** How many wait for a drain: never more than one. */
  get waiting(): number {
    return this.#drain.length;
  }

  /** The data of all SSE messages written, parsed. */
  get events(): Record<string, unknown>[] {
    return [
      ...Buffer.concat(this.writes)
        .toString()
        .matchAll(/^data: (.*)$/gm),
    ].map((match) => JSON.parse(match[1]!) as Record<string, unknown>);
  }
}

/** A turn of the event loop that ends when the test says so. */
export class ManualTurn {
  #jobs: (() => void)[] = [];
  readonly schedule = (run: () => void): void => void this.#jobs.push(run);
  end(): void {
    for (const job of this.#jobs.splice(0)) job();
  }
}

export class FakeHost implements ConnectionHost {
  readonly turn = new ManualTurn();
  readonly batcher = new WriteBatcher(this.turn.schedule);
  readonly counters = { delivered: 0, conflated: 0, lost: 0 };
  readonly attachments: Connection[] = [];
  readonly releases: Connection[] = [];
  readonly drops: Connection[] = [];
  time = 0;
  readonly now = (): number => this.time;
  readonly monotonic = (): number => this.time;
  attached(connection: Connection): void {
    this.attachments.push(connection);
  }
  released(connection: Connection): void {
    this.releases.push(connection);
  }
  dropped(connection: Connection): void {
    this.drops.push(connection);
  }
}

export class FakePeer implements Peer {
  readonly wire = 'sse';
  readonly pings: boolean;
  pinged = 0;
  readonly ends: { code: CloseCode; reason: string }[] = [];
  constructor(pings: boolean) {
    this.pings = pings;
  }
  ping(): void {
    this.pinged += 1;
  }
  end(code: CloseCode, reason: string): void {
    this.ends.push({ code, reason });
  }
}

/** An attached connection with all its surroundings. */
export const connect = (kind: ConnectionKind = 'sse') => {
  const host = new FakeHost();
  const socket = new FakeSocket();
  const peer = new FakePeer(kind === 'websocket');
  const connection = new Connection(kind, socket, host);
  connection.attach(() => peer);
  return { host, socket, peer, connection };
};
