/** A WebSocket whose server is the test, and a REST that answers from it. */
import { vi } from 'vitest';
import { IterableStream } from '../../../../web/client/event-iterator.js';
import type { StreamClient } from '../../../../web/client/stream.js';
import type { Rest } from '../../../../web/client/rest.js';
import type { TopicState } from '../../../../web/client/topic.js';
import type { StreamEvent, Trade } from '../../../../web/client/types.js';

export class FakeSocket {
  static opened: FakeSocket[] = [];
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  /** But for pings, which have a list of their own. */
  readonly sent: Record<string, unknown>[] = [];
  readonly pings: Record<string, unknown>[] = [];
  isClosed = false;

  constructor(readonly url: string) {
    FakeSocket.opened.push(this);
  }
  send(text: string): void {
    const message = JSON.parse(text) as Record<string, unknown>;
    (message['method'] === 'ping' ? this.pings : this.sent).push(message);
  }
  close(): void {
    this.isClosed = true;
  }
  accept(): void {
    this.onopen?.({} as never);
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as never);
  }
  drop(code = 1006): void {
    this.onclose?.({ code } as never);
  }
}

export const latest = (): FakeSocket => FakeSocket.opened.at(-1)!;

export const streamRig = (
  answer: (path: string, query: object) => object = () => ({ trades: [] }),
  apiKey?: string,
) => {
  FakeSocket.opened = [];
  const asked: { path: string; query: object }[] = [];
  const rest = (async (path: string, query: object) => {
    asked.push({ path, query });
    return Promise.resolve(answer(path, query));
  }) as unknown as Rest;
  const stream = new IterableStream({
    url: 'http://server.example/prefix',
    apiKey,
    WebSocket: FakeSocket,
    rest,
    random: () => 0.5,
    now: Date.now,
    pingIntervalMs: 10_000,
  });
  return { stream, asked };
};

export const MARKET = { exchange: 'binance', symbol: 'BTC/USDT' };
export const TRADES = { channel: 'trades', ...MARKET } as const;
export const trade = (id: number | null, timestamp = Number(id)): Trade => ({
  trade_id: id === null ? null : String(id),
  timestamp,
  price: 1,
  amount: 1,
  side: 'buy',
});
export const range = (from: number, to: number): Trade[] =>
  Array.from({ length: to - from + 1 }, (_, index) => trade(from + index));
export const numbers = (from: number, to: number): number[] =>
  range(from, to).map(({ timestamp }) => timestamp);
export const tradesEvent = (trades: readonly Trade[]) => ({ event_type: 'trades', ...MARKET, trades });
export const settle = () => vi.advanceTimersByTimeAsync(0);

export const read = (stream: StreamClient, topic: Parameters<StreamClient['subscribe']>[0] = TRADES) => {
  const events: StreamEvent[] = [];
  const states: TopicState[] = [];
  const subscription = stream.subscribe(topic, {
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
  });
  const ids = () =>
    events
      .flatMap((event) => (event.event_type === 'trades' ? event.trades : []))
      .map(({ trade_id }) => Number(trade_id));
  return { events, states, ids, ...subscription };
};

/** Loses the socket and lets the next one be accepted. */
export const reopen = async (code = 1006): Promise<void> => {
  latest().drop(code);
  await vi.advanceTimersByTimeAsync(31_000);
  latest().accept();
};
