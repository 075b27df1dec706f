/** What one subscription over `/ws` is sent. */
import { once } from 'node:events';
import { expect } from 'vitest';
import { WebSocket } from 'ws';

export interface StreamEvent {
  readonly event_type: string;
  readonly id?: string;
  readonly trades?: readonly { readonly trade_id: string }[];
  readonly state?: string;
  readonly detail?: string;
  readonly resumed?: string;
  readonly count?: number;
  readonly last?: number;
}

/** One subscription of binance's BTC/USDT over `/ws`. */
export class Reader {
  readonly events: StreamEvent[] = [];
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      const event = JSON.parse(data.toString()) as StreamEvent;
      if (event.event_type !== 'reply') this.events.push(event);
    });
  }

  static async open(url: string, params: object): Promise<Reader> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    const reader = new Reader(socket);
    await once(socket, 'open');
    const market = { exchange: 'binance', symbol: 'BTC/USDT' };
    socket.send(JSON.stringify({ method: 'subscribe', params: { ...market, ...params } }));
    return reader;
  }

  close(): void {
    this.#socket.terminate();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  of(type: string): StreamEvent[] {
    return this.events.filter(({ event_type }) => event_type === type);
  }
  get trades(): number[] {
    return this.of('trades').flatMap(({ trades = [] }) => trades.map(({ trade_id }) => Number(trade_id)));
  }
  get ids(): string[] {
    return this.events.flatMap(({ id = '' }) => (id === '' ? [] : [id]));
  }
  get states(): unknown[] {
    return this.of('status').map(({ state }) => state);
  }
}

/** Each number once and none left out. */
export const expectWhole = (trades: readonly number[]): void => {
  const first = trades[0] ?? 0;
  expect(trades).toEqual(trades.map((_, index) => first + index));
};
