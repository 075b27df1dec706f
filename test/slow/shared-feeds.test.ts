/**
 * Built servers of one cluster as processes of their own, over a Redis of the test's own: owners that are killed, frozen and
 * ended, and a Redis that goes away. The sandbox knows what was traded. `KILLS` (10) says how many owners are killed.
 */
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { startServer } from '../e2e/streams-rig.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { expectWhole, Reader } from '../support/stream-reader.js';

const KILLS = Number(process.env['KILLS'] ?? 10);
const PATIENT = { timeout: 30_000, interval: 10 };
const TRADES = { channel: 'trades' };

type Server = Awaited<ReturnType<typeof startServer>>;

let redis: RedisServer;
let sandbox: Sandbox;
let names = 0;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  redis = await startRedis();
  sandbox = await startSandbox({ marketsPerVenue: 60, ticksPerSecond: 20, weightLimit: Infinity });
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await sandbox.close();
  await redis.stop();
});

const start = async (): Promise<Server> => {
  const server = await startServer({
    ...{
      SANDBOX: sandbox.url,
      REDIS_ENABLED: 'true',
      REDIS_URL: redis.url,
      STORE_URL: 'none',
    },
    ...{
      SERVER_ID: `s${(names += 1)}`,
      EXCHANGE_WORKERS: '1',
      RATE_LIMIT_REQUESTS: '2000',
    },
  });
  closers.push(() => server.close());
  await isBus(server, 'ok');
  return server;
};
const busOf = async ({ url }: Server) =>
  ((await (await fetch(`${url}/v1/health/ready`)).json()) as { checks: { bus: { state: string } } }).checks
    .bus;
const isBus = (server: Server, state: string) =>
  expect.poll(async () => (await busOf(server)).state, PATIENT).toBe(state);
const open = async ({ url }: Server, params: object): Promise<Reader> => {
  const reader = await Reader.open(url, params);
  closers.push(() => reader.close());
  return reader;
};
const isLive = (reader: Reader) => expect.poll(() => reader.states.at(-1), PATIENT).toBe('live');
const goesOn = (reader: Reader, trades = 20) => {
  const seen = reader.trades.length;
  return expect.poll(() => reader.trades.length, PATIENT).toBeGreaterThan(seen + trades);
};
/** Of all servers, at the venues. */
const subscriptions = () => sandbox.control.listSockets().flatMap(({ channels }) => channels).length;
const kill = async ({ process: child }: Server): Promise<void> => {
  child.kill('SIGKILL');
  await once(child, 'exit');
};
const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1] ?? NaN;

test('owners that are killed are replaced within two seconds, and their clients go on at the others', async () => {
  const servers = [await start(), await start()];
  const tookMs: number[] = [];
  const onOwner = async (server: Server): Promise<Reader> => {
    const reader = await open(server, TRADES);
    await isLive(reader);
    return reader;
  };
  let own = await onOwner(servers[0]!);
  for (let round = 0; round < KILLS; round += 1) {
    const [owner, follower] = servers.splice(0) as [Server, Server];
    const there = await open(follower, TRADES);
    await isLive(there);
    await goesOn(there, 5);
    const before = there.of('trades').length;
    await kill(owner);
    const at = Date.now();
    await expect
      .poll(() => there.states.filter((state) => state === 'live').length, PATIENT)
      .toBeGreaterThan(1);
    await expect.poll(() => there.of('trades').length, PATIENT).toBeGreaterThan(before + 1);
    tookMs.push(Date.now() - at);
    expect(there.states).toContain('reconnecting');
    const moved = await open(follower, { ...TRADES, since: own.ids.at(-1) });
    await goesOn(moved);
    expect(moved.events[0]).toMatchObject({ resumed: 'complete' });
    // The one event that its own server alone had shown may come again.
    const again = moved.trades.findIndex((trade) => trade === (own.trades.at(-1) ?? 0) + 1);
    expectWhole([...own.trades, ...moved.trades.slice(again)]);
    expect(again).toBeGreaterThanOrEqual(0);
    expectWhole(there.trades);
    expect(there.of('lost')).toEqual([]);
    expect(new Set(there.ids).size).toBe(there.ids.length);
    own.close();
    there.close();
    own = moved;
    servers.push(follower, await start());
  }
  console.log(
    `takeover, ${KILLS} kills: p50 ${percentile(tookMs, 0.5)} ms, p95 ${percentile(tookMs, 0.95)} ms`,
  );
  expect(percentile(tookMs, 0.95)).toBeLessThan(2_500);
}, 600_000);

test('an owner that was frozen is fenced out when it wakes, and its clients miss nothing', async () => {
  const [a, b] = [await start(), await start()];
  const here = await open(a, TRADES);
  await isLive(here);
  const there = await open(b, TRADES);
  await isLive(there);
  a.process.kill('SIGSTOP');
  await expect.poll(() => there.states.length, PATIENT).toBeGreaterThan(1);
  await isLive(there);
  await goesOn(there, 40);
  a.process.kill('SIGCONT');
  await goesOn(here, 60);
  await goesOn(there, 40);
  expectWhole(there.trades);
  expectWhole(here.trades);
  await expect.poll(() => here.ids.at(-1)?.split('-')[0], PATIENT).toBe(there.ids.at(-1)?.split('-')[0]);
  expect(subscriptions()).toBe(1);
}, 120_000);

test('a server that ends gracefully is followed without a break', async () => {
  const [a, b] = [await start(), await start()];
  const here = await open(a, TRADES);
  await isLive(here);
  const there = await open(b, TRADES);
  await isLive(there);
  await a.close();
  await goesOn(there);
  expect(there.states).toEqual(['live']);
  expectWhole(there.trades);
}, 120_000);

test('while Redis is gone each server feeds itself, and they share again when it is back', async () => {
  const [a, b] = [await start(), await start()];
  const here = await open(a, TRADES);
  await isLive(here);
  const there = await open(b, TRADES);
  await isLive(there);
  await redis.kill();
  const goneAt = Date.now();
  await expect
    .poll(() => there.of('status').some(({ detail = '' }) => detail.startsWith('unshared')), PATIENT)
    .toBe(true);
  const unsharedMs = Date.now() - goneAt;
  await isLive(there);
  expect(there.ids.at(-1)).toMatch(/^u?s?\d/);
  await goesOn(there);
  expect(there.ids.at(-1)).toMatch(/^us\d+\.\d+$/);
  await expect.poll(subscriptions, PATIENT).toBe(2);
  await redis.restart();
  const backAt = Date.now();
  await expect.poll(subscriptions, PATIENT).toBe(1);
  const sharedMs = Date.now() - backAt;
  await goesOn(there);
  await goesOn(here);
  console.log(`unshared after ${unsharedMs} ms, shared again after ${sharedMs} ms`);
  expectWhole(here.trades);
  expectWhole(there.trades);
  expect(there.of('lost')).toEqual([]);
  expect(there.ids.at(-1)).toMatch(/^\d+-\d+$/);
  expect(unsharedMs).toBeLessThan(2_500);
  expect(sharedMs).toBeLessThan(7_500);
}, 120_000);
