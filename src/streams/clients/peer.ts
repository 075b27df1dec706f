/** What a connection needs of its transport. A `net.Socket` is a ClientSocket. */

/** Close codes of RFC 6455: policy, fault, restart, try again. */
export const CLOSE = { policy: 1008, fault: 1011, restart: 1012, tryAgain: 1013 } as const;
export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];

/** Finished WebSocket frames, or finished Server-Sent Events. */
export type Wire = 'frame' | 'sse';

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

export interface Peer {
  readonly wire: Wire;
  /** Whether there are pings, whose pongs the transport reports with `Connection.pong()`. SSE has none. */
  readonly pings: boolean;
  ping(): void;
  /** Ends in order, behind what was written. On SSE the code is without meaning. */
  end(code: CloseCode, reason: string): void;
}
