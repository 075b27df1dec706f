/**
 * WebSocket upgrades through Fastify's routing: until the upgrade a fault is an HTTP answer, afterwards it is an error
 * event and a close code.
 */
import type { Duplex } from 'node:stream';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import type { RawData, WebSocket } from 'ws';
import { AppError } from '../../errors.js';
import type { Connections } from '../../streams/clients/connections.js';
import { CLOSE_GRACE, MAX_CLIENT_MESSAGE_BYTES } from '../../streams/clients/limits.js';
import { CLOSE, type CloseCode, type Peer } from '../../streams/clients/connection.js';
import { toProblem, type ProblemContext } from '../problems/problem.js';
import { refuseInTurn } from '../connections/socket-refusals.js';
import { isUpgrade, webSocketUpgrades } from './upgrades.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route takes upgrades. */
    webSocket?: boolean;
  }
}

/** 16 bytes in base64 (RFC 6455, section 4.1). */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSIONS = ['13', '8'];
/** A token of RFC 9110, section 5.6.2. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
const ELSEWHERE = 'This address does not speak WebSocket; /ws, /ws/ticker and /graphql do.';

export interface WebSocketsOptions {
  readonly connections: Pick<Connections, 'close'>;
  /** A new request id. */
  readonly requestId: () => string;
}

/** The protocol of `/graphql`; other routes speak whatever is offered first. */
export const GRAPHQL_PROTOCOL = 'graphql-transport-ws';

const chosenProtocol = (offered: ReadonlySet<string>): string | false => {
  if (offered.has(GRAPHQL_PROTOCOL)) return GRAPHQL_PROTOCOL;
  const [first] = offered;
  return first ?? false;
};

/** Upgrades for the routes of `webSocketRoute`, and the end of all streams before the server closes. */
export const addWebSockets = async (
  app: FastifyInstance,
  { connections, requestId }: WebSocketsOptions,
): Promise<void> => {
  const refuse = (socket: Duplex): void => {
    const fault = new AppError('invalid_request', 'An upgrade cannot follow an unanswered request.');
    refuseInTurn(app, { socket, fault, requestId: requestId(), method: 'GET' });
  };
  await app.register(fastifyWebsocket, {
    options: {
      server: webSocketUpgrades(app.server, { pipelines: app.pipelines, refuse }),
      maxPayload: MAX_CLIENT_MESSAGE_BYTES,
      perMessageDeflate: false,
      handleProtocols: chosenProtocol,
      clientTracking: false,
    },
    preClose: async () => {
      await connections.close();
    },
  });
  // The socket of a refused upgrade is not read any more: the end of its client would go unnoticed.
  app.addHook('onSend', async (request, reply, payload) => {
    const { socket } = request.raw;
    if (isUpgrade(request.raw))
      reply.header('connection', 'close').raw.once('finish', () => socket.destroySoon());
    return payload;
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const astray = request.ws && !request.is404 && request.routeOptions.config.webSocket !== true;
    done(astray ? new AppError('invalid_request', ELSEWHERE) : undefined);
  });
};

/** Subprotocols are a list of tokens, none of them twice (RFC 6455, section 4.1). */
const isProtocolList = (list: string): boolean => {
  const protocols = list.split(',').map((protocol) => protocol.trim());
  return protocols.every((protocol) => TOKEN.test(protocol)) && new Set(protocols).size === protocols.length;
};

/** Throws `invalid_request` for a handshake that ws would refuse, in plain text. */
const requireHandshake = ({ headers }: FastifyRequest, reply: FastifyReply): void => {
  const faults = [
    {
      parameter: 'Upgrade',
      wrong: headers.upgrade?.toLowerCase() !== 'websocket',
      reason: 'must be websocket',
    },
    {
      parameter: 'Sec-WebSocket-Key',
      wrong: !KEY.test(headers['sec-websocket-key'] ?? ''),
      reason: 'must be 16 bytes in base64',
    },
    {
      parameter: 'Sec-WebSocket-Version',
      wrong: !VERSIONS.includes(headers['sec-websocket-version'] ?? ''),
      reason: 'must be 13',
    },
    {
      parameter: 'Sec-WebSocket-Protocol',
      wrong: !isProtocolList(headers['sec-websocket-protocol'] ?? 'none'),
      reason: 'must be different tokens separated by commas',
    },
  ].filter(({ wrong }) => wrong);
  if (faults.length === 0) return;
  const errors = faults.map(({ parameter, reason }) => ({ parameter, reason }));
  reply.header('sec-websocket-version', VERSIONS.join(', '));
  throw new AppError('invalid_request', 'The WebSocket handshake is not valid.', { errors });
};

