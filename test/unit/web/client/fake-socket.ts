/** A WebSocket whose server is the test, and a REST that answers from it. */
import { StreamClient } from '../../../../web/client/stream.js';
import type { Rest } from '../../../../web/client/rest.js';

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
  const stream = new StreamClient({
    url: 'http://server.example/prefix',
    apiKey,
    WebSocket: FakeSocket,
    rest,
    random: () => 0.5,
    now: Date.now,
  });
  return { stream, asked };
};
