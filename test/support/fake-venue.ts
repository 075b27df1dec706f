/** A venue on loopback that answers as a test says: CCXT's URL `scheme://host/path` arrives as `/host/path`. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';

export interface Asked {
  /** `/host/path` without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ReplyFields {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text or bytes as they are; anything else as JSON. */
  readonly body: unknown;
}

class Reply {
  constructor(readonly fields: ReplyFields) {}
}
/** An answer in full, in place of JSON with status 200. */
export const reply = (fields: ReplyFields): Reply => new Reply(fields);

/** What is sent as JSON with status 200; a `reply`; undefined: 404; 'drop': the connection is reset. */
export type Answer = (asked: Asked) => unknown;

export interface FakeVenueOptions {
  readonly answer: Answer;
  /** Of the `Date` header. */
  readonly now?: () => number;
  /** Called with each frame that a client sends. */
  readonly onFrame?: (frame: unknown, socket: WebSocket, path: string) => void;
  /** Called with each socket that a client opens. */
  readonly onSocket?: (socket: WebSocket, path: string) => void;
}

export interface FakeVenue {
  readonly url: string;
  readonly requests: readonly Asked[];
  readonly frames: readonly unknown[];
  readonly sockets: ReadonlySet<WebSocket>;
  close(): Promise<void>;
}

const NOT_THERE: ReplyFields = { status: 404, body: { message: 'not there' } };

const send = (response: ServerResponse, answer: unknown, date: string): void => {
  if (answer === 'drop') {
    response.destroy();
    return;
  }
  const given = answer instanceof Reply ? answer.fields : { body: answer };
  const { status = 200, headers, body } = answer === undefined ? NOT_THERE : given;
  const payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', date, ...headers }).end(payload);
};

export const startFakeVenue = async ({
  answer,
  now = Date.now,
  onFrame,
  onSocket,
}: FakeVenueOptions): Promise<FakeVenue> => {
  const requests: Asked[] = [];
  const frames: unknown[] = [];
  const sockets = new Set<WebSocket>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://venue');
      const asked = { path, query, headers: request.headers, body: Buffer.concat(chunks).toString() };
      requests.push(asked);
      send(response, answer(asked), new Date(now()).toUTCString());
    });
  });
  const wss = new WebSocketServer({ server });
  wss.on('connection', (socket, request) => {
    const path = request.url ?? '';
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    onSocket?.(socket, path);
    socket.on('message', (data) => {
      const frame: unknown = JSON.parse((data as Buffer).toString());
      frames.push(frame);
      onFrame?.(frame, socket, path);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    frames,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.terminate();
      wss.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};
