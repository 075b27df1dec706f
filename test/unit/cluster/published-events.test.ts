/** What a server that takes a topic over tells of what the bus keeps of it and does not give. */
import { expect, test, vi } from 'vitest';
import { createFeedCounts, type SharedFeedParts } from '../../../src/cluster/feeds/feed-parts.js';
import { PublishedEvents } from '../../../src/cluster/feeds/published-events.js';
import { NamedTimers } from '../../../src/lib/timers.js';

const rig = (channel: 'trades' | 'ticker') => {
  const onLoss = vi.fn();
  const parts = {
    ...{ key: 't', counts: createFeedCounts(), timers: { after: () => () => undefined } },
    bus: { history: () => Promise.reject(new Error('late')) },
    request: { topic: { channel }, listener: { ready: true, onLoss } },
  } as unknown as SharedFeedParts;
  const hooks = { isFollowing: () => true, show: vi.fn(), onRepaired: vi.fn() };
  return { onLoss, events: new PublishedEvents(parts, new NamedTimers(parts.timers), hooks) };
};

test.each([
  { channel: 'trades', lastId: '7-3', top: '7-9', losses: 1 },
  // Nothing was published behind the latest event.
  { channel: 'trades', lastId: '7-3', top: '7-3', losses: 0 },
  // Nothing was shown yet that something could be missing behind.
  { channel: 'trades', lastId: null, top: '7-9', losses: 0 },
  // The next ticker has all that counts.
  { channel: 'ticker', lastId: '7-3', top: '7-9', losses: 0 },
] as const)(
  'of $channel, behind $lastId up to $top, it tells $losses losses',
  async ({ channel, lastId, top, losses }) => {
    const { onLoss, events } = rig(channel);
    events.lastId = lastId;
    await events.catchUp(top);
    expect(onLoss.mock.calls).toEqual(Array.from({ length: losses }, () => [{ count: undefined }]));
  },
);
