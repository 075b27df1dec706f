/** The built server, worker threads included, while somebody sets its wall clock an hour ahead, back, and behind. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startSandbox } from '../../src/sandbox/sandbox.js';
import { startServer } from '../e2e/streams-rig.js';

const HOUR_MS = 3_600_000;
const SHIFTED_CLOCK = fileURLToPath(new URL('shifted-clock.js', import.meta.url));
const VENUES = ['binance', 'kraken', 'coinbaseexchange'] as const;
const CHANNELS = ['ticker', 'trades', 'orderbook', 'ohlcv'] as const;
const SYMBOLS = ['BTC/USD', 'ETH/USD'];
const onVenue = (exchange: string, symbol: string): string =>
  exchange === 'binance' ? symbol.replace('/USD', '/USDT') : symbol;

interface StreamEvent {
  readonly event_type: string;
  readonly exchange?: string;
  readonly symbol?: string;
  readonly state?: string;
}

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const topicOf = ({ event_type: channel, exchange, symbol }: StreamEvent): string =>
  `${channel} ${String(exchange)} ${String(symbol)}`;

/** The built server with a wall clock that `set` moves from the true time. */
const start = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shifted-clock-'));
  closers.push(() => rm(folder, { recursive: true }));
  const file = join(folder, 'ahead');
  const set = (ahead: number) => writeFile(file, String(ahead));
  await set(0);
  const sandbox = await startSandbox({ ticksPerSecond: 4 });
  closers.push(() => sandbox.close());
  const server = await startServer({
    SANDBOX: sandbox.url,
    ENABLED_EXCHANGES: VENUES.join(','),
    TICKER_DELTA_THRESHOLD: '0',
    NODE_OPTIONS: `--import=${SHIFTED_CLOCK}`,
    SHIFTED_CLOCK: file,
  });
  closers.push(() => server.close());
  return { set, url: server.url };
};

const subscribe = async (url: string): Promise<StreamEvent[]> => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  closers.push(async () => {
    socket.terminate();
    await Promise.resolve();
  });
  const events: StreamEvent[] = [];
  socket.on('message', (data: Buffer) => events.push(JSON.parse(data.toString()) as StreamEvent));
  await once(socket, 'open');
  for (const exchange of VENUES)
    for (const channel of CHANNELS) {
      const interval = channel === 'ohlcv' ? { interval: '1m' } : {};
      const symbol = SYMBOLS.map((name) => onVenue(exchange, name));
      socket.send(
        JSON.stringify({ method: 'subscribe', params: { channel, exchange, symbol, ...interval } }),
      );
    }
  return events;
};

it('no topic freezes and none is called down while the wall clock jumps by an hour, back and forth', async () => {
  const { set, url } = await start();
  const events = await subscribe(url);
  const topics = VENUES.flatMap((exchange) =>
    CHANNELS.flatMap((channel) =>
      SYMBOLS.map((symbol) => `${channel} ${exchange} ${onVenue(exchange, symbol)}`),
    ),
  ).sort();
  const speaking = (from: number): string[] => {
    const said = new Set(events.slice(from).map(topicOf));
    return topics.filter((topic) => said.has(topic));
  };
  const all = { timeout: 60_000, interval: 250 };
  await expect.poll(() => speaking(0), all).toEqual(topics);
  // Each one brings several items more before the clock is touched.
  const settled = events.length;
  await expect.poll(() => speaking(settled), all).toEqual(topics);
  const before = events.length;
  for (const ahead of [HOUR_MS, 0, -HOUR_MS, 0]) {
    await set(ahead);
    for (let round = 0; round < 3; round += 1) {
      const from = events.length;
      await expect
        .poll(() => speaking(from), { timeout: 20_000, interval: 100, message: `at ${ahead}` })
        .toEqual(topics);
    }
  }
  const alarms = events
    .slice(before)
    .filter(
      ({ state, event_type: type }) => type === 'lost' || state === 'stale' || state === 'reconnecting',
    );
  expect(alarms).toEqual([]);
});