const ignore = (): void => undefined;

/**
 * Drops what Fastify and Node would keep for the connection's whole life: request, reply and response. The answer is
 * over for them, which is what their listeners are told.
 */
const forgetRequest = (socket: WebSocket, request: FastifyRequest, reply: FastifyReply): void => {
  socket.removeAllListeners('error');
  // ws has closed the socket with the right code by then.
  socket.on('error', ignore);
  const { raw } = reply;
  raw.statusCode = 101;
  raw.detachSocket(request.raw.socket);
  raw.emit('close');
};

/** 1013 where trying again soon may help, 1012 while the server goes, 1008 for the client's own fault, else 1011. */
const closeCodeOf = ({ code, status, retryable }: AppError): CloseCode => {
  if (code === 'shutting_down') return CLOSE.restart;
  if (retryable) return CLOSE.tryAgain;
  return status < 500 ? CLOSE.policy : CLOSE.fault;
};

interface ErrorContext extends ProblemContext {
  readonly sandbox: boolean;
}

/**
 * The end of a connection that failed after its upgrade: an error event, then the close. A client that does not answer
 * the close in time keeps no socket.
 */
const closeWithProblem = (
  socket: WebSocket,
  error: AppError,
  { sandbox, ...context }: ErrorContext,
): void => {
  const mark = sandbox ? { sandbox } : {};
  socket.send(JSON.stringify({ event_type: 'error', ...toProblem(error, context), ...mark }));
  socket.close(closeCodeOf(error), error.title);
  const grace = setTimeout(() => {
    socket.terminate();
  }, CLOSE_GRACE);
  grace.unref();
  socket.once('close', () => {
    clearTimeout(grace);
  });
};

export interface WebSocketRoute<T> {
  /** Error events say that the venues are simulated. */
  readonly sandbox: boolean;
  /** Before the upgrade: what it throws is an HTTP answer. */
  readonly prepare: (request: FastifyRequest) => Promise<T> | T;
  /** After it: what it throws is an error event and a close code. */
  readonly begin: (socket: WebSocket, prepared: T, context: ProblemContext) => void;
}

/** The parts of a Fastify route that takes upgrades, and answers other requests with a problem that says so. */
export const webSocketRoute = <T>({ sandbox, prepare, begin }: WebSocketRoute<T>) => {
  const prepared = new WeakMap<FastifyRequest, { readonly value: T; readonly reply: FastifyReply }>();
  const preHandler: preHandlerAsyncHookHandler = async (request, reply) => {
    if (!request.ws) {
      reply.header('upgrade', 'websocket');
      throw new AppError('invalid_request', 'This address speaks WebSocket: it needs a WebSocket client.');
    }
    requireHandshake(request, reply);
    prepared.set(request, { value: await prepare(request), reply });
  };
  return {
    method: 'GET' as const,
    exposeHeadRoute: false,
    preHandler,
    handler: ignore,
    wsHandler: (socket: WebSocket, request: FastifyRequest): void => {
      const ready = prepared.get(request);
      if (ready === undefined)
        throw new AppError('internal_error', 'An upgrade came without its preparation.');
      forgetRequest(socket, request, ready.reply);
      const context = { url: request.raw.url ?? '/', requestId: request.id };
      try {
        begin(socket, ready.value, context);
      } catch (error) {
        closeWithProblem(socket, AppError.from(error), { ...context, sandbox });
      }
    },
  };
};

/** A message's text; null for a binary one. */
export const textOf = (data: RawData, isBinary: boolean): string | null =>
  isBinary || !Buffer.isBuffer(data) ? null : data.toString('utf8');

export class WebSocketPeer implements Peer {
  readonly wire: Peer['wire'];
  readonly pings = true;
  readonly #socket: WebSocket;

  /** `ids`: events tell theirs. */
  constructor(socket: WebSocket, { ids = false }: { readonly ids?: boolean } = {}) {
    this.#socket = socket;
    this.wire = ids ? 'frameWithId' : 'frame';
  }

  ping(): void {
    this.#socket.ping();
  }

  end(code: CloseCode, reason: string): void {
    this.#socket.close(code, reason);
  }
}
