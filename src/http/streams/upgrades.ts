/**
 * Which upgrades are for us. Java's HttpClient offers `Upgrade: h2c` with each request over plain HTTP, and so does
 * `curl --http2`: who speaks nothing but HTTP/1.1 ignores the offer and answers (RFC 9110, section 7.8). Node instead
 * takes every offer for an upgrade once somebody listens for one.
 */
import { Server, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Pipelines } from '../connections/pipelines.js';

/** Fields that made Node take the request for an upgrade; `Connection` is written anew. */
const OFFER = new Set(['upgrade', 'http2-settings', 'connection']);

const tokens = (list: string | undefined): string[] =>
  (list ?? '').split(',').map((token) => token.trim().toLowerCase());

/** The request's head as it would have come without the offer. */
const plainHead = ({ method, url, httpVersion, headers, rawHeaders }: IncomingMessage): Buffer => {
  const lines = [`${method ?? 'GET'} ${url ?? '/'} HTTP/${httpVersion}`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (!OFFER.has(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  const connection = tokens(headers.connection).filter((token) => !OFFER.has(token));
  if (connection.length > 0) lines.push(`Connection: ${connection.join(', ')}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
};

/** Requests whose socket was taken from Node's parser for WebSocket. */
const handedOver = new WeakSet<IncomingMessage>();

export const isUpgrade = (request: IncomingMessage): boolean => handedOver.has(request);

export interface UpgradeOptions {
  readonly pipelines: Pipelines;
  /** Answers an upgrade that comes while answers are due on its connection, in its turn. */
  readonly refuse: (socket: Duplex) => void;
}

/**
 * Gives `server`'s upgrades to WebSocket to the server returned, which never listens: only its `upgrade` event counts.
 * Other offers are passed over: their request, with its body and whatever follows on the connection, is served as if
 * it had come without one.
 *
 * Node hands the socket over while earlier requests on it may still wait for their answers. What would be written at
 * that moment would be taken for theirs: such an upgrade is refused in its turn.
 */
export const webSocketUpgrades = (server: Server, { pipelines, refuse }: UpgradeOptions): Server => {
  const upgrades = new Server();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (pipelines.of(socket).busy) {
      refuse(socket);
      return;
    }
    // HTTP/1.0 knows no upgrades: its offer is passed over like any other (RFC 9110, section 7.8).
    if (request.httpVersion !== '1.0' && tokens(request.headers.upgrade).includes('websocket')) {
      handedOver.add(request);
      upgrades.emit('upgrade', request, socket, head);
      return;
    }
    // Node has let go of the socket: it begins again, with the bytes that it had read.
    socket.unshift(Buffer.concat([plainHead(request), head]));
    server.emit('connection', socket);
  });
  return upgrades;
};
