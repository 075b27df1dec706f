/**
 * The end of a server in order: readiness goes off first, then what is under way finishes, then the services close.
 */
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { AppError } from '../../errors.js';

interface LifeCycle {
  readonly draining: boolean;
  /** Readiness turns off and answers close their connections; requests are still answered. Idempotent. */
  beginDraining(): void;
  /** Requests that wait for an exchange are answered now, with `shutting_down`. Idempotent. */
  giveUpCalls(): void;
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly lifeCycle: LifeCycle;
  }
}

/** When a client that comes too late should try another server. */
const RETRY_AFTER_MS = 1000;

export interface LifeCycleOptions {
  readonly giveUpCalls: () => void;
  /** Closes the services, once nothing is under way any more. */
  readonly close: () => Promise<void>;
}

/**
 * Ends connections on which nothing was ever sent: browsers, fetch and load balancers open them in advance. Node counts them
 * as busy, not as idle, so that they would hold up the end until their time limit.
 */
const endUnused = (app: FastifyInstance): void => {
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    // After an offer of another protocol the same one is handed in again.
    if (sockets.has(socket)) return;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.addHook('preClose', async () => {
    // What has arrived by now is read first: a request is not cut off.
    await nextTurn();
    await nextTurn();
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  });
};

/** Installed on the root instance. */
export const addLifeCycle = (app: FastifyInstance, { giveUpCalls, close }: LifeCycleOptions): void => {
  let draining = false;
  let closing = false;
  app.decorate('lifeCycle', {
    get draining() {
      return draining;
    },
    beginDraining() {
      draining = true;
    },
    giveUpCalls,
  });
  app.addHook('preClose', (done) => {
    draining = true;
    closing = true;
    done();
  });
  endUnused(app);
  app.addHook('onRequest', (request, reply, done) => {
    if (draining) reply.raw.setHeader('connection', 'close');
    // A kept-alive connection may still bring requests while the last answers are on their way.
    const late = closing && request.routeOptions.config.unlimited !== true;
    const detail = 'This server is shutting down.';
    done(late ? new AppError('shutting_down', detail, { retryAfterMs: RETRY_AFTER_MS }) : undefined);
  });
  // What was under way when the end began must not promise a connection that is about to close.
  app.addHook('onSend', async (_request, reply, payload) => {
    if (draining) reply.raw.setHeader('connection', 'close');
    return payload;
  });
  app.addHook('onClose', close);
};
