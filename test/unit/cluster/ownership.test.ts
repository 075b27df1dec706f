/** What the owner of a topic tells its followers, while the bus answers and while it does not. */
import { expect, test } from 'vitest';
import { createFeedCounts, type SharedFeedParts } from '../../../src/cluster/feeds/feed-parts.js';
import { readMessage } from '../../../src/cluster/feeds/messages.js';
import { Ownership } from '../../../src/cluster/feeds/ownership.js';
import { PublishingRoom } from '../../../src/cluster/feeds/publishing-room.js';

const rig = () => {
  const state = { isDown: false, isMine: true, leases: 1, now: 0, fenced: 0, unsettled: 0 };
  const told: unknown[] = [];
  const bus = {
    isIn: true,
    stats: { leases: 1 },
    tell: (_topic: string, _fence: number, { text }: { text: string }) => {
      if (state.isDown) return Promise.reject(new Error('no answer'));
      if (!state.isMine) return Promise.resolve(null);
      told.push(readMessage(text));
      return Promise.resolve(2);
    },
  };
  const parts = {
    ...{ bus, key: 't', keep: 10, room: new PublishingRoom(1_000), counts: createFeedCounts() },
    ...{ request: { topic: { channel: 'trades' } }, monotonic: () => state.now, now: () => 0 },
    timers: { after: () => () => undefined },
    unsettled: () => (state.unsettled += 1),
  } as unknown as SharedFeedParts;
  const hold = { fence: 2, top: null, pending: [] };
  const ownership = new Ownership(parts, hold, () => (state.fenced += 1));
  const check = (): void => ownership.check({ at: state.now, isIn: true, leases: state.leases });
  return { state, told, ownership, check };
};
const settle = () => new Promise((resolve) => setImmediate(resolve));
const status = (detail: string) => ({ kind: 'status', status: { state: 'live', detail, at: 0 } }) as const;

test('what could not be told is told once the bus answers: each loss, and the latest status', async () => {
  const { state, told, ownership, check } = rig();
  state.isDown = true;
  ownership.tell(status('first'), true);
  ownership.tell({ kind: 'loss', loss: { count: 3 } });
  ownership.tell(status('second'), true);
  await settle();
  expect(told).toEqual([]);
  // Else it might be a second until it is looked at again.
  expect(state.unsettled).toBeGreaterThan(0);
  state.isDown = false;
  check();
  await settle();
  expect(told).toEqual([{ kind: 'loss', loss: { count: 3 } }, status('second')]);
});

test('an owner of a quiet topic asks whether it still has it when its lease began anew, and twice a minute', async () => {
  const { state, told, check } = rig();
  check();
  state.now = 20_000;
  check();
  await settle();
  expect(told).toEqual([]);
  state.now = 31_000;
  check();
  await settle();
  expect(told).toHaveLength(1);
  state.isMine = false;
  state.leases += 1;
  check();
  await settle();
  expect(state.fenced).toBe(1);
});

test('a lease that began anew before an owner was looked at for the first time is noticed', async () => {
  const { state, told, check } = rig();
  state.leases += 1;
  check();
  await settle();
  expect(told).toEqual([{ kind: 'top', id: '' }]);
});
