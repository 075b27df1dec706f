/** The client of a mcp-crypto-data-server, for browsers and Node 20 or later: `mcp-crypto-data-server/client`. */
import { createCore, type Client as Core, type ClientOptions } from './core.js';
import { IterableStream, type Stream } from './event-iterator.js';
import type { SocketConstructor } from './socket.js';

export { ProblemError } from './rest.js';
export type { ClientOptions } from './core.js';
export type { Stream } from './event-iterator.js';
export type { Subscription } from './stream.js';
export type { Channel, Handlers, State, Topic, TopicState } from './topic.js';
export type * from './types.js';

export type Client = Core<Stream>;

const NO_WEB_SOCKET =
  'There is no WebSocket here (Node 20 has none): pass one, as in createClient({ url, WebSocket }) with that of the package ws.';

/** Stands in where there is none. */
const NoWebSocket = function (): never {
  throw new Error(NO_WEB_SOCKET);
} as unknown as SocketConstructor;

/** All methods reject with a ProblemError; what may be tried again was tried three times by then. */
export const createClient = (options: ClientOptions): Client => {
  const own = globalThis as { readonly WebSocket?: SocketConstructor };
  const WebSocket = options.WebSocket ?? own.WebSocket ?? NoWebSocket;
  return createCore({ ...options, WebSocket }, IterableStream);
};
