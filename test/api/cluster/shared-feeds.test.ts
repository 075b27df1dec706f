/** Two servers of one cluster over a real Redis and the sandbox's venues: one feed a topic, also when its owner ends. */
import { expect, test } from 'vitest';
import {
  faults,
  isLive,
  open,
  PATIENT,
  startServers,
  subscriptions,
  TRADES,
} from '../../support/feed-cluster.js';
import { expectWhole, type Reader } from '../../support/stream-reader.js';

/** Both have the events of a stretch, under the same ids. */
const expectSame = (one: Reader, other: Reader): void => {
  const [ids, others] = [one.ids, other.ids];
  const shared = ids.filter((id) => others.includes(id));
  expect(shared.length).toBeGreaterThan(5);
  for (const id of shared.slice(1))
    expect(one.events.find((event) => event.id === id)).toEqual(
      other.events.find((event) => event.id === id),
    );
};

test('both show the same events under the same ids, for one subscription at the venue', async () => {
  const { a, b } = await startServers();
  const before = subscriptions();
  const [here, there] = [await open(a, TRADES), await open(b, TRADES)];
  await Promise.all([here, there].map(isLive));
  await expect
    .poll(() => there.ids.filter((id) => here.ids.includes(id)).length, PATIENT)
    .toBeGreaterThan(12);
  expect(subscriptions() - before).toBe(1);
  expectSame(here, there);
  expectWhole(there.trades);
  for (const id of here.ids) expect(id).toMatch(/^\d+-\d+$/);
  expect(new Set(there.ids).size).toBe(there.ids.length);
});

test('a server that ends hands its topics over: its followers see no break, its clients go on at the other', async () => {
  const { a, b } = await startServers();
  const here = await open(a, TRADES);
  await isLive(here);
  const there = await open(b, TRADES);
  await isLive(there);
  await a.app.close();
  const last = here.ids.at(-1);
  const moved = await open(b, { ...TRADES, since: last });
  await expect.poll(() => moved.trades.length, PATIENT).toBeGreaterThan(5);
  expect(moved.events[0]).toMatchObject({ event_type: 'status', resumed: 'complete' });
  expect(moved.trades[0]).toBe((here.trades.at(-1) ?? 0) + 1);
  expectWhole([...here.trades, ...moved.trades]);
  expectWhole(there.trades);
  expect(there.states).toEqual(['live']);
  const metrics = (await b.app.inject('/metrics')).body;
  for (const line of [
    /^crypto_data_bus_leases_held 1$/m,
    /^crypto_data_bus_followed_topics 0$/m,
    /^crypto_data_bus_published_total [1-9]/m,
    /^crypto_data_bus_takeovers_total\{cause="handover"\} 1$/m,
    /^crypto_data_bus_takeover_seconds_count\{cause="handover"\} 1$/m,
    /^crypto_data_bus_delivery_lag_seconds_count [1-9]/m,
    /^crypto_data_bus_clock_offset_seconds -?0/m,
  ])
    expect(metrics).toMatch(line);
});

test('a Redis that is emptied leaves one feed a stream, also where the market is quiet', async () => {
  const { a, b } = await startServers();
  const before = subscriptions();
  const here = await open(a, TRADES);
  await isLive(here);
  await expect.poll(() => here.trades.length, PATIENT).toBeGreaterThan(3);
  faults.setTickRate(0);
  const first = Number(here.ids[0]?.split('-')[0]);
  await faults.emptyRedis();
  // The owner notices by its next beat.
  const there = await open(b, TRADES);
  await isLive(there);
  faults.setTickRate(20);
  const fenceOf = ({ ids }: Reader) => Number(ids.at(-1)?.split('-')[0] ?? 0);
  await expect.poll(() => fenceOf(there), PATIENT).toBeGreaterThan(first);
  await expect.poll(() => fenceOf(here) - fenceOf(there), PATIENT).toBe(0);
  await expect.poll(() => subscriptions() - before, PATIENT).toBe(1);
  expectWhole(here.trades);
  expectWhole(there.trades);
});
