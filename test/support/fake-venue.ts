/** A venue on loopback that answers as a test says: CCXT's URL `scheme://host/path` arrives as `/host/path`. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  createCcxtClient,
  type CcxtClient,
  type CcxtClientOptions,
} from '../../src/exchanges/ccxt/ccxt-client.js';
import { steadyNow } from '../../src/lib/steady-clock.js';
import type { MarketRequest, StreamItem, StreamTopic } from '../../src/exchanges/exchange-client.js';
import type { AppError } from '../../src/errors.js';
import { silentLog } from '../../src/log/log.js';

export interface Asked {
  /** `/host/path` without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is sent as JSON with status 200; a `Reply` in full; undefined: 404; 'drop': the connection is reset. */
type Answer = unknown;

export interface FakeVenueOptions {
  readonly answer: (asked: Asked) => Answer;
  /** Called with each frame that a client sends. */
  readonly onFrame?: (frame: unknown, socket: WebSocket, path: string) => void;
  /** Called with each socket that a client opens. */
  readonly onSocket?: (socket: WebSocket, path: string) => void;
}

export interface FakeVenue {
  readonly url: string;
  readonly requests: Asked[];
  readonly frames: unknown[];
  readonly sockets: ReadonlySet<WebSocket>;
  close(): Promise<void>;
}

const isReply = (answer: unknown): answer is Reply =>
  typeof answer === 'object' &&
  answer !== null &&
  'status' in answer &&
  'body' in answer &&
  !('result' in answer);

const send = (response: ServerResponse, answer: Answer): void => {
  if (answer === 'drop') {
    response.destroy();
    return;
  }
  const reply: Reply = isReply(answer)
    ? answer
    : answer === undefined
      ? { status: 404, body: '{"message":"not there"}' }
      : { status: 200, body: JSON.stringify(answer) };
  response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers }).end(reply.body);
};

export const startFakeVenue = async ({ answer, onFrame, onSocket }: FakeVenueOptions): Promise<FakeVenue> => {
  const requests: Asked[] = [];
  const frames: unknown[] = [];
  const sockets = new Set<WebSocket>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://venue');
      const asked = { path: pathname, query: searchParams, body: Buffer.concat(chunks).toString() };
      requests.push(asked);
      send(response, answer(asked));
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

export interface VenueClient {
  readonly client: CcxtClient;
  /** The parsed body of an answer. */
  ask(request: MarketRequest): Promise<Record<string, unknown>>;
  refusal(request: MarketRequest): Promise<AppError>;
  /** Opens a raw feed; `items` grows, `item(n)` waits for the nth (from 1). */
  watch(topic: StreamTopic): {
    readonly items: StreamItem[];
    item(count: number): Promise<StreamItem>;
    ended(): Promise<AppError | null>;
    close(): void;
  };
  close(): Promise<void>;
}

/** The CCXT client on a fake venue, without CCXT's pacing. */
export const venueClient = (
  exchange: string,
  venue: FakeVenue,
  options: Partial<CcxtClientOptions> = {},
): VenueClient => {
  const client = createCcxtClient({
    exchanges: [exchange],
    exchangeOptions: { [exchange]: { rateLimit: 1 } },
    budget: { requests: 10_000, windowMs: 60_000 },
    upstreamTimeoutMs: 5000,
    proxy: { https: '', http: '', no: '' },
    sandboxUrl: venue.url,
    userAgent: 'venue-test/1',
    log: silentLog,
    ...options,
  });
  // Deadlines are on the clock of durations, which a test that sets one clock sets too.
  const now = options.monotonic ?? options.now ?? steadyNow;
  const fetch = (request: MarketRequest) =>
    client.fetch(request, { deadline: now() + 20_000, priority: 'caller' });
  return {
    client,
    ask: async (request) =>
      JSON.parse(Buffer.from((await fetch(request)).body).toString()) as Record<string, unknown>,
    refusal: (request) =>
      fetch(request).then(
        () => Promise.reject(new Error('the call succeeded')),
        (error: unknown) => error as AppError,
      ),
    watch: (topic) => {
      const items: StreamItem[] = [];
      let error: AppError | null | undefined;
      const waiting = new Set<() => void>();
      const changed = (): void => {
        for (const check of waiting) check();
      };
      const until = (condition: () => boolean): Promise<void> =>
        new Promise((resolve) => {
          const check = (): void => {
            if (!condition()) return;
            waiting.delete(check);
            resolve();
          };
          waiting.add(check);
          check();
        });
      const handle = client.watch(topic, {
        onItem: (item) => {
          items.push(item);
          changed();
        },
        onEnd: (reason) => {
          error = reason;
          changed();
        },
      });
      return {
        items,
        item: async (count) => {
          await until(() => items.length >= count || error !== undefined);
          const item = items[count - 1];
          if (item === undefined) throw error ?? new Error('The feed was closed.');
          return item;
        },
        ended: async () => {
          await until(() => error !== undefined);
          return error ?? null;
        },
        close: () => {
          handle.close();
        },
      };
    },
    close: () => client.close(),
  };
};
