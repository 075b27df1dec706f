/** A WebSocket that speaks graphql-transport-ws and hands out what it gets message by message. */
import { once } from 'node:events';
import { WebSocket } from 'ws';

const PROTOCOL = 'graphql-transport-ws';

export interface Message {
  readonly id?: string;
  readonly type: string;
  readonly payload?: unknown;
}

export interface ConnectOptions {
  readonly protocols?: string | string[];
  readonly headers?: Readonly<Record<string, string>>;
}

export class TransportWsClient {
  readonly socket: WebSocket;
  /** The close code. */
  readonly closed: Promise<number>;
  /** What came and was not taken by `next`. */
  readonly messages: Message[] = [];
  #wake: (() => void) | undefined;

  constructor(url: string, { protocols = PROTOCOL, headers = {} }: ConnectOptions = {}) {
    this.socket = new WebSocket(url, protocols, { headers });
    this.socket.on('message', (data: Buffer) => {
      this.messages.push(JSON.parse(data.toString()) as Message);
      this.#wake?.();
    });
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  /** Sends `connection_init` once the socket is open. */
  async init(payload?: object): Promise<void> {
    await once(this.socket, 'open');
    this.say({ type: 'connection_init', ...(payload === undefined ? {} : { payload }) });
  }

  say(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id: string, query: string, variables?: object): void {
    this.say({ id, type: 'subscribe', payload: { query, variables } });
  }

  /** The first answer to a new operation. */
  ask(id: string, query: string): Promise<Message> {
    this.subscribe(id, query);
    return this.next((message) => message.id === id);
  }

  /** Takes the first message that fits, of those that came and those to come. */
  async next(fits: (message: Message) => boolean = () => true): Promise<Message> {
    for (;;) {
      const at = this.messages.findIndex(fits);
      const [found] = at < 0 ? [] : this.messages.splice(at, 1);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
