// Venues that can't be reached for a while, one of them over nothing at all, and a server that is restarted: what the
// clients of their streams see. The outage lasts some seconds, a whole minute in `npm run test:slow`.
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startSandbox } from '../../src/sandbox/sandbox.js';
import { openSse } from '../api/streams/stream-app.js';
import { extent } from '../support/extent.js';
import { readSse, readWs, startRig, startServer, type Reader, type Rig } from './streams-rig.js';

const OUTAGE_MS = extent({ short: 12_000, long: 60_000 });
const IDLE_TIMEOUT_MS = extent({ short: 3_000, long: 10_000 });
/** What the README promises. */
const POLLING_AFTER_MS = 5_000;
const LIVE_WITHIN_MS = 30_000;
/** What a machine that does other things as well may add. */
const SLACK_MS = 10_000;
/** Beside that, the sandbox's prices and the times that venues give them are some ticks apart. */
const TICK_MS = 100;
const LAG_TICKS = 150;

const VENUES = [
  { exchange: 'binance', symbol: 'BTC/USDT', rest: false },
  { exchange: 'kraken', symbol: 'BTC/USD', rest: true },
] as const;
type Venue = (typeof VENUES)[number];

interface Shown {
  readonly last: number;
  readonly timestamp: number;
}
const shown = ({ tickers }: Reader, from = 0): Shown[] =>
  tickers.slice(from).map((json) => JSON.parse(json) as Shown);

const stateNames = ({ states }: Reader, from = 0): string[] => states.slice(from).map(({ state }) => state);

/** Every price was the market's at about its time, and none is older than the one before. */
const expectTruth = (rig: Rig, { exchange, symbol }: Venue, prices: readonly Shown[]): void => {
  let before = 0;
  for (const { last, timestamp } of prices) {
    expect(timestamp).toBeGreaterThanOrEqual(before);
    before = timestamp;
    const wasTrue = (step: number): boolean =>
      rig.sandbox.market.ticker(exchange, symbol, timestamp - step * TICK_MS).last === last;
    expect(Array.from({ length: LAG_TICKS }, (_, step) => step).some(wasTrue), `${exchange} ${last}`).toBe(
      true,
    );
  }
};

const refuse = (rig: Rig, { exchange, rest }: Venue): void => {
  const { control } = rig.sandbox;
  control.setFault({ venue: exchange, match: 'websocket', fault: { type: 'status', status: 503 } });
  if (!rest) control.setFault({ venue: exchange, fault: { type: 'reset' } });
  control.sockets(exchange, { action: 'terminate' });
};

