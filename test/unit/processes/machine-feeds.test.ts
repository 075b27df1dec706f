/** The feeds of all processes of a server, as one of them tells of them. */
import { expect, test } from 'vitest';
import { MachineFeeds, type Feeds } from '../../../src/processes/machine-feeds.js';

const feed = (symbol: string, owner?: string, reconnects = 0): Feeds[number] => ({
  ...{ topic: { channel: 'ticker', exchange: 'binance', symbol }, state: 'live', subscribers: 1 },
  ...{ lastItemAt: 1, reconnects, owner },
});

const start = () => {
  const state = { at: 0, asked: 0, others: [] as Feeds, fails: false };
  const feeds = new MachineFeeds({
    monotonic: () => state.at,
    processes: new Set(['1', '2']),
    ask: () => {
      state.asked += 1;
      return state.fails ? Promise.reject(new Error('busy')) : Promise.resolve(state.others);
    },
  });
  const symbols = (own: Feeds) => feeds.withOthers(own).map(({ topic }) => topic.symbol);
  return { state, feeds, symbols };
};

test('each topic is told once, as its owner has it, and what a process holds is this server’s', async () => {
  const { state, feeds } = start();
  state.others = [feed('A', '2', 7), feed('B', 'far'), feed('A', '2', 0), feed('C', '1')];
  await feeds.refresh();
  const all = feeds.withOthers([feed('A', '2'), feed('C')]);
  expect(all).toEqual([feed('A', undefined, 7), feed('C'), feed('B', 'far')]);
});

test('what the others have is asked for twice a second at most, and what they said last counts where they are busy', async () => {
  const { state, feeds, symbols } = start();
  state.others = [feed('B', '2')];
  await Promise.all([feeds.refresh(), feeds.refresh()]);
  await feeds.refresh();
  expect([symbols([]), state.asked]).toEqual([['B'], 1]);
  state.at = 600;
  state.fails = true;
  await feeds.refresh();
  expect([symbols([]), state.asked]).toEqual([['B'], 2]);
});
