/** One WebSocket that is there while it is wanted: opened, watched for silence, opened again after a loss. */

/** What is used of a WebSocket: the browser's and the `ws` package's are both. */
export interface Socket {
  send(text: string): void;
  close(code?: number): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}
export type SocketConstructor = new (url: string) => Socket;

export interface LinkOptions {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly WebSocket: SocketConstructor;
  readonly random: () => number;
  /** A monotonic clock, in milliseconds; a ping carries it as its `req_id`. */
  readonly now: () => number;
  /** Between two pings, in milliseconds; a socket on which nothing came for twice as long is dead, whatever TCP thinks. */
  readonly pingIntervalMs: number;
  /** More readings of the server's clock are wanted, which come with the answers to pings. */
  readonly wantsPing: () => boolean;
  /** The socket is open: what is wanted is to be asked for again. */
  readonly onOpen: () => void;
  readonly onMessage: (message: Record<string, unknown>) => void;
  /** The socket is lost; `final`: it will not be opened again, because the server refused this client. */
  readonly onLost: (final: boolean) => void;
}

const FIRST_BACK_OFF_MS = 500;
const MAX_BACK_OFF_MS = 30_000;
/** After 1013, with which the server asks for time. */
const TRY_AGAIN_MS = 3000;
const POLICY = 1008;
const TRY_AGAIN = 1013;
/** An upgrade that is not answered by then is given up. */
const OPEN_TIMEOUT_MS = 15_000;
/** The server takes 20 messages a second over time, and 60 at once. */
const SEND_AT_ONCE = 20;
const SEND_WINDOW_MS = 1000;

const parse = (data: unknown): Record<string, unknown> | null => {
  try {
    return JSON.parse(String(data)) as Record<string, unknown>;
  } catch {
    return null;
  }
};

export class Link {
  readonly #options: LinkOptions;
  #socket: Socket | null = null;
  #isOpen = false;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #watch: ReturnType<typeof setInterval> | null = null;
  #pacer: ReturnType<typeof setTimeout> | null = null;
  #silentFor = 0;
  #outgoing: string[] = [];
  #sentInWindow = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Opens the socket where there is none. */
  open(): void {
    if (this.#socket !== null || this.#retry !== null) return;
    const socket = new this.#options.WebSocket(this.#options.url);
    this.#socket = socket;
    const own = (take: (event: never) => void) => (event: never) => {
      if (this.#socket === socket) take(event);
    };
    socket.onopen = own(() => this.#opened());
    socket.onmessage = own((event: { readonly data: unknown }) => {
      this.#silentFor = 0;
      const message = parse(event.data);
      if (message === null) return;
      // A server that takes sockets only to say why it closes them is not hammered.
      if (message['event_type'] !== 'error') this.#attempt = 0;
      this.#options.onMessage(message);
    });
    socket.onclose = own((event: { readonly code: number }) => this.#lost(event.code));
    // A close follows.
    socket.onerror = () => undefined;
    this.#silentFor = 2 * this.#options.pingIntervalMs - OPEN_TIMEOUT_MS;
    this.#watch = setInterval(() => this.#checkSilence(), this.#options.pingIntervalMs / 2);
  }

  /** Ends the socket and every try to open one; `open` begins again. */
  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#attempt = 0;
    this.#drop();
  }

  send(message: object): void {
    if (!this.#isOpen) return;
    this.#outgoing.push(JSON.stringify(message));
    this.#flush();
  }

  #flush(): void {
    const left = SEND_AT_ONCE - this.#sentInWindow;
    for (const text of this.#outgoing.splice(0, left)) {
      this.#socket?.send(text);
      this.#sentInWindow += 1;
    }
    this.#pacer ??= setTimeout(() => {
      this.#pacer = null;
      this.#sentInWindow = 0;
      if (this.#outgoing.length > 0) this.#flush();
    }, SEND_WINDOW_MS);
  }

  #opened(): void {
    this.#isOpen = true;
    this.#silentFor = 0;
    const { apiKey, onOpen } = this.#options;
    if (apiKey !== undefined) this.send({ method: 'auth', params: { token: apiKey } });
    onOpen();
    this.#ping();
  }

  #checkSilence(): void {
    const { pingIntervalMs, wantsPing } = this.#options;
    this.#silentFor += pingIntervalMs / 2;
    if (this.#silentFor >= 2 * pingIntervalMs) this.#lost(0);
    else if (this.#isOpen && (this.#silentFor >= pingIntervalMs || wantsPing())) this.#ping();
  }

  #ping(): void {
    this.send({ method: 'ping', req_id: String(this.#options.now()) });
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    this.#outgoing = [];
    this.#sentInWindow = 0;
    if (this.#watch !== null) clearInterval(this.#watch);
    if (this.#pacer !== null) clearTimeout(this.#pacer);
    this.#watch = this.#pacer = null;
    socket?.close();
  }

  #lost(code: number): void {
    this.#drop();
    const final = code === POLICY;
    if (!final) {
      const most = Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** this.#attempt);
      const least = code === TRY_AGAIN ? TRY_AGAIN_MS : 0;
      this.#attempt += 1;
      const wait = Math.max(least, FIRST_BACK_OFF_MS) + most * this.#options.random();
      this.#retry = setTimeout(() => {
        this.#retry = null;
        this.open();
      }, wait);
    }
    this.#options.onLost(final);
  }
}
