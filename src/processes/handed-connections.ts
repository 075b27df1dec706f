/**
 * Connections on their way from the primary to a serving process. node:cluster closes its own end of one when the process
 * has taken it: where that process died in between, nobody would answer, nor close it. Here it goes to another process.
 *
 * Watches the messages of node:cluster (lib/internal/cluster/utils.js); where those looked different, nothing would be done.
 */
interface Closable {
  close(): void;
}

interface ClusterMessage {
  readonly cmd: 'NODE_CLUSTER';
  readonly act?: string;
  /** Of the listening socket. */
  readonly key?: string;
  readonly seq?: number;
  /** The `seq` that this answers. */
  readonly ack?: number;
}

/** The part of a child process that is needed. */
export interface Receiver {
  readonly connected: boolean;
  send(message: unknown, handle?: unknown, ...rest: unknown[]): boolean;
  on(event: 'internalMessage', listener: (message: unknown) => void): unknown;
  once(event: 'exit', listener: () => void): unknown;
}

interface Handed {
  readonly key: string;
  readonly handle: Closable;
  /** Handed on by this module: node:cluster does not close it. */
  readonly isOurs: boolean;
}

const ofCluster = (message: unknown): ClusterMessage | null =>
  typeof message === 'object' && message !== null && 'cmd' in message && message.cmd === 'NODE_CLUSTER'
    ? (message as ClusterMessage)
    : null;

export class HandedConnections {
  readonly #receivers = new Map<Receiver, Map<number, Handed>>();
  /** Of what is handed on; node:cluster counts upwards from 0. */
  #seq = 0;

  watch(receiver: Receiver): void {
    const handed = new Map<number, Handed>();
    this.#receivers.set(receiver, handed);
    const send = receiver.send.bind(receiver);
    receiver.send = (message, handle, ...rest) => {
      const { act, key, seq } = ofCluster(message) ?? {};
      if (act === 'newconn' && key !== undefined && seq !== undefined && handle !== undefined)
        handed.set(seq, { key, handle: handle as Closable, isOurs: seq < 0 });
      return send(message, handle, ...rest);
    };
    receiver.on('internalMessage', (message) => {
      const { ack } = ofCluster(message) ?? {};
      const taken = ack === undefined ? undefined : handed.get(ack);
      if (ack === undefined || taken === undefined) return;
      handed.delete(ack);
      if (taken.isOurs) taken.handle.close();
    });
    receiver.once('exit', () => {
      this.#receivers.delete(receiver);
      for (const one of handed.values()) this.#handOn(one);
    });
  }

  #handOn({ key, handle }: Handed): void {
    const [next] = [...this.#receivers.keys()].filter(({ connected }) => connected);
    if (next === undefined) {
      handle.close();
      return;
    }
    this.#seq -= 1;
    next.send({ cmd: 'NODE_CLUSTER', act: 'newconn', key, seq: this.#seq }, handle);
  }
}
