/** Four servers of one cluster, of which the owner of many feeds is stopped with SIGSTOP for longer than its lease, again and again. */
import { expect, onTestFinished, test } from 'vitest';
import { auditFeeds } from '../support/feed-audit.js';
import { Fleet, type FleetServer } from '../support/server-fleet.js';
import { FeedWitness, tradesOf } from './feed-witness.js';

const SERVERS = 4;
const TOPICS = 40;
const ROUNDS = 5;
const FROZEN_MS = 5_000;
const PATIENT = { timeout: 120_000, interval: 20 };

test(`owners that are frozen are never accepted beside those who took over, and clients see each trade once`, async () => {
  const fleet = await Fleet.start({ ticksPerSecond: 5 });
  onTestFinished(() => fleet.close());
  const symbols = fleet.symbols(TOPICS);
  const audit = await auditFeeds(fleet.redis.url);
  onTestFinished(() => audit.close());
  const members: { readonly server: FleetServer; readonly client: FeedWitness }[] = [];
  onTestFinished(() => members.forEach(({ client }) => client.close()));
  const areLive = (): boolean =>
    members.every(({ client }) =>
      symbols.every((symbol) => client.of({ channel: 'trades', symbol }).state === 'live'),
    );
  for (let i = 0; i < SERVERS; i += 1) {
    const server = await fleet.server();
    members.push({
      server,
      client: await FeedWitness.open(server.url, tradesOf(symbols), fleet.sandbox.market),
    });
  }
  await expect.poll(areLive, PATIENT).toBe(true);
  let frozenTopics = 0;

  for (let round = 0; round < ROUNDS; round += 1) {
    const owned = await Promise.all(members.map(({ server }) => server.owned()));
    const most = owned.reduce((best, topics, at) => (topics.length > owned[best]!.length ? at : best), 0);
    const frozen = members[most]!;
    const others = members.filter((member) => member !== frozen);
    const before = others.map(({ client }) =>
      owned[most]!.map((symbol) => client.of({ channel: 'trades', symbol }).fence),
    );
    frozen.server.process.kill('SIGSTOP');
    onTestFinished(() => void frozen.server.process.kill('SIGCONT'));
    const wokenAt = new Promise((resolve) => setTimeout(resolve, FROZEN_MS));
    const takenOver = (): boolean =>
      others.every(({ client }, place) =>
        owned[most]!.every(
          (symbol, topic) => client.of({ channel: 'trades', symbol }).fence > before[place]![topic]!,
        ),
      );
    await expect.poll(takenOver, PATIENT).toBe(true);
    await wokenAt;
    frozen.server.process.kill('SIGCONT');
    frozenTopics += owned[most]!.length;
    await expect.poll(() => fleet.subscriptions(), PATIENT).toBe(symbols.length);
    // All are shown the same events again.
    const fencesAgree = (): boolean =>
      symbols.every(
        (symbol) =>
          new Set(members.map(({ client }) => client.of({ channel: 'trades', symbol }).fence)).size === 1,
      );
    await expect.poll(() => fencesAgree() && areLive(), PATIENT).toBe(true);
  }

  const fenced = await Promise.all(members.map(({ server }) => server.metric('bus_fenced_total')));
  console.info(
    `${ROUNDS} times frozen for ${FROZEN_MS / 1_000} s with ${frozenTopics} topics: ${audit.claims} claims, ` +
      `${audit.events} events accepted, ${fenced.join(', ')} topics fenced out at the servers, ` +
      `${members.map(({ client }) => client.missing().trades).join(', ')} trades missing and told`,
  );
  expect(audit.faults).toEqual([]);
  expect(audit.events).toBeGreaterThan(TOPICS * ROUNDS);
  expect(audit.claims).toBeGreaterThanOrEqual(TOPICS + frozenTopics);
  expect(members.flatMap(({ client }) => client.faults)).toEqual([]);
  await expect.poll(() => members.flatMap(({ client }) => client.missing().untold), PATIENT).toEqual([]);
});
