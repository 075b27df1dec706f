/** Two servers of one cluster over a real Redis and the sandbox's venues: an owner that the others do not hear any more. */
import { expect, test } from 'vitest';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { isLive, open, PATIENT, startServers, TRADES } from '../support/feed-cluster.js';
import { expectWhole } from '../support/stream-reader.js';

test('an owner that is cut off from the others is replaced: none of their trades is missing, and none comes twice', async () => {
  const { a, b } = await startServers();
  const here = await open(a, TRADES);
  await isLive(here);
  const there = await open(b, TRADES);
  await isLive(there);
  const seen = there.trades.length;
  await a.way.close();
  const cutAt = steadyNow();
  await expect.poll(() => there.states, PATIENT).toContain('reconnecting');
  await isLive(there);
  const tookMs = steadyNow() - cutAt;
  await expect.poll(() => there.trades.length, PATIENT).toBeGreaterThan(seen + 20);
  expect(tookMs).toBeLessThan(3_000);
  expectWhole(there.trades);
  expect(there.of('lost')).toEqual([]);
  expectWhole(here.trades);
});
