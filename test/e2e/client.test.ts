/** The published client in front of the built server, which is ended and started again: no trade lost, none twice. */
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import type { createClient as fromSource, Client, TopicState } from '../../web/client/client.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startServer } from './streams-rig.js';

/** As it is published. */
const BUILT = new URL('../../dist/client/client.js', import.meta.url).href;
const { createClient } = (await import(BUILT)) as { readonly createClient: typeof fromSource };
const MARKET = { exchange: 'binance', symbol: 'BTC/USDT' };
const POLL = { timeout: 60_000 };

let sandbox: Sandbox;
let server: Awaited<ReturnType<typeof startServer>>;
let client: Client;
afterEach(async () => {
  client.close();
  await server.close();
  await sandbox.close();
});

test('a client lives through a cut socket, by what the server remembers, and a restart, with each trade once, in order', async () => {
  sandbox = await startSandbox({ ticksPerSecond: 10 });
  server = await startServer({ SANDBOX: sandbox.url });
  const port = new URL(server.url).port;
  const sockets: WebSocket[] = [];
  const asked: string[] = [];
  client = createClient({
    url: server.url,
    WebSocket: class extends WebSocket {
      constructor(url: string) {
        super(url);
        sockets.push(this);
      }
    },
    fetch: (input, init) => {
      asked.push(input instanceof Request ? input.url : input.toString());
      return fetch(input, init);
    },
  });
  const ids: number[] = [];
  const states: TopicState[] = [];
  client.stream.subscribe(
    { channel: 'trades', ...MARKET },
    {
      onEvent: (event) => {
        if (event.event_type === 'trades') ids.push(...event.trades.map(({ trade_id }) => Number(trade_id)));
      },
      onState: (state) => states.push(state),
    },
  );
  await expect.poll(() => states.at(-1)?.state, POLL).toBe('live');
  await expect.poll(() => ids.length, POLL).toBeGreaterThan(20);
  sockets.at(-1)?.terminate();
  await expect.poll(() => states.at(-1)?.state, POLL).toBe('disconnected');
  const cutAt = ids.length;
  await expect.poll(() => ids.length, POLL).toBeGreaterThan(cutAt + 20);
  expect([sockets.length, asked]).toEqual([2, []]);
  await server.close();
  await expect.poll(() => states.at(-1)?.state, POLL).toBe('disconnected');
  const before = ids.length;
  server = await startServer({ SANDBOX: sandbox.url, PORT: port });
  await expect.poll(() => states.at(-1)?.state, POLL).toBe('live');
  await expect.poll(() => ids.length, POLL).toBeGreaterThan(before + 50);
  // The sandbox numbers the trades of its market without holes.
  expect(ids).toEqual(ids.map((_, index) => ids[0]! + index));
  expect(states.at(-1)!.missed).toBe(0);
});

test('a feed that falls silent is told, and its trades are all there afterwards', async () => {
  sandbox = await startSandbox({ ticksPerSecond: 5 });
  server = await startServer({ SANDBOX: sandbox.url, STREAM_IDLE_TIMEOUT: '2' });
  client = createClient({ url: server.url, WebSocket });
  const ids: number[] = [];
  const states: string[] = [];
  client.stream.subscribe(
    { channel: 'trades', ...MARKET },
    {
      onEvent: (event) => {
        if (event.event_type === 'trades') ids.push(...event.trades.map(({ trade_id }) => Number(trade_id)));
      },
      onState: ({ state }) => states.push(state),
    },
  );
  await expect.poll(() => states.at(-1), POLL).toBe('live');
  sandbox.control.setFault({ venue: 'binance', match: 'websocket', fault: { type: 'status', status: 503 } });
  sandbox.control.sockets('binance', { action: 'terminate' });
  await expect
    .poll(() => states.some((state) => state !== 'live' && state !== 'connecting'), POLL)
    .toBe(true);
  sandbox.control.clearFaults();
  await expect.poll(() => states.at(-1), POLL).toBe('live');
  const before = ids.length;
  await expect.poll(() => ids.length, POLL).toBeGreaterThan(before + 20);
  // What the server found too late to show it in its turn comes late, but comes.
  const sorted = ids.toSorted((a, b) => a - b);
  expect(sorted).toEqual(sorted.map((_, index) => sorted[0]! + index));
});
