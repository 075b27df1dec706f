/** Trades that come by several ways are shown once each, and none behind a later one. */
import { expect, test } from 'vitest';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import { TradesState } from '../../../src/streams/channels/sequence-state.js';
import type { ItemOrigin } from '../../../src/streams/channels/channel-state.js';

const FEED: ItemOrigin = { via: 'feed', timed: true, receivedAt: 0 };
/** What another server has published, beside this one's own feed. */
const PUBLISHED: ItemOrigin = { ...FEED, via: 'rest', seam: true };

/** Ids that are shown; each trade's time is its id. */
const show = (state: TradesState, origin: ItemOrigin, ...ids: number[]): number[] => {
  const trades = ids.map((id) => ({ trade_id: String(id), timestamp: id, price: 1, amount: 1, side: null }));
  const judged = state.accept({ channel: 'trades', trades } satisfies StreamItem, origin);
  if (typeof judged === 'string' || judged.channel !== 'trades') return [];
  return judged.trades.map(({ trade_id: id }) => Number(id));
};

test('a feed that is behind what another server published shows nothing behind it, however many items it is late', () => {
  const state = new TradesState();
  expect(show(state, FEED, 1, 2, 3)).toEqual([1, 2, 3]);
  expect(show(state, PUBLISHED, 7, 8)).toEqual([7, 8]);
  expect(show(state, FEED, 4)).toEqual([]);
  expect(show(state, FEED, 5)).toEqual([]);
  expect(show(state, FEED, 6, 7, 8, 9)).toEqual([9]);
  expect(state.takeLost()).toBe(3);
  expect(show(state, FEED, 10)).toEqual([10]);
  expect(state.takeLost()).toBe(0);
});

test('the order of a feed is that of the exchange, where nothing else has shown more', () => {
  const state = new TradesState();
  expect(show(state, FEED, 1, 3)).toEqual([1, 3]);
  expect(show(state, FEED, 2)).toEqual([2]);
  expect(state.takeLost()).toBe(0);
});
