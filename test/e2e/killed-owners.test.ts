/** Servers of one cluster that are killed with SIGKILL while they own feeds: who takes over, how soon, and what clients see. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { Fleet, type FleetServer, percentile, type TradesClient } from '../support/server-fleet.js';

const PATIENT = { timeout: 30_000, interval: 10 };
/** test/slow/fleet-kills.test.ts has fifty of them, by four servers with 200 topics. */
const { kills, servers, topics } = { kills: 3, servers: 2, topics: 20 };
/** What is promised, and how many times longer a busy machine may take. */
const [OWNER_P95_MS, ITEM_P95_MS, SLOW] = [1_500, 2_000, 10];

interface Member {
  readonly server: FleetServer;
  readonly client: TradesClient;
}

test(`${kills} owners that are killed are replaced in two seconds, and no trade is missing untold at the others`, async () => {
  const fleet = await Fleet.start();
  onTestFinished(() => fleet.close());
  const symbols = fleet.symbols(topics);
  const join = async (): Promise<Member> => {
    const server = await fleet.server();
    return { server, client: await fleet.client(server, symbols) };
  };
  const isSettled = () =>
    expect
      .poll(() => members.every(({ client }) => symbols.every((symbol) => client.isLive(symbol))), PATIENT)
      .toBe(true);
  let members = await Promise.all(Array.from({ length: servers }, join));
  await isSettled();
  const [ownerMs, itemMs]: [number[], number[]] = [[], []];
  let lost = 0;

  for (let kill = 0; kill < kills; kill += 1) {
    const owned = await Promise.all(members.map(({ server }) => server.owned()));
    const owners = members.filter((_member, at) => (owned[at]?.length ?? 0) > 0);
    const victim = owners[kill % owners.length]!;
    const orphans = owned[members.indexOf(victim)]!;
    members = members.filter((member) => member !== victim);
    await victim.server.kill();
    const at = steadyNow();
    await Promise.all(
      members.flatMap(({ client }) =>
        orphans.map(async (symbol) => {
          const before = client.fence(symbol);
          const item = () =>
            client.of(symbol, at).find(({ id = '' }) => Number(/^(\d+)-/.exec(id)?.[1] ?? 0) > before);
          await expect.poll(item, PATIENT).toBeDefined();
          itemMs.push((item()?.at ?? NaN) - at);
          // A server that was busy for so long that it fed itself tells of that instead.
          const taken = client.of(symbol, at).find(({ state }) => state === 'reconnecting');
          if (taken !== undefined) ownerMs.push(taken.at - at);
        }),
      ),
    );
    members.push(await join());
    await isSettled();
    await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(symbols.length);
  }

  // What was lost may be told a moment later.
  for (const { client } of members) lost += await vi.waitFor(() => client.expectWhole(symbols), PATIENT);
  const told = (name: string, values: number[]): string =>
    `${name} p50 ${percentile(values, 0.5).toFixed(0)} ms, p95 ${percentile(values, 0.95).toFixed(0)} ms, ` +
    `at most ${Math.max(...values).toFixed(0)} ms`;
  console.info(`${kills} kills, ${servers} servers, ${topics} topics, ${itemMs.length} takeovers seen:`);
  console.info(`${told('new owner', ownerMs)}; ${told('its first item', itemMs)}; told as lost: ${lost}`);
  expect(percentile(ownerMs, 0.95)).toBeLessThan(SLOW * OWNER_P95_MS);
  expect(percentile(itemMs, 0.95)).toBeLessThan(SLOW * ITEM_P95_MS);
});
