/** Event streams and WebSockets of one server, as a page or a program opens them. */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';

export const MARKET = 'exchange=binance&symbol=BTC/USDT';

type Headers = Readonly<Record<string, string>>;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** null for a stream that has begun. */
  readonly code: string | null;
  readonly response: IncomingMessage;
}

export const ask = async (
  port: number,
  path: string,
  {
    headers = {},
    method = 'GET',
    body,
  }: { readonly headers?: Headers; readonly method?: string; readonly body?: unknown } = {},
): Promise<{ status: number; headers: IncomingMessage['headers']; json: Record<string, unknown> }> => {
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const asked = request({ port, path, method, headers: { ...json, ...headers }, agent: false });
  asked.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const answer = await text(response);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    json: (answer.startsWith('{') ? JSON.parse(answer) : {}) as Record<string, unknown>,
  };
};

/** An event stream: its status, and its code where it is refused. The stream is left open. */
export const openSse = async (port: number, query: string, headers: Headers = {}): Promise<Answer> => {
  const path = `/v1/stream/ticker?${MARKET}${query}`;
  const asked = request({ port, path, headers, agent: false }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const status = response.statusCode ?? 0;
  const refusal = status === 200 ? null : (JSON.parse(await text(response)) as { code: string });
  return { status, headers: response.headers, code: refusal?.code ?? null, response };
};

export interface OpenSocket {
  readonly socket: WebSocket;
  readonly messages: Record<string, unknown>[];
  /** Its code. */
  readonly closed: Promise<number>;
  readonly send: (message: object) => void;
  /** The first message that `fits`, one that has come or the next one. */
  readonly next: (fits: (message: Record<string, unknown>) => boolean) => Promise<Record<string, unknown>>;
}

/** Resolves with the status of the refusal where the upgrade is refused. */
export const openSocket = async (
  port: number,
  path: string,
  headers: Headers = {},
): Promise<OpenSocket | number> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
  const messages: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data: Buffer) => {
    messages.push(JSON.parse(data.toString()) as Record<string, unknown>);
    for (const look of waiting) look();
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  const refused = new Promise<number>((resolve) => {
    socket.once('unexpected-response', (_request, response: IncomingMessage) => {
      resolve(response.statusCode ?? 0);
      socket.terminate();
    });
  });
  socket.on('error', () => undefined);
  const accepted = new Promise<null>((resolve) => socket.once('open', () => resolve(null)));
  const outcome = await Promise.race([refused, accepted]);
  if (outcome !== null) return outcome;
  return {
    socket,
    messages,
    closed,
    send: (message) => socket.send(JSON.stringify(message)),
    next: (fits) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = messages.find(fits);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
};

export const opened = (outcome: OpenSocket | number): OpenSocket => {
  if (typeof outcome === 'number') throw new Error(`The upgrade was refused: ${outcome}.`);
  return outcome;
};
