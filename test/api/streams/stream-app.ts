/** A listening server with the stream routes alone, in front of a fake hub. */
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';
import { AppError } from '../../../src/errors.js';
import { addAccess } from '../../../src/http/access/access-hook.js';
import { addAnswers, type AnswerRecord } from '../../../src/http/requests/answer-record.js';
import { addCommonHeaders } from '../../../src/http/answers/common-headers.js';
import { addClientLimit } from '../../../src/http/limits/client-limit.js';
import { addErrorAnswers } from '../../../src/http/problems/error-handler.js';
import { addValidation } from '../../../src/http/problems/validation.js';
import { addWebSockets } from '../../../src/http/streams/websocket.js';
import { createStreamLimits } from '../../../src/http/limits/stream-limits.js';
import { PERMITS_ALL } from '../../../src/access/permit.js';
import { streamRoutes } from '../../../src/http/routes/streams.js';
import { silentLog } from '../../../src/log/log.js';
import { createHealthFeed } from '../../../src/streams/clients/health-feed.js';
import { createConnections, type Connections } from '../../../src/streams/clients/connections.js';
import { FakeHub } from '../../support/fake-hub.js';

export interface StreamApp {
  readonly app: FastifyInstance;
  readonly hub: FakeHub;
  readonly connections: Connections;
  readonly answers: AnswerRecord[];
  readonly port: number;
  close(): Promise<void>;
}

const resolveExchange = (name: string) => {
  if (name === 'nowhere') throw new AppError('unknown_exchange', 'nowhere is not an exchange.');
  return { name, exchange: name === 'coinbasepro' ? 'coinbaseexchange' : name };
};

export const startStreamApp = async ({
  maxConnections = 100,
  heartbeatMs = 30_000,
  sandbox = false,
} = {}): Promise<StreamApp> => {
  const hub = new FakeHub();
  const now = Date.now;
  const connections = createConnections({ maxConnections, heartbeatMs, sandbox, now, log: silentLog });
  const app = Fastify({ logger: false, forceCloseConnections: 'idle' });
  const answers: AnswerRecord[] = [];
  addAnswers(app);
  app.onAnswer((answer) => answers.push(answer));
  addCommonHeaders(app, { corsOrigins: true });
  addAccess(app, { access: null, metricsAuth: false });
  addClientLimit(app, { quotas: null, metering: null, permits: () => PERMITS_ALL, windowName: 'default' });
  addErrorAnswers(app, { log: silentLog, now });
  addValidation(app);
  await addWebSockets(app, { connections, requestId: () => 'refused' });
  app.get('/plain', () => ({ plain: true }));
  await app.register(streamRoutes, {
    hub,
    marketData: { resolveExchange },
    connections,
    limits: createStreamLimits(null),
    health: createHealthFeed({ status: () => ({ exchanges: [] }) as never, now, monotonic: now }),
    now,
    monotonic: now,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  return { app, hub, connections, answers, port, close: () => app.close() };
};

export interface SseClient {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** All text so far. */
  text(): string;
  /** Parsed data of all messages so far. */
  events(): Record<string, unknown>[];
  /** Number of messages with data that are whole; looks at no text twice. */
  whole(): number;
  /** Resolves once `enough` holds. Rejects when the stream ends before. */
  until(enough: (client: SseClient) => boolean): Promise<void>;
  readonly ended: Promise<void>;
  pause(): void;
  resume(): void;
  destroy(): void;
}

/** Resolves with the answer's head; a problem's body is text too. */
export const openSse = async (
  port: number,
  path: string,
  { headers = {}, method = 'GET' }: { headers?: Record<string, string>; method?: string } = {},
): Promise<SseClient> => {
  const request = http.request({ host: '127.0.0.1', port, path, headers, method, agent: false });
  request.end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  let whole = 0;
  let over = false;
  const waiting = new Set<() => void>();
  const ended = new Promise<void>((resolve) => {
    response.once('close', () => {
      over = true;
      resolve();
      for (const check of waiting) check();
    });
  });
  response.on('error', () => undefined);
  // Data is a JSON object; its end may come in two pieces.
  const END = '}\n\n';
  let tail = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const piece = tail + chunk;
    whole += piece.split(END).length - 1;
    tail = piece.slice(1 - END.length);
    for (const check of waiting) check();
  });
  const client: SseClient = {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: () => text,
    events: () =>
      [...text.matchAll(/^data: (.*)$/gm)].map((match) => JSON.parse(match[1]!) as Record<string, unknown>),
    whole: () => whole,
    until: (enough) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (enough(client)) resolve();
          else if (over) reject(new Error(`The stream ended: ${text.slice(0, 300)}`));
          else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      }),
    ended,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    destroy: () => void request.destroy(),
  };
  return client;
};

/** What an upgrade that was refused was answered with. */
export interface Refusal {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

export interface WsClient {
  readonly socket: WebSocket;
  readonly messages: Record<string, unknown>[];
  send(message: unknown): void;
  until(enough: (messages: Record<string, unknown>[]) => boolean): Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
}

/** Resolves with an open client, or with the HTTP answer that refused it. */
export const openWs = (port: number, path: string): Promise<WsClient | Refusal> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    const messages: Record<string, unknown>[] = [];
    const waiting = new Set<() => void>();
    let over = false;
    const closed = new Promise<{ code: number; reason: string }>((settle) => {
      socket.once('close', (code, reason) => {
        over = true;
        settle({ code, reason: reason.toString() });
        for (const check of waiting) check();
      });
    });
    socket.on('message', (data) => {
      messages.push(JSON.parse((data as Buffer).toString()));
      for (const check of waiting) check();
    });
    const until: WsClient['until'] = (enough) =>
      new Promise((settle, fail) => {
        const check = (): void => {
          if (enough(messages)) settle();
          else if (over) fail(new Error(`The socket closed after ${JSON.stringify(messages.slice(-3))}`));
          else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      });
    socket.once('unexpected-response', (_request, response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text) }),
      );
    });
    socket.once('error', reject);
    socket.once('open', () =>
      resolve({ socket, messages, until, closed, send: (message) => socket.send(JSON.stringify(message)) }),
    );
  });

/** An open client; fails where it was refused. */
export const connectWs = async (port: number, path: string): Promise<WsClient> => {
  const client = await openWs(port, path);
  if ('status' in client) throw new Error(`Refused: ${JSON.stringify(client.body)}`);
  return client;
};

/** What a server answers to raw bytes, until it closes the connection or `enough` holds. */
export const rawExchange = (
  port: number,
  bytes: string,
  enough: (text: string) => boolean,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    const finish = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (enough(text)) finish();
    });
    socket.once('end', finish).once('error', reject);
  });
