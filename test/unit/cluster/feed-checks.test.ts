/** How often a server looks at its shared feeds: at all of them only where something may change. */
import { expect, test } from 'vitest';
import { FeedChecks } from '../../../src/cluster/feeds/feed-checks.js';
import type { Moment } from '../../../src/cluster/feeds/moment.js';
import type { SharedFeed } from '../../../src/cluster/feeds/shared-feed.js';

const FEEDS = 95;
const CALM: Moment = {
  ...{ at: 0, isIn: true, isAway: false, mayReturn: true, leases: 1, leaseMs: 1_200 },
  ...{ silentFor: () => 0, survivors: () => ({ own: 'a', ids: ['a'] }) },
};

const rig = (count = FEEDS) => {
  const looks: number[] = [];
  let time = 0;
  const feed = (at: number) => ({
    owner: at % 2 === 0 ? undefined : 'b',
    isSettled: true,
    check: () => looks.push(at),
  });
  const all = Array.from({ length: count }, (_each, at) => feed(at));
  const feeds = new Set(all as unknown as SharedFeed[]);
  const checks = new FeedChecks(feeds);
  const lookedAt = (moment: Partial<Moment> = {}, after = 100): number[] => {
    looks.length = 0;
    checks.look({ ...CALM, at: (time += after), ...moment });
    return [...looks];
  };
  return { all, feeds, checks, feed, lookedAt };
};

/** Until all is known to be calm: what was eventful is followed by a look at all. */
const calm = (lookedAt: () => number[]): void => {
  for (let look = 0; look < 2; look += 1) expect(lookedAt().length).toBeGreaterThanOrEqual(FEEDS);
};
const upTo = (count: number): number[] => Array.from({ length: count }, (_each, at) => at);

test('while all is calm a look is at a tenth of them, and ten looks are at each of them once', () => {
  const { lookedAt } = rig();
  calm(lookedAt);
  const round = upTo(10).map(() => lookedAt());
  expect(Math.max(...round.map((looks) => looks.length))).toBe(10);
  expect(new Set(round.flat())).toEqual(new Set(upTo(FEEDS)));
  const even = rig(100);
  calm(even.lookedAt);
  expect(upTo(30).map(() => even.lookedAt().length)).toEqual(upTo(30).map(() => 10));
});

test('a round takes a second also where looks are late', () => {
  const { lookedAt } = rig();
  calm(lookedAt);
  expect(new Set([lookedAt({}, 300), lookedAt({}, 300), lookedAt({}, 400)].flat())).toEqual(
    new Set(upTo(FEEDS)),
  );
  expect(lookedAt({}, 5_000)).toHaveLength(FEEDS);
});

test.each<[string, Partial<Moment>]>([
  ['an owner has missed two beats', { silentFor: () => 700 }],
  ['this server is not with the others', { isIn: false }],
  ['the bus has only just come back', { mayReturn: false }],
  ['the lease of this server has begun anew', { leases: 2 }],
])('a look is at all of them where %s, and the look behind it', (_what, moment) => {
  const { lookedAt } = rig();
  calm(lookedAt);
  expect(lookedAt()).toHaveLength(10);
  expect(lookedAt(moment)).toHaveLength(FEEDS);
  expect(lookedAt({ leases: moment.leases ?? 1 })).toHaveLength(FEEDS);
});

test('all are looked at until each is settled, and after one was added or says that it is not', () => {
  const { all, feeds, checks, feed, lookedAt } = rig();
  all[3]!.isSettled = false;
  calm(lookedAt);
  expect(lookedAt()).toHaveLength(FEEDS);
  all[3]!.isSettled = true;
  expect(lookedAt()).toHaveLength(FEEDS);
  expect(lookedAt()).toHaveLength(10);
  feeds.add(feed(FEEDS) as unknown as SharedFeed);
  checks.unsettled();
  expect(lookedAt()).toHaveLength(FEEDS + 1);
  // What is found unsettled in its turn.
  for (const each of all) each.isSettled = false;
  expect(lookedAt()).toHaveLength(10);
  expect(lookedAt()).toHaveLength(FEEDS + 1);
});

test('those that are closed in the middle of a round are left out, and the others are reached', () => {
  const { all, feeds, lookedAt } = rig();
  calm(lookedAt);
  const seen = lookedAt();
  for (const at of [seen.at(-1)!, seen.at(-1)! + 1, 50]) feeds.delete(all[at] as unknown as SharedFeed);
  const rest = upTo(9).flatMap(() => lookedAt());
  expect(new Set([...seen, ...rest])).toEqual(new Set(upTo(FEEDS).filter((at) => at !== 10 && at !== 50)));
});
