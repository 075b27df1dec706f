/** Live events of one topic over /ws, until a signal; a lost connection is made again. */
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { Refused, type MarketServer } from './server.js';

/** Doubles with each failure in a row, up to the longest. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const OPEN_LIMIT_MS = 15_000;
/** The server sends heartbeats more often than that. */
const SILENCE_LIMIT_MS = 90_000;

export interface Watching {
  /** Of a subscribe message. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Which events are wanted. */
  readonly type: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: Readonly<Record<string, unknown>>) => void;
}

type Ended = { readonly fault: string; readonly final: boolean } | null;

const readMessage = (data: unknown): Readonly<Record<string, unknown>> => {
  const value: unknown = JSON.parse(String(data));
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
};

/** One connection, to its end. null: the signal ended it. */
const connect = (
  { url, headers }: MarketServer,
  { params, type, signal, onEvent }: Watching,
  opened: () => void,
): Promise<Ended> =>
  new Promise((resolve) => {
    const socket = new WebSocket(new URL('ws', url.replace(/^http/, 'ws')), {
      headers,
      handshakeTimeout: OPEN_LIMIT_MS,
    });
    let fault = 'The connection was lost.';
    let final = false;
    const silent = setTimeout(() => socket.terminate(), SILENCE_LIMIT_MS);
    const leave = (): void => socket.close(1000);
    signal.addEventListener('abort', leave, { once: true });
    socket.on('open', () => {
      socket.send(JSON.stringify({ method: 'subscribe', params, req_id: 1 }));
      if (signal.aborted) leave();
    });
    socket.on('message', (data) => {
      silent.refresh();
      const message = readMessage(data);
      const { event_type, success, problem, detail, retryable } = message;
      if (event_type === 'reply' && success === true) opened();
      if (event_type === 'reply' && success === false) {
        const refusal = readMessage(JSON.stringify(problem));
        fault = String(refusal['detail']);
        final = refusal['retryable'] !== true;
        socket.close(1000);
      } else if (event_type === 'error') {
        fault = String(detail);
        final = retryable !== true;
      } else if (event_type === type) onEvent(message);
    });
    socket.on('unexpected-response', (request, response) => {
      fault = `The server answered ${String(response.statusCode)}.`;
      final = (response.statusCode ?? 0) < 500 && response.statusCode !== 429;
      request.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(silent);
      signal.removeEventListener('abort', leave);
      resolve(signal.aborted ? null : { fault, final });
    });
  });

/** Resolves once the signal aborts. Throws Refused for what trying again does not help, and where it never began. */
export const watch = async (server: MarketServer, watching: Watching): Promise<void> => {
  const { signal } = watching;
  // An object, since it changes during an await.
  const state = { hasBegun: false, pause: FIRST_PAUSE_MS };
  for (;;) {
    const ended = await connect(server, watching, () => {
      state.hasBegun = true;
      state.pause = FIRST_PAUSE_MS;
    });
    if (ended === null || signal.aborted) return;
    if (ended.final || !state.hasBegun) throw new Refused(ended.fault);
    await delay(state.pause, undefined, { signal }).catch(() => undefined);
    state.pause = Math.min(LONGEST_PAUSE_MS, state.pause * 2);
  }
};
