/** A connection to `/ws` as a client in earnest has it: it comes again where a busy server refuses it or what it asks for. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { steadyNow } from '../../src/lib/steady-clock.js';

const COME_AGAIN_MS = 200;
/** What a connection may ask for refills slowly (SYMBOLS_PER_SECOND). */
const ASK_AGAIN_MS = 10_000;
const REFUSED = /^\{"event_type":"reply","method":"subscribe","success":false,.*?"symbol":"([^"]+)"/;

/** Throws where the server lets nobody in until then. */
export const openSocket = async (url: string, until = steadyNow() + 120_000): Promise<WebSocket> => {
  for (;;) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { perMessageDeflate: false });
    const isOpen = await Promise.race([
      once(socket, 'open').then(
        () => true,
        () => false,
      ),
      new Promise<boolean>((resolve) => socket.on('error', () => resolve(false))),
    ]);
    if (isOpen) return socket;
    if (steadyNow() > until) throw new Error(`${url} lets nobody in`);
    await new Promise((resolve) => setTimeout(resolve, COME_AGAIN_MS));
  }
};

interface Subscription {
  readonly channel: string;
  readonly symbol: readonly string[];
  readonly [param: string]: unknown;
}

/** Subscribes to binance's; `onRefused` is called for each symbol that is refused, and asked for again. */
export const subscribePatiently = (
  socket: WebSocket,
  subscription: Subscription,
  onRefused: () => void = () => undefined,
): void => {
  const ask = (symbol: readonly string[]): void =>
    socket.send(
      JSON.stringify({ method: 'subscribe', params: { exchange: 'binance', ...subscription, symbol } }),
    );
  const refused: string[] = [];
  socket.on('message', (data: Buffer) => {
    const symbol = REFUSED.exec(data.toString())?.[1];
    if (symbol === undefined) return;
    onRefused();
    if (refused.push(symbol) === 1) setTimeout(() => ask(refused.splice(0)), ASK_AGAIN_MS);
  });
  ask(subscription.symbol);
};
