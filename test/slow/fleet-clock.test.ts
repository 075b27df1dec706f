/**
 * Two servers of one cluster, one of them on a machine whose clock is an hour off and jumps (Debian's package faketime;
 * monotonic clocks go on). Redis' clock is not moved: redis-server does not start under libfaketime.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Fleet, type FleetServer } from '../support/server-fleet.js';
import { TradesWitness } from './trades-witness.js';

const TOPICS = 20;
const PATIENT = { timeout: 120_000, interval: 50 };
const HOUR_S = 3_600;
/** libfaketime reads its file again after a second; leases and beats are shorter than the rest. */
const FELT_MS = 5_000;

const libfaketime = (): string => {
  const found = readdirSync('/usr/lib')
    .map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
    .find((path) => existsSync(path));
  if (found === undefined)
    throw new Error('This test needs libfaketime: install it (Debian: apt-get install faketime).');
  return found;
};

test('no feed changes hands, freezes or loses a trade while the clock of one server jumps by an hour', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clock-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'offset');
  const setClock = (seconds: number): void =>
    writeFileSync(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
  setClock(HOUR_S);
  const fleet = await Fleet.start({ ticksPerSecond: 5 });
  onTestFinished(() => fleet.close());
  const symbols = fleet.symbols(TOPICS);
  const off = await fleet.server({
    ...{ LD_PRELOAD: libfaketime(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1' },
    ...{ FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' },
  });
  const right = await fleet.server();
  const servers: readonly FleetServer[] = [off, right];
  const clients: TradesWitness[] = [];
  onTestFinished(() => clients.forEach((client) => client.close()));
  const areLive = (): boolean =>
    clients.every((client) => symbols.every((symbol) => client.of(symbol).state === 'live'));
  // Each owns half of the topics, and follows the others.
  const halves = [symbols.slice(0, TOPICS / 2), symbols.slice(TOPICS / 2)];
  for (const [at, server] of servers.entries()) {
    const first = await TradesWitness.open(server.url, halves[at]!, fleet.sandbox.market);
    onTestFinished(() => first.close());
    await expect
      .poll(() => halves[at]!.every((symbol) => first.of(symbol).state === 'live'), PATIENT)
      .toBe(true);
  }
  for (const { url } of servers) clients.push(await TradesWitness.open(url, symbols, fleet.sandbox.market));
  await expect.poll(areLive, PATIENT).toBe(true);
  expect(await Promise.all(servers.map(async (server) => (await server.bus()).owned))).toEqual([
    TOPICS / 2,
    TOPICS / 2,
  ]);
  expect(Math.abs(await off.metric('bus_clock_offset_seconds'))).toBeGreaterThan(HOUR_S / 2);

  for (const seconds of [0, HOUR_S, -HOUR_S, 0]) {
    setClock(seconds);
    await new Promise((resolve) => setTimeout(resolve, FELT_MS));
    const before = clients.map((client) => symbols.map((symbol) => client.of(symbol).number ?? 0));
    const goOn = (): boolean =>
      clients.every((client, at) =>
        symbols.every((symbol, topic) => (client.of(symbol).number ?? 0) > before[at]![topic]! + 5),
      );
    await expect.poll(goOn, { ...PATIENT, message: `at ${seconds} s` }).toBe(true);
  }

  for (const client of clients) {
    expect(client.faults).toEqual([]);
    expect(client.missing()).toEqual({ trades: 0, untold: [] });
    // Nothing was called down.
    for (const symbol of symbols) expect(client.of(symbol).reconnectingAt).toBe(-Infinity);
  }
  for (const server of servers) {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toMatch(/^crypto_data_bus_takeovers_total\{cause="dead"\} 0$/m);
  }
  expect(fleet.subscriptions()).toBe(TOPICS);
});
