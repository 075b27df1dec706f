// One open socket of the sandbox: what it may send, and what faults it suffers.
import { WebSocket } from 'ws';
import { type ChannelHub, type Subscriber } from './channel-hub.js';
import { type Millis } from './intervals.js';
import { type BookFault, type FeedSocket, type FeedVenue } from './venues/venue.js';

/** A reader that lets this much pile up is cut off. */
const MAX_BUFFERED_BYTES = 16_000_000;
const MAX_CHANNELS = 10_000;

/** What can be done to open sockets from outside. */
export type SocketAction =
  | { readonly action: 'close'; readonly code?: number; readonly reason?: string }
  | { readonly action: 'terminate' }
  /** Accepts and sends nothing any more: no data, no acknowledgements, no heartbeats, no answers to pings. */
  | { readonly action: 'mute' }
  | { readonly action: 'unmute' }
  /** Sends this frame as it is. */
  | { readonly action: 'send'; readonly frame: string }
  /** Loses the next update of each order book that changes something. */
  | { readonly action: 'gap' }
  /** Puts a fault into the next update of each order book, `stuck` into all further ones. */
  | {
      readonly action: 'book';
      readonly fault: BookFault;
      /** Only of channels whose name has this in it, e.g. a market's id. */
      readonly channel?: string;
    };

export interface PeerOptions {
  readonly venue: FeedVenue;
  /** The path it was opened at, without the host segment. */
  readonly path: string;
  readonly socket: WebSocket;
  readonly hub: ChannelHub;
  readonly now: () => Millis;
  readonly onFrame: () => void;
}

export class Peer {
  readonly venue: FeedVenue;
  readonly path: string;
  /** The socket as the venue's protocol sees it. */
  readonly feed: FeedSocket;
  /** No data, though subscriptions are acknowledged. */
  silent = false;
  muted = false;
  /** Leaves out the second update of each order book. */
  gapOnJoin = false;
  lastFrameAt: Millis;
  readonly #options: PeerOptions;
  readonly #subscriber: Subscriber;
  readonly #channels = new Set<string>();
  /** Updates to let through before one is left out, by channel. */
  readonly #gaps = new Map<string, number>();
  /** Faults to put into the next update, by channel, with the first frame that one of them met. */
  readonly #bookFaults = new Map<string, { readonly fault: BookFault; first?: string }>();

  constructor(options: PeerOptions) {
    this.venue = options.venue;
    this.path = options.path;
    this.lastFrameAt = options.now();
    this.#options = options;
    this.#subscriber = {
      frame: (channel, frame) => {
        if (!this.silent) this.send(this.venue.wrap?.(this.path, channel, frame) ?? frame);
      },
      skipsBook: (channel) => this.#skipsBook(channel),
      bookFrames: (channel, frame, alter) => this.#bookFrames(channel, frame, alter),
    };
    this.feed = {
      reply: (frame) => this.send(frame),
      join: (channel) => this.#join(channel),
      leave: (channel) => this.#leave(channel),
      channels: () => [...this.#channels],
    };
  }

  send(frame: string): void {
    const { socket } = this.#options;
    if (this.muted || socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      socket.terminate();
      return;
    }
    this.lastFrameAt = this.#options.now();
    this.#options.onFrame();
    // A failed write ends the socket; its close event does the rest.
    socket.send(frame, () => undefined);
  }

  ping(): void {
    if (!this.muted && this.#options.socket.readyState === WebSocket.OPEN) this.#options.socket.ping();
  }

  pong(data: Buffer): void {
    if (!this.muted && this.#options.socket.readyState === WebSocket.OPEN) this.#options.socket.pong(data);
  }

  act(action: SocketAction): void {
    const { socket } = this.#options;
    switch (action.action) {
      case 'close':
        socket.close(action.code ?? 1001, action.reason ?? '');
        return;
      case 'terminate':
        socket.terminate();
        return;
      case 'mute':
      case 'unmute':
        this.muted = action.action === 'mute';
        return;
      case 'send':
        this.send(action.frame);
        return;
      case 'gap':
        for (const channel of this.#channels) this.#gaps.set(channel, 0);
        return;
      case 'book':
        for (const channel of this.#channels)
          if (channel.includes(action.channel ?? '')) this.#bookFaults.set(channel, { fault: action.fault });
    }
  }

  leaveAll(): void {
    for (const channel of [...this.#channels]) this.#leave(channel);
  }

  #join(channel: string): boolean {
    if (this.#channels.has(channel)) return true;
    if (this.#channels.size >= MAX_CHANNELS) return false;
    this.#channels.add(channel);
    if (this.gapOnJoin) this.#gaps.set(channel, 1);
    const joined = this.#options.hub.join(this.venue, channel, this.#subscriber);
    if (!joined) this.#channels.delete(channel);
    return joined;
  }

  #leave(channel: string): void {
    if (!this.#channels.delete(channel)) return;
    this.#gaps.delete(channel);
    this.#bookFaults.delete(channel);
    this.#options.hub.leave(this.venue.id, channel, this.#subscriber);
  }

  #skipsBook(channel: string): boolean {
    const wait = this.#gaps.get(channel);
    if (wait === undefined) return false;
    if (wait > 0) this.#gaps.set(channel, wait - 1);
    else this.#gaps.delete(channel);
    return wait === 0;
  }

  readonly #bookFrames: Subscriber['bookFrames'] = (channel, frame, alter) => {
    const met = this.#bookFaults.get(channel);
    if (met === undefined) return [frame];
    const { fault, first } = met;
    met.first ??= frame;
    // Numbers stop after the first; the first of two in the wrong order waits for the second.
    if (fault === 'stuck') return [first === undefined ? frame : alter({ fault, first })];
    if (fault === 'reorder' && first === undefined) return [];
    this.#bookFaults.delete(channel);
    if (fault === 'lose') return [];
    if (fault === 'repeat') return [frame, frame];
    return first === undefined ? [alter({ fault, first: frame })] : [frame, first];
  };
}
