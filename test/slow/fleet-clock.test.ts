/**
 * Two servers of one cluster while a clock jumps by an hour: first that of one server's machine, then that of Redis.
 */
import { expect, onTestFinished, test } from 'vitest';
import { fakeClock } from '../support/fake-clock.js';
import { Fleet, fullestWindow, type FleetServer } from '../support/server-fleet.js';
import { FeedWitness, tradesOf } from './feed-witness.js';

const TOPICS = 20;
const PATIENT = { timeout: 120_000, interval: 50 };
const HOUR_S = 3_600;
/** libfaketime reads its file again after a second; leases and beats are shorter than the rest. */
const FELT_MS = 5_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('no feed changes hands, freezes or loses a trade while the clock of one server jumps by an hour', async () => {
  const clock = fakeClock();
  clock.set(HOUR_S);
  const fleet = await Fleet.start({ ticksPerSecond: 5 });
  onTestFinished(() => fleet.close());
  const symbols = fleet.symbols(TOPICS);
  const off = await fleet.server(clock.env);
  const right = await fleet.server();
  const servers: readonly FleetServer[] = [off, right];
  const clients: FeedWitness[] = [];
  onTestFinished(() => clients.forEach((client) => client.close()));
  const areLive = (): boolean =>
    clients.every((client) =>
      symbols.every((symbol) => client.of({ channel: 'trades', symbol }).state === 'live'),
    );
  // Each owns half of the topics, and follows the others.
  const halves = [symbols.slice(0, TOPICS / 2), symbols.slice(TOPICS / 2)];
  for (const [at, server] of servers.entries()) {
    const first = await FeedWitness.open(server.url, tradesOf(halves[at]!), fleet.sandbox.market);
    onTestFinished(() => first.close());
    await expect
      .poll(
        () => halves[at]!.every((symbol) => first.of({ channel: 'trades', symbol }).state === 'live'),
        PATIENT,
      )
      .toBe(true);
  }
  for (const { url } of servers)
    clients.push(await FeedWitness.open(url, tradesOf(symbols), fleet.sandbox.market));
  await expect.poll(areLive, PATIENT).toBe(true);
  expect(await Promise.all(servers.map(async (server) => (await server.bus()).owned))).toEqual([
    TOPICS / 2,
    TOPICS / 2,
  ]);
  expect(Math.abs(await off.metric('bus_clock_offset_seconds'))).toBeGreaterThan(HOUR_S / 2);

  for (const seconds of [0, HOUR_S, -HOUR_S, 0]) {
    clock.set(seconds);
    await pause(FELT_MS);
    const before = clients.map((client) =>
      symbols.map((symbol) => client.of({ channel: 'trades', symbol }).number ?? 0),
    );
    const goOn = (): boolean =>
      clients.every((client, at) =>
        symbols.every(
          (symbol, topic) => (client.of({ channel: 'trades', symbol }).number ?? 0) > before[at]![topic]! + 5,
        ),
      );
    await expect.poll(goOn, { ...PATIENT, message: `at ${seconds} s` }).toBe(true);
  }

  for (const client of clients) {
    expect(client.faults).toEqual([]);
    expect(client.missing()).toEqual({ trades: 0, untold: [] });
    // Nothing was called down.
    for (const symbol of symbols)
      expect(client.of({ channel: 'trades', symbol }).reconnectingAt).toBe(-Infinity);
  }
  for (const server of servers) {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toMatch(/^crypto_data_bus_takeovers_total\{cause="dead"\} 0$/m);
  }
  expect(fleet.subscriptions()).toBe(TOPICS);
});

