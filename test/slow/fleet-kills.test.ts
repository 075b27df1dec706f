/**
 * Four servers of one cluster share 200 topics, half of them trades and half tickers, a quarter of which each server was asked
 * for first; their owners are killed at random, KILLS (50) times, and replaced: what the clients of the others see meanwhile,
 * and what the venue does.
 */
import { expect, onTestFinished, test } from 'vitest';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { Fleet, type FleetServer, percentile } from '../support/server-fleet.js';
import { watchUpstream } from '../support/upstream-watch.js';
import { FeedWitness, type Topic } from './feed-witness.js';

const KILLS = Number(process.env['KILLS'] ?? 50);
const SERVERS = 4;
const TOPICS = 200;
const PATIENT = { timeout: 60_000, interval: 20 };
/** What is promised, and how many times longer a slow machine may take. */
const [OWNER_P95_MS, ITEM_P95_MS, TWICE_MS, SLOW] = [1_500, 2_000, 2_000, 10];

interface Member {
  readonly server: FleetServer;
  readonly client: FeedWitness;
}

/** Of Lehmer; the same kills in each run. */
const createRandom = (): (() => number) => {
  let state = 20_251_127;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
};

test(`${KILLS} owners of ${SERVERS} servers with ${TOPICS} topics are killed: others take over, and no trade is missing untold`, async () => {
  const fleet = await Fleet.start({ ticksPerSecond: 2 });
  onTestFinished(() => fleet.close());
  const topics = fleet.symbols(TOPICS / 2).flatMap((symbol): Topic[] => [
    { channel: 'trades', symbol },
    { channel: 'ticker', symbol },
  ]);
  const clients: FeedWitness[] = [];
  onTestFinished(() => clients.forEach((client) => client.close()));
  const join = async (first: readonly Topic[]): Promise<Member> => {
    const server = await fleet.server();
    const client = await FeedWitness.open(server.url, first, fleet.sandbox.market);
    clients.push(client);
    return { server, client };
  };
  /** Topics that are not live at its client, in words. */
  const awaited = ({ server, client }: Member, of: readonly Topic[]): string[] =>
    of
      .filter((topic) => client.of(topic).state !== 'live' || !client.of(topic).isShown)
      .map((topic) => `${server.id} ${topic.channel} ${topic.symbol} ${client.of(topic).state}`);
  const isSettled = async (): Promise<void> => {
    const waits = () => members.flatMap((member) => awaited(member, topics)).slice(0, 20);
    await expect.poll(waits, PATIENT).toEqual([]);
    await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(TOPICS);
  };
  let members: Member[] = [];
  for (let i = 0; i < SERVERS; i += 1) {
    const quarter = topics.slice((i * TOPICS) / SERVERS, ((i + 1) * TOPICS) / SERVERS);
    const member = await join(quarter);
    await expect.poll(() => awaited(member, quarter).slice(0, 20), PATIENT).toEqual([]);
    members.push(member);
  }
  for (const { client } of members) client.follow(topics.filter((topic) => !client.of(topic).isShown));
  await isSettled();
  const random = createRandom();
  const upstream = watchUpstream(fleet.sandbox);
  const [ownerMs, itemMs, tradesMs, killsAt]: [number[], number[], number[], number[]] = [[], [], [], []];

  for (let kill = 1; kill <= KILLS; kill += 1) {
    const owned = await Promise.all(members.map(({ server }) => server.ownedTopics()));
    const owners = members.filter((_member, at) => (owned[at]?.length ?? 0) > 0);
    const victim = owners[Math.floor(random() * owners.length)]!;
    const orphans = owned[members.indexOf(victim)]!;
    members = members.filter((member) => member !== victim);
    const before = members.map(({ client }) => orphans.map((topic) => client.of(topic).fence));
    const at = steadyNow();
    killsAt.push(at);
    await victim.server.kill();
    const takenOver = (): boolean =>
      members.every(({ client }, place) =>
        orphans.every((topic, index) => client.of(topic).fence > before[place]![index]!),
      );
    await expect.poll(takenOver, PATIENT).toBe(true);
    for (const { client } of members)
      for (const topic of orphans) {
        const { fenceAt, reconnectingAt } = client.of(topic);
        itemMs.push(fenceAt - at);
        if (topic.channel === 'trades') tradesMs.push(fenceAt - at);
        // A server that was busy for so long that it fed itself tells of that instead.
        if (reconnectingAt >= at) ownerMs.push(reconnectingAt - at);
      }
    members.push(await join(topics));
    await isSettled();
    console.info(
      `kill ${kill}: ${orphans.length} topics, first items p95 ${percentile(itemMs.slice(-orphans.length * 3), 0.95).toFixed(0)} ms, settled after ${(steadyNow() - at).toFixed(0)} ms`,
    );
  }

  upstream.end();
  const told = (name: string, values: number[]): string =>
    `${name} p50 ${percentile(values, 0.5).toFixed(0)} ms, p95 ${percentile(values, 0.95).toFixed(0)} ms, ` +
    `at most ${Math.max(...values).toFixed(0)} ms`;
  const sum = (of: (client: FeedWitness) => number): number =>
    clients.reduce((total, client) => total + of(client), 0);
  const apart = upstream.doubled.filter(
    ({ from }) => !killsAt.some((at) => from >= at && from < at + 10_000),
  );
  console.info(
    `${KILLS} kills, ${SERVERS} servers, ${TOPICS} topics, ${itemMs.length} takeovers seen by clients\n` +
      `${told('new owner', ownerMs)}\n${told('its first item', itemMs)}; ${told('of trades', tradesMs)}\n` +
      `subscribed more than once: ${upstream.doubled.length}, ` +
      `${told('for', [0, ...upstream.doubled.map(({ ms }) => ms)])}, ${apart.length} of them not at a takeover\n` +
      `${sum(({ trades }) => trades)} trades in ${sum(({ events }) => events)} events, ` +
      `${sum(({ compared }) => compared)} compared with the truth, ${sum((client) => client.missing().trades)} missing, ${sum(({ holes }) => holes)} more within first events`,
  );
  expect(clients.flatMap(({ faults }) => faults)).toEqual([]);
  // What was lost may be told a moment later, but not to clients of servers that are dead.
  const untold = (): string[] => members.flatMap(({ client }) => client.missing().untold);
  await expect.poll(untold, PATIENT).toEqual([]);
  expect(percentile(ownerMs, 0.95)).toBeLessThan(SLOW * OWNER_P95_MS);
  expect(percentile(itemMs, 0.95)).toBeLessThan(SLOW * ITEM_P95_MS);
  expect(Math.max(0, ...upstream.doubled.map(({ ms }) => ms))).toBeLessThan(SLOW * TWICE_MS);
}, 5_400_000);
