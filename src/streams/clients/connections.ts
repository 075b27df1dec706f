/** All clients of the streams: how many there may be, heartbeats, the detection of stuck ones, and the shutdown. */
import { AppError } from '../../errors.js';
import type { TakePlaces } from '../../lib/open-places.js';
import type { Millis } from '../../schemas/common.js';
import type { Log } from '../../log/log.js';
import { createSharedEvent } from '../events.js';
import { CLOSE, Connection, type ConnectionHost, type ConnectionKind } from './connection.js';
import { type ClientSocket, WriteBatcher } from './outbox.js';
import { CLOSE_GRACE, RETRY_WHEN_FULL, SWEEP_INTERVAL } from './limits.js';

export interface ConnectionStats {
  /** Open now. */
  readonly sse: number;
  readonly websocket: number;
  /** Since the start. */
  readonly opened: { readonly sse: number; readonly websocket: number };
  /** Turned away because STREAM_MAX_CONNECTIONS were open. */
  readonly refused: number;
  /** Events written to clients (an event to n clients counts n times). */
  readonly delivered: number;
  /** Events that were replaced by later ones before a slow reader could take them. */
  readonly conflated: number;
  /** Trades that slow readers lost; each reader got their count. */
  readonly lost: number;
  /** Readers that were closed because they were stuck. */
  readonly dropped: number;
}

export interface ConnectionsOptions {
  readonly maxConnections: number;
  /** Of one client; default: all of them. */
  readonly maxPerClient?: number | undefined;
  /** Counts them over all processes of the server; default: there is one. */
  readonly takePlaces?: TakePlaces | undefined;
  readonly heartbeatMs: Millis;
  /** Every event then says so. */
  readonly sandbox: boolean;
  readonly now: () => Millis;
  /** The clock of durations; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  readonly log: Log;
}

export interface Connections {
  readonly sandbox: boolean;
  /**
   * Admits one client. Throws `overloaded`, `stream_limit_reached` where this client has all the slots that it may have, or
   * `shutting_down`. Its slot is released when the socket closes. Where several processes serve, the connection's `confirmed`
   * may reject with the same: it has ended then.
   */
  admit(kind: ConnectionKind, socket: ClientSocket, client: string): Connection;
  stats(): ConnectionStats;
  /** Ends every stream (WebSocket: 1012) and resolves when all are gone, by CLOSE_GRACE at the latest. */
  close(): Promise<void>;
}

export const createConnections = (options: ConnectionsOptions): Connections => {
  const {
    maxConnections,
    maxPerClient = maxConnections,
    takePlaces,
    heartbeatMs,
    sandbox,
    now,
    monotonic = now,
    log,
  } = options;
  const open = { sse: 0, websocket: 0 };
  const opened = { sse: 0, websocket: 0 };
  const counters = { delivered: 0, conflated: 0, lost: 0 };
  const attached = new Set<Connection>();
  /** Connections of each client that has some. */
  const slots = new Map<string, number>();
  const clients = new WeakMap<Connection, string>();
  /** How the places of a connection are given back. */
  const places = new WeakMap<Connection, () => void>();
  let refused = 0;
  let dropped = 0;
  let closing: Promise<void> | null = null;
  let allGone: (() => void) | null = null;

  const shuttingDown = (): AppError => new AppError('shutting_down', 'The server is shutting down.');

  const noneLeft = (): AppError =>
    new AppError('overloaded', `All ${maxConnections} stream connections are taken.`, {
      retryAfterMs: RETRY_WHEN_FULL,
    });
  const noneLeftForClient = (): AppError =>
    new AppError(
      'stream_limit_reached',
      `This address has all the streams that it may have at once: ${maxPerClient}.`,
      { retryAfterMs: RETRY_WHEN_FULL },
    );

  const confirm = async (connection: Connection, missing: Promise<number | null>): Promise<void> => {
    const which = await missing;
    if (which === null) return;
    refused += 1;
    connection.abandon();
    throw which === 0 ? noneLeft() : noneLeftForClient();
  };

  const host: ConnectionHost = {
    batcher: new WriteBatcher(),
    now,
    monotonic,
    counters,
    attached(connection) {
      if (closing !== null) throw shuttingDown();
      opened[connection.kind] += 1;
      attached.add(connection);
    },
    released(connection) {
      open[connection.kind] -= 1;
      places.get(connection)?.();
      const client = clients.get(connection) ?? '';
      const left = (slots.get(client) ?? 1) - 1;
      if (left === 0) slots.delete(client);
      else slots.set(client, left);
      if (attached.delete(connection) && attached.size === 0) allGone?.();
    },
    dropped(connection) {
      dropped += 1;
      log.info({ kind: connection.kind }, 'A stream client was dropped: it did not keep up.');
    },
  };

  const heartbeat = setInterval(() => {
    const json = JSON.stringify({
      event_type: 'heartbeat',
      timestamp: now(),
      ...(sandbox ? { sandbox } : {}),
    });
    const event = createSharedEvent({ type: 'heartbeat', json, conflationKey: 'heartbeat' });
    for (const connection of attached) connection.heartbeat(event);
  }, heartbeatMs);
  heartbeat.unref();

  let sweptAt = monotonic();
  const sweep = setInterval(() => {
    const at = monotonic();
    const stoodStill = Math.max(0, at - sweptAt - SWEEP_INTERVAL);
    sweptAt = at;
    for (const connection of attached) connection.sweep(at, stoodStill);
  }, SWEEP_INTERVAL);
  sweep.unref();

  const endAll = (): Promise<void> =>
    new Promise((resolve) => {
      clearInterval(heartbeat);
      clearInterval(sweep);
      if (attached.size === 0) {
        resolve();
        return;
      }
      const grace = setTimeout(() => {
        for (const connection of attached) connection.destroy();
        resolve();
      }, CLOSE_GRACE);
      allGone = () => {
        clearTimeout(grace);
        resolve();
      };
      for (const connection of attached) connection.close(CLOSE.restart, 'The server is restarting.');
    });

  return {
    sandbox,
    admit(kind, socket, client) {
      if (closing !== null) throw shuttingDown();
      if (open.sse + open.websocket >= maxConnections) {
        refused += 1;
        throw noneLeft();
      }
      const taken = slots.get(client) ?? 0;
      if (taken >= maxPerClient) {
        refused += 1;
        throw noneLeftForClient();
      }
      slots.set(client, taken + 1);
      open[kind] += 1;
      const connection = new Connection(kind, socket, host);
      clients.set(connection, client);
      if (takePlaces !== undefined) {
        const { missing, giveBack } = takePlaces([
          { of: 'streams', most: maxConnections },
          { of: `streams of ${client}`, most: maxPerClient },
        ]);
        places.set(connection, giveBack);
        connection.confirmed = confirm(connection, missing);
        // Whoever waits for it is told.
        connection.confirmed.catch(() => undefined);
      }
      return connection;
    },
    stats: () => ({ ...open, opened: { ...opened }, refused, ...counters, dropped }),
    close: () => (closing ??= endAll()),
  };
};
