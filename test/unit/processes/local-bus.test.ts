/** What a process takes of the bus for granted, and what not. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Claim } from '../../../src/cluster/bus.js';
import type { ServerState } from '../../../src/processes/bus-host.js';
import { LocalBus, membershipOver } from '../../../src/processes/local-bus.js';
import type { PrimaryLink } from '../../../src/processes/primary-link.js';

const TOPIC = 'ticker kraken  BTC/USD';

const start = (sharesAs: string | null) => {
  const calls: unknown[][] = [];
  const link = {
    ...{ serverId: 'machine_1', silence: 0, processes: ['machine_1', 'machine_2'] },
    state: null as ServerState | null,
    answerClaim: null as ((claim: Claim) => void) | null,
    listen: () => undefined,
    silenceOf: (id: string) => (id.startsWith('machine_') ? 7 : undefined),
    silenceOfServer: () => 9,
    call: (name: string, ...args: unknown[]) => {
      calls.push([name, ...args]);
      return name === 'claim'
        ? new Promise<Claim>((resolve) => (link.answerClaim = resolve))
        : Promise.resolve(undefined);
    },
  };
  const bus = new LocalBus(link as unknown as PrimaryLink, { sharesAs, now: () => 5 });
  return { link, bus, calls };
};
const stateOf = (isIn: boolean): ServerState => ({
  isIn,
  health: { state: isIn ? 'ok' : 'unshared', since: 1, detail: '' },
  servers: ['machine', 'far'].map((id) => ({ id, since: 1, owned: 2, followed: 3 })),
  stats: { beats: 1, missed: 0, roundTripMs: 1, leases: 4 },
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a process of a server that acts alone is with its siblings', () => {
  const { bus, link } = start(null);
  expect(bus.isIn).toBe(true);
  expect([bus.silentFor('machine_2'), bus.silentFor('far')]).toEqual([7, Infinity]);
  expect(bus.survivors('machine_2')).toEqual({ own: 'machine_1', ids: ['machine_1'] });
  link.silence = 6_000;
  expect(bus.isIn).toBe(false);
  expect(bus.health.state).toBe('unshared');
});

test('a process of one of many servers is with the others as far as its primary is, and tells of the server as one', () => {
  const { bus, link } = start('machine');
  const membership = membershipOver(bus, 'machine');
  expect(bus.isIn).toBe(false);
  expect([membership.health.state, membership.servers.map(({ id }) => id)]).toEqual([
    'unshared',
    ['machine'],
  ]);
  link.state = stateOf(true);
  expect(bus.isIn).toBe(true);
  expect(membership).toMatchObject({ serverId: 'machine', health: { state: 'ok' }, stats: { leases: 4 } });
  expect(membership.servers).toEqual(stateOf(true).servers);
  link.state = stateOf(false);
  expect([bus.isIn, membership.health.state]).toEqual([false, 'unshared']);
  link.state = stateOf(true);
  link.silence = 6_000;
  expect([bus.isIn, membership.health.state]).toEqual([false, 'unshared']);
});

test('of a dead process its siblings take over, of a dead server the servers that are left', () => {
  const { bus, link } = start('machine');
  link.state = stateOf(true);
  expect(bus.silentFor('far')).toBe(9);
  expect(bus.survivors('machine_2')).toEqual({ own: 'machine_1', ids: ['machine_1'] });
  expect(bus.survivors('far')).toEqual({ own: 'machine', ids: ['machine'] });
});

test('a claim that is granted after it was given up is given back', async () => {
  const { bus, link, calls } = start('machine');
  const claim = bus.claim(TOPIC);
  claim.catch(() => undefined);
  await vi.advanceTimersByTimeAsync(8_000);
  await expect(claim).rejects.toThrow('does not answer');
  link.answerClaim?.({ granted: true, fence: 8, top: null, fences: [] });
  await vi.advanceTimersByTimeAsync(0);
  expect(calls.at(-1)).toEqual(['release', TOPIC, 8]);
});
