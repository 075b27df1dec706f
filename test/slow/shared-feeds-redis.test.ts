/** Two built servers that share feeds over a Redis in trouble: what their clients see, and how soon they share again. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { Fleet, type FleetServer, type TradesClient } from '../support/server-fleet.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

const PATIENT = { timeout: 60_000, interval: 10 };
const TOPICS = 10;
/** What is promised, and what a busy machine may add. */
const [UNSHARED_MS, SHARED_MS, BUSY_MS] = [1_500, 6_000, 1_500];

let fleet: Fleet;
let ways: TcpProxy[];
let servers: FleetServer[];
let clients: TradesClient[];
let symbols: string[];

beforeEach(async () => {
  fleet = await Fleet.start();
  symbols = fleet.symbols(TOPICS);
  ways = [await startTcpProxy(fleet.redis.port), await startTcpProxy(fleet.redis.port)];
  servers = await Promise.all(
    ways.map(({ port }) =>
      fleet.server({ REDIS_URL: `redis://127.0.0.1:${port}/0`, TICKER_CACHE_TTL: '60' }),
    ),
  );
  clients = [];
  for (const server of servers) {
    clients.push(await fleet.client(server, symbols));
    await areLive();
  }
});
afterEach(async () => {
  await fleet.close();
  for (const way of ways) await way.close();
});

const areLive = () =>
  expect
    .poll(() => clients.every((client) => symbols.every((symbol) => client.isLive(symbol))), PATIENT)
    .toBe(true);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const goOn = async (): Promise<void> => {
  const at = steadyNow();
  const hasMore = (client: TradesClient, symbol: string) =>
    client.of(symbol, at).filter(({ trades }) => trades !== undefined).length > 2;
  await expect
    .poll(() => clients.every((client) => symbols.every((symbol) => hasMore(client, symbol))), PATIENT)
    .toBe(true);
};

/** Cached tickers are asked for from both until `settled` is; how many failed. */
const load = async (settled: Promise<unknown>): Promise<number> => {
  let [failed, goesOn] = [0, true];
  const end = (): void => void (goesOn = false);
  settled.then(end, end);
  const ask = async (server: FleetServer): Promise<void> => {
    while (goesOn) {
      const response = await fetch(
        `${server.url}/v1/markets/ticker?exchange=binance&symbol=${symbols[0]}`,
      ).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.status !== 200) failed += 1;
      await pause(10);
    }
  };
  await Promise.all(servers.map(ask));
  return failed;
};

const firstUnshared = (since: number): number | undefined =>
  clients
    .flatMap(({ events }) => events)
    .find(({ at, detail = '' }) => at >= since && detail.startsWith('unshared'))?.at;

interface Trouble {
  readonly begin: () => unknown;
  readonly end: () => unknown;
  readonly ms: number;
  /** Servers feed themselves meanwhile. */
  readonly unshares: boolean;
}

const stopped = (ms: number): Trouble => ({
  begin: () => fleet.redis.pause(),
  end: () => fleet.redis.resume(),
  ...{ ms, unshares: ms > 1_000 },
});
const configured = (
  ms: number,
  [setting, ill, well]: readonly [string, string, string],
  unshares: boolean,
): Trouble => ({
  begin: () => fleet.redis.command('CONFIG', 'SET', setting, ill),
  end: () => fleet.redis.command('CONFIG', 'SET', setting, well),
  ...{ ms, unshares },
});

