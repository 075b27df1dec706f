/**
 * The built server in front of markets that stand still: ten minutes, 200 topics a venue, at the default budget for each
 * look and poll. No feed may be called stale, opened anew or told of a loss. `QUIET_SECONDS` shortens it.
 */
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startServer } from '../e2e/streams-rig.js';

const SECONDS = Number(process.env['QUIET_SECONDS'] ?? 600);
const VENUES = ['binance', 'kraken', 'coinbaseexchange'] as const;
const CHANNELS = ['ticker', 'trades', 'orderbook', 'ohlcv'] as const;
const TOPICS_A_VENUE = 200;
/** Every first event is asked of the venue: as many a minute as its budget gives, and no more. */
const SUBSCRIPTIONS_A_SECOND = 1;

type StreamEvent = Readonly<Record<string, unknown>>;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const connect = async (url: string): Promise<{ socket: WebSocket; events: StreamEvent[] }> => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  const events: StreamEvent[] = [];
  socket.on('message', (data: Buffer) => events.push(JSON.parse(data.toString()) as StreamEvent));
  await once(socket, 'open');
  closers.push(async () => {
    socket.terminate();
    await Promise.resolve();
  });
  return { socket, events };
};

const symbolsOf = (sandbox: Sandbox, venue: (typeof VENUES)[number]): string[] =>
  sandbox.market
    .markets(venue)
    .filter(({ active }) => active)
    .slice(0, TOPICS_A_VENUE / CHANNELS.length)
    .map(({ symbol }) => symbol);

const countsOf = (events: readonly StreamEvent[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { channel, event_type: type, state, detail } of events) {
    const what = [channel, type, state, detail].map(String).join(' ');
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
};

/** The last state that each feed told. */
const lastStates = (events: readonly StreamEvent[]): Map<string, unknown> => {
  const states = new Map<string, unknown>();
  for (const { channel, symbol, event_type: type, state } of events)
    if (type === 'status') states.set(`${String(channel)} ${String(symbol)}`, state);
  return states;
};

it(
  `${SECONDS} s without a trade cost none of ${TOPICS_A_VENUE} feeds a venue its state`,
  { timeout: (SECONDS + 600) * 1000 },
  async () => {
    // The markets stand still: their clock does, and with it their trades, candles and books.
    const stoodStillAt = Date.now();
    const sandbox = await startSandbox({
      ticksPerSecond: 0,
      marketsPerVenue: 80,
      now: () => stoodStillAt,
      // The venue's minute of used weight would never be over, and the gate obeys what is said to be used.
      weightLimit: Infinity,
    });
    closers.push(() => sandbox.close());
    const server = await startServer({ SANDBOX: sandbox.url, ENABLED_EXCHANGES: VENUES.join(',') });
    closers.push(() => server.close());
    const clients = await Promise.all(
      VENUES.map(async (exchange) => ({ exchange, ...(await connect(server.url)) })),
    );
    const wanted = CHANNELS.flatMap((channel) =>
      Array.from({ length: TOPICS_A_VENUE / CHANNELS.length }, (_, n) => ({ channel, n })),
    );
    for (const { channel, n } of wanted) {
      for (const { exchange, socket } of clients) {
        const interval = channel === 'ohlcv' ? { interval: '1m' } : {};
        const params = { channel, exchange, symbol: [symbolsOf(sandbox, exchange)[n]], ...interval };
        socket.send(JSON.stringify({ method: 'subscribe', params }));
      }
      await pause(1000 / SUBSCRIPTIONS_A_SECOND);
    }
    for (const { events } of clients)
      await expect
        .poll(() => events.filter(({ event_type: type }) => type === 'reply').length, {
          timeout: 120_000,
          interval: 250,
        })
        .toBe(TOPICS_A_VENUE);
    for (const { exchange, events } of clients)
      expect(
        events.filter(({ success }) => success === false),
        exchange,
      ).toEqual([]);
    // Feeds that have nothing to say are looked at once before they count as settled.
    await pause(15_000);
    const before = clients.map(({ events }) => events.length);
    await pause(SECONDS * 1000);
    const alarms = clients.map(({ exchange, events }, place) => [
      exchange,
      countsOf([
        ...events.filter(({ event_type: type }) => type === 'lost'),
        ...events.slice(before[place]).filter(({ state }) => state === 'stale' || state === 'reconnecting'),
      ]),
    ]);
    expect(Object.fromEntries(alarms)).toEqual(Object.fromEntries(VENUES.map((venue) => [venue, {}])));
    const unsettled = clients.map(({ exchange, events }) => [
      exchange,
      [...lastStates(events)].filter(([, state]) => state !== 'live' && state !== 'polling'),
    ]);
    expect(Object.fromEntries(unsettled)).toEqual(Object.fromEntries(VENUES.map((venue) => [venue, []])));
  },
);
