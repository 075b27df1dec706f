// The sandbox's WebSocket side: upgrades with their faults, and the hand-over to the venues' protocols.
import { type IncomingMessage, type Server } from 'node:http';
import { type Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { type ChannelHub } from './channel-hub.js';
import { isSocketFault, type Fault, type FaultBook, type SocketFault } from './faults.js';
import { splitTarget } from './http-server.js';
import { SECOND, type Millis } from './intervals.js';
import { type VenueId } from './listings.js';
import { type RequestLog } from './request-log.js';
import { type FeedVenue } from './venues/venue.js';
import { Peer, type SocketAction } from './ws-peer.js';

const MAX_SOCKETS = 5_000;
const MAX_MESSAGE_BYTES = 1_000_000;
const PING_INTERVAL: Millis = 20 * SECOND;

export interface WsOptions {
  readonly venues: readonly FeedVenue[];
  readonly hub: ChannelHub;
  readonly faults: FaultBook;
  readonly log: RequestLog;
  readonly now: () => Millis;
}

export interface SocketInfo {
  readonly venue: VenueId;
  readonly path: string;
  readonly channels: readonly string[];
  readonly muted: boolean;
}

export interface WsSide {
  /** Applies an action to the sockets of a venue, or of all; the number of sockets it met. */
  readonly act: (venue: VenueId | undefined, action: SocketAction) => number;
  readonly sockets: () => readonly SocketInfo[];
  /** Frames sent since the start. */
  readonly framesSent: () => number;
  readonly framesReceived: () => number;
  readonly close: () => void;
}

export function attachWebSockets(server: Server, options: WsOptions): WsSide {
  const byHost = new Map(
    options.venues.flatMap((venue) => venue.hosts.map((host) => [host, venue] as const)),
  );
  const wss = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, autoPong: false });
  const peers = new Set<Peer>();
  const timers = new Set<NodeJS.Timeout>();
  /** Every connection that asked for an upgrade: the HTTP server no longer knows them. */
  const connections = new Set<Duplex>();
  let framesSent = 0;
  let framesReceived = 0;
  let beats = 0;
  let beat: NodeJS.Timeout | undefined;

  const later = (ms: Millis, run: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms).unref();
    timers.add(timer);
  };

  /** Once a second: heartbeats for quiet sockets, and a ping now and then. */
  const onBeat = (): void => {
    beats += 1;
    for (const peer of peers) {
      const { heartbeat } = peer.venue;
      const quiet = options.now() - peer.lastFrameAt >= SECOND && peer.feed.channels().length > 0;
      if (heartbeat !== undefined && quiet) peer.send(heartbeat);
      if (beats % (PING_INTERVAL / SECOND) === 0) peer.ping();
    }
  };

  const afflict = (peer: Peer, fault: SocketFault): void => {
    switch (fault.type) {
      case 'ws_close':
        later(fault.ms, () => peer.act({ action: 'close', code: fault.code ?? 1001 }));
        return;
      case 'ws_terminate':
        later(fault.ms, () => peer.act({ action: 'terminate' }));
        return;
      case 'ws_silent':
        peer.silent = true;
        return;
      case 'ws_mute':
        later(fault.ms, () => peer.act({ action: 'mute' }));
        return;
      case 'ws_garbage':
        peer.send(fault.frame ?? '<garbage>{"not":');
        return;
      case 'ws_gap':
        peer.gapOnJoin = true;
    }
  };

  const welcome = (socket: WebSocket, at: Arrival): void => {
    const { venue, path, query, fault } = at;
    const onFrame = (): void => {
      framesSent += 1;
    };
    const peer = new Peer({ venue, path, socket, hub: options.hub, now: options.now, onFrame });
    peers.add(peer);
    beat ??= setInterval(onBeat, SECOND).unref();
    socket.on('error', () => undefined);
    socket.on('ping', (data) => peer.pong(data));
    socket.on('message', (data: Buffer) => {
      framesReceived += 1;
      if (!peer.muted) venue.message(peer.feed, data.toString(), options.now());
    });
    socket.on('close', () => {
      peer.leaveAll();
      peers.delete(peer);
      if (peers.size > 0) return;
      clearInterval(beat);
      beat = undefined;
    });
    if (fault && isSocketFault(fault)) afflict(peer, fault);
    venue.open?.(peer.feed, path, query);
  };

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => undefined);
    socket.once('close', () => connections.delete(socket));
    connections.add(socket);
    const { host, path, query, target } = splitTarget(String(request.url));
    const venue = byHost.get(host);
    if (!venue || peers.size >= MAX_SOCKETS) {
      refuse(socket, venue ? 503 : 404, '{"error":"no simulated feed here, or too many sockets"}');
      return;
    }
    const fault = options.faults.take({ venue: venue.id, kind: 'websocket', target });
    const refusal = refusalOf(fault);
    options.log.add({
      time: options.now(),
      venue: venue.id,
      kind: 'websocket',
      method: 'GET',
      path,
      query: query.toString(),
      status: refusal === undefined ? 101 : refusal.status,
      fault: fault?.type ?? null,
      userAgent: request.headers['user-agent'] ?? '',
    });
    if (fault?.type === 'hang' || fault?.type === 'stall') return;
    if (fault?.type === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    if (refusal) {
      refuse(socket, refusal.status, refusal.body);
      return;
    }
    const upgrade = (): void =>
      wss.handleUpgrade(request, socket, head, (ws) => welcome(ws, { venue, path, query, fault }));
    if (fault?.type === 'delay') later(fault.ms, upgrade);
    else upgrade();
  };
  server.on('upgrade', onUpgrade);

  return {
    act: (venue, action) => {
      const met = [...peers].filter((peer) => venue === undefined || peer.venue.id === venue);
      for (const peer of met) peer.act(action);
      return met.length;
    },
    sockets: () =>
      [...peers].map((peer) => ({
        venue: peer.venue.id,
        path: peer.path,
        channels: peer.feed.channels(),
        muted: peer.muted,
      })),
    framesSent: () => framesSent,
    framesReceived: () => framesReceived,
    close: () => {
      clearInterval(beat);
      for (const timer of timers) clearTimeout(timer);
      for (const connection of connections) connection.destroy();
      wss.close();
    },
  };
}

interface Arrival {
  readonly venue: FeedVenue;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly fault: Fault | undefined;
}

/** The HTTP answer that a fault gives instead of an upgrade. */
function refusalOf(fault: Fault | undefined): { status: number; body: string } | undefined {
  switch (fault?.type) {
    case 'status':
      return { status: fault.status, body: fault.body ?? '' };
    case 'hang':
    case 'stall':
    case 'reset':
      return { status: 0, body: '' };
    case 'html':
    case 'empty':
      return { status: 200, body: fault.type === 'html' ? '<!DOCTYPE html><html></html>' : '' };
    case 'venue_error':
      return { status: 403, body: '' };
    default:
      return undefined;
  }
}

function refuse(socket: Duplex, status: number, body: string): void {
  socket.end(
    `HTTP/1.1 ${status} Simulated\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