test.each<[string, () => Trouble]>([
  ['stopped for half a second', () => stopped(500)],
  ['stopped for 3 s', () => stopped(3_000)],
  ['stopped for 30 s', () => stopped(30_000)],
  [
    'killed, and back without its memory',
    () => ({ begin: () => fleet.redis.kill(), end: () => fleet.redis.restart(), ms: 3_000, unshares: true }),
  ],
  [
    'emptied',
    () => ({ begin: () => fleet.redis.command('FLUSHALL'), end: () => undefined, ms: 0, unshares: false }),
  ],
  ['full', () => configured(3_000, ['maxmemory', '1', '0'], true)],
  [
    'swallowed by the network for both',
    () => ({
      begin: () => ways.forEach((way) => (way.isCut = true)),
      end: () => ways.forEach((way) => (way.isCut = false)),
      ...{ ms: 5_000, unshares: true },
    }),
  ],
])(
  'a Redis that is %s fails no cached request, loses no trade untold, and is shared again',
  async (name, make) => {
    const trouble = make();
    let [unsharedMs, sharedMs] = [NaN, NaN];
    const run = async (): Promise<void> => {
      const began = steadyNow();
      await trouble.begin();
      if (trouble.unshares) {
        await expect.poll(() => firstUnshared(began), PATIENT).toBeDefined();
        unsharedMs = (firstUnshared(began) ?? NaN) - began;
      }
      await pause(Math.max(0, trouble.ms - (steadyNow() - began)));
      await trouble.end();
      const ended = steadyNow();
      await expect
        .poll(
          async () => (await Promise.all(servers.map((server) => server.bus()))).map(({ state }) => state),
          PATIENT,
        )
        .toEqual(['ok', 'ok']);
      await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(TOPICS);
      sharedMs = steadyNow() - ended;
      await goOn();
    };
    const running = run();
    const failed = await load(running);
    await running;
    const lost = clients.map((client) => client.expectWhole(symbols));
    console.info(
      `${name}: unshared after ${unsharedMs.toFixed(0)} ms, shared again after ${sharedMs.toFixed(0)} ms, ` +
        `told as lost: ${lost.join(', ')}`,
    );
    expect(failed).toBe(0);
    if (trouble.unshares) expect(unsharedMs).toBeLessThan(UNSHARED_MS + BUSY_MS);
    expect(sharedMs).toBeLessThan(SHARED_MS + BUSY_MS);
    for (const client of clients)
      for (const symbol of symbols)
        expect(client.of(symbol).findLast(({ id }) => id !== undefined)?.id).toMatch(/^\d+-\d+$/);
  },
);

test.each(['allkeys-lru', 'allkeys-random'])(
  'a Redis that evicts what is shared (%s) is told of, and no trade is lost untold',
  async (policy) => {
    await fleet.redis.command('CONFIG', 'SET', 'maxmemory-policy', policy);
    await fleet.redis.command('CONFIG', 'SET', 'maxmemory', '3mb');
    const filler = 'x'.repeat(20_000);
    for (let i = 0; i < 300; i += 1) await fleet.redis.command('SET', `filler:${i}`, filler);
    await goOn();
    for (let i = 0; i < 300; i += 1) await fleet.redis.command('SET', `filler:${i}`, filler);
    await goOn();
    expect(await fleet.redis.command('INFO', 'stats')).toMatch(/evicted_keys:[1-9]/);
    await fleet.redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await expect.poll(() => fleet.subscriptions(), { ...PATIENT, timeout: 120_000 }).toBe(TOPICS);
    for (const client of clients) client.expectWhole(symbols);
  },
);

test('servers that are restarted one after the other lose no trade and fail no request of the others', async () => {
  let goesOn = true;
  let failed = 0;
  const asking = (async () => {
    while (goesOn) {
      const url = servers.at(-1)?.url ?? '';
      const response = await fetch(`${url}/v1/markets/ticker?exchange=binance&symbol=${symbols[0]}`).catch(
        () => undefined,
      );
      await response?.arrayBuffer();
      if (response?.status !== 200) failed += 1;
      await pause(10);
    }
  })();
  for (let round = 0; round < 4; round += 1) {
    const next = await fleet.server({ TICKER_CACHE_TTL: '60' });
    const [oldest, ...others] = servers;
    servers = [...others, next];
    const client = await fleet.client(next, symbols);
    clients = [...clients.slice(1), client];
    await areLive();
    const at = steadyNow();
    await oldest!.close();
    await goOn();
    // A hand-over is told by nothing.
    for (const each of clients)
      expect(each.events.filter((event) => event.at >= at && event.state !== undefined)).toEqual([]);
    expect(clients.map((each) => each.expectWhole(symbols))).toEqual([0, 0]);
    await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(TOPICS);
  }
  goesOn = false;
  await asking;
  expect(failed).toBe(0);
});
