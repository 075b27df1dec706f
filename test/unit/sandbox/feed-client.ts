// A bare WebSocket client of the sandbox: what is sent and what arrives, as it stands on the wire.
import { once } from 'node:events';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';

export type Frame = Readonly<Record<string, unknown>>;

export interface FeedClient {
  readonly socket: WebSocket;
  /** All frames so far, oldest first; what is no JSON object stands as `{ text }`. */
  readonly frames: Frame[];
  send(message: unknown): void;
  /** The first frame that has these members, past or to come. */
  frame(members: Frame): Promise<Frame>;
  close(): void;
}

const parsed = (text: string): Frame => {
  try {
    return JSON.parse(text) as Frame;
  } catch {
    return { text };
  }
};

const has = (frame: Frame, members: Frame): boolean =>
  Object.entries(members).every(([name, value]) => frame[name] === value);

/** Opens `path`, the venue's host first, e.g. `ws.kraken.com/v2`. */
export async function openFeed(sandbox: Sandbox, path: string): Promise<FeedClient> {
  const socket = new WebSocket(`${sandbox.wsUrl}/${path}`);
  const frames: Frame[] = [];
  socket.on('message', (data: Buffer) => frames.push(parsed(data.toString())));
  await once(socket, 'open');
  return {
    socket,
    frames,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    frame: async (members) => {
      const found = (): Frame | undefined => frames.find((frame) => has(frame, members));
      await expect.poll(found, { interval: 3, timeout: 20_000 }).toBeDefined();
      return found() ?? {};
    },
    close: () => socket.terminate(),
  };
}