test('nothing fails, is lost untold or leaves beyond the budget while the clock of Redis jumps by an hour', async () => {
  const [limit, windowMs] = [60, 6_000];
  /** What a busy machine may need from the gate to the exchange, for one request more than for another. */
  const busyMs = 400;
  const clock = fakeClock();
  const fleet = await Fleet.start({ ticksPerSecond: 5 }, [], clock.redisEnv);
  onTestFinished(() => fleet.close());
  const symbols = fleet.symbols(TOPICS);
  const env = {
    ...{ RATE_LIMIT_REQUESTS: String(limit), RATE_LIMIT_WINDOW: String(windowMs / 1_000) },
    ...{ EXCHANGE_OPTIONS: '{"binance":{"rateLimit":5}}', TRADES_CACHE_TTL: '0.1' },
    ...{ TICKER_CACHE_TTL: '600', CLIENT_RATE_LIMIT_REQUESTS: '0' },
  };
  const servers = [await fleet.server(env), await fleet.server(env)];
  const clients: FeedWitness[] = [];
  onTestFinished(() => clients.forEach((client) => client.close()));
  for (const { url } of servers)
    clients.push(await FeedWitness.open(url, tradesOf(symbols), fleet.sandbox.market));
  const areLive = (): boolean =>
    clients.every((client) =>
      symbols.every((symbol) => client.of({ channel: 'trades', symbol }).state === 'live'),
    );
  await expect.poll(areLive, PATIENT).toBe(true);

  let goesOn = true;
  const faults = new Set<string>();
  const ask = async (url: string, allowed: readonly string[] = []): Promise<void> => {
    const response = await fetch(url);
    const { code = String(response.status) } = (await response.json()) as { code?: string };
    if (response.status !== 200 && !allowed.includes(code)) faults.add(code);
  };
  let asked = 0;
  /** Something that no cache has: a request to the exchange, or a refusal for the budget. */
  const askAnew = ({ url }: FleetServer): Promise<void> => {
    asked += 1;
    const query = `exchange=binance&symbol=${symbols[asked % TOPICS]}&limit=${1 + (asked % 997)}`;
    return ask(`${url}/v1/markets/trades?${query}`, ['upstream_budget_exhausted']);
  };
  const asking = servers.flatMap((server) => [
    (async () => {
      for (; goesOn; await pause(20))
        await ask(`${server.url}/v1/markets/ticker?exchange=binance&symbol=BTC/USDT`);
    })(),
    // Nearly what the budget allows, evenly: what is forgotten of it can be sent again at once.
    (async () => {
      for (; goesOn; await pause((2.2 * windowMs) / limit)) await askAnew(server);
    })(),
  ]);
  onTestFinished(async () => {
    goesOn = false;
    await Promise.allSettled(asking);
  });
  const left = (): number[] =>
    fleet.sandbox.control
      .requestLog()
      .filter(({ kind }) => kind === 'trades' || kind === 'ticker')
      .map(({ time }) => time);

  for (const seconds of [HOUR_S, 0, -HOUR_S, 0]) {
    clock.set(seconds);
    await pause(FELT_MS);
    const before = clients.map((client) =>
      symbols.map((symbol) => client.of({ channel: 'trades', symbol }).number ?? 0),
    );
    const sent = left().length;
    await Promise.all(Array.from({ length: 2 * limit }, (_, place) => askAnew(servers[place % 2]!)));
    const goOn = (): boolean =>
      left().length > sent + limit &&
      clients.every((client, at) =>
        symbols.every(
          (symbol, topic) => (client.of({ channel: 'trades', symbol }).number ?? 0) > before[at]![topic]! + 5,
        ),
      );
    await expect.poll(goOn, { ...PATIENT, message: `at ${seconds} s` }).toBe(true);
    for (const server of servers) expect((await server.bus()).state, `at ${seconds} s`).not.toBe('unshared');
  }
  goesOn = false;
  await Promise.all(asking);

  expect([...faults]).toEqual([]);
  const times = left();
  const fullest = fullestWindow(times, windowMs - busyMs);
  console.info(`${times.length} requests; fullest window ${fullest} of ${limit}`);
  expect(fullest).toBeGreaterThan(limit / 2);
  expect(fullest).toBeLessThanOrEqual(limit);
  for (const client of clients) {
    expect(client.faults).toEqual([]);
    expect(client.missing().untold).toEqual([]);
  }
  await expect.poll(areLive, PATIENT).toBe(true);
  expect(fleet.subscriptions()).toBe(TOPICS);
});