test(
  'venues refused for a while: reconnecting, then polling or stale, then live, and never a wrong price',
  async () => {
    const rig = await startRig({
      ENABLED_EXCHANGES: 'binance,kraken',
      STREAM_IDLE_TIMEOUT: String(IDLE_TIMEOUT_MS / 1000),
    });
    onTestFinished(() => rig.close());
    rig.sandbox.control.setTickRate(5);
    const streams = await Promise.all(
      VENUES.map(async (venue) => {
        const query = `exchange=${venue.exchange}&symbol=${venue.symbol}&threshold=0`;
        return { venue, readers: [await readSse(rig.port, query), await readWs(rig.port, query)] };
      }),
    );
    const everybody = streams.flatMap(({ readers }) => readers);
    const allLive = (): boolean => everybody.every((reader) => stateNames(reader).at(-1) === 'live');
    await expect.poll(allLive, { timeout: 30_000 }).toBe(true);

    const seen = new Map(everybody.map((reader) => [reader, reader.states.length]));
    const refusedAt = Date.now();
    for (const venue of VENUES) refuse(rig, venue);
    await pause(OUTAGE_MS);
    const polled = (): number[] =>
      streams
        .filter(({ venue }) => venue.rest)
        .flatMap(({ readers }) => readers)
        .map((reader) => shown(reader).filter(({ timestamp }) => timestamp > refusedAt).length);
    // Polls go on showing the price.
    await expect.poll(() => Math.min(...polled()), { timeout: 30_000 }).toBeGreaterThan(1);
    const backAt = Date.now();
    const heardBy = new Map(everybody.map((reader) => [reader, reader.tickers.length]));
    rig.sandbox.control.clearFaults();
    await expect.poll(allLive, { timeout: LIVE_WITHIN_MS + SLACK_MS, interval: 100 }).toBe(true);
    const heardMore = (): boolean =>
      everybody.every((reader) => reader.tickers.length > heardBy.get(reader)! + 3);
    await expect.poll(heardMore, { timeout: SLACK_MS }).toBe(true);

    for (const { venue, readers } of streams) {
      for (const reader of readers) {
        const states = reader.states.slice(seen.get(reader));
        const since = states.map(
          ({ state, at }) => `${state} after ${((at - refusedAt) / 1000).toFixed(1)} s`,
        );
        console.info(`${venue.exchange}, refused for ${(backAt - refusedAt) / 1000} s: ${since.join(', ')}`);
        expect(stateNames(reader, seen.get(reader))[0]).toBe('reconnecting');
        expect(states[0]!.at - refusedAt).toBeLessThan(SLACK_MS);
        const next = states[1]!;
        expect(next.state).toBe(venue.rest ? 'polling' : 'stale');
        const due = venue.rest ? POLLING_AFTER_MS : IDLE_TIMEOUT_MS;
        expect(next.at - refusedAt).toBeLessThan(due + SLACK_MS);
        expect(states.at(-1)).toMatchObject({ state: 'live' });
        // Where there are no polls, nothing is shown in the meantime.
        const during = shown(reader).filter(
          ({ timestamp }) => timestamp > refusedAt + SLACK_MS && timestamp < backAt,
        );
        if (!venue.rest) expect(during).toEqual([]);
        expectTruth(rig, venue, shown(reader));
      }
      const [first, second] = readers.map((reader) => stateNames(reader, seen.get(reader)));
      expect(second).toEqual(first);
    }
    for (const reader of everybody) reader.close();
    await rig.close();
  },
  150_000 + OUTAGE_MS,
);

const portOf = (url: string): number => Number(new URL(url).port);

/** What a stream says of the last event that was seen, and the id of its first ticker where one comes right behind that. */
const firstEvent = async (url: string, lastEventId = ''): Promise<{ resumed: unknown; id: string }> => {
  const headers: Record<string, string> = lastEventId === '' ? {} : { 'last-event-id': lastEventId };
  const path = '/v1/stream/ticker?exchange=binance&symbol=BTC/USDT&threshold=0';
  const client = await openSse(portOf(url), path, { headers });
  await client.until((c) => c.events().length > (c.events()[0]?.['resumed'] === 'none' ? 1 : 0));
  client.destroy();
  const [event] = client.events();
  return { resumed: event?.['resumed'], id: /^id: (.*)$/m.exec(client.text())?.[1] ?? '' };
};

test('a client that returns is spared what it has seen, and gets a fresh snapshot from a server that was restarted', async () => {
  const sandbox = await startSandbox({ ticksPerSecond: 5 });
  onTestFinished(() => sandbox.close());
  const before = await startServer({ SANDBOX: sandbox.url });
  onTestFinished(() => before.close());
  const reader = await readSse(portOf(before.url), 'exchange=binance&symbol=BTC/USDT&threshold=0');
  await expect.poll(() => stateNames(reader).at(-1), { timeout: 30_000 }).toBe('live');
  sandbox.control.setTickRate(0);
  let seen = '';
  const again = async () => {
    seen = (await firstEvent(before.url)).id;
    return firstEvent(before.url, seen);
  };
  // From the second visit on, once the last tick has arrived.
  await expect.poll(again, { timeout: 30_000 }).toEqual({ resumed: 'complete', id: '' });
  reader.close();
  await before.close();

  const after = await startServer({ SANDBOX: sandbox.url });
  onTestFinished(() => after.close());
  const fresh = await firstEvent(after.url, seen);
  expect(fresh.resumed).toBe('none');
  expect(fresh.id).toMatch(/^u\w+\.\d+$/);
  expect(fresh.id).not.toBe(seen);
});
