/** One feed of a venue for several processes. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { StreamItem, StreamTopic, WatchSink } from '../../../src/exchanges/exchange-client.js';
import { createSharedWatches } from '../../../src/processes/shared-watches.js';

const TOPIC: StreamTopic = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' };
const item = (price: number): StreamItem => ({
  channel: 'trades',
  trades: [{ trade_id: String(price), timestamp: 1, price, amount: 1, side: null }],
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const start = () => {
  const opened: { readonly sink: WatchSink; closed: boolean }[] = [];
  const watches = createSharedWatches({
    watch(_topic, sink) {
      const feed = { sink, closed: false };
      opened.push(feed);
      return { close: () => (feed.closed = true) };
    },
  });
  const join = () => {
    const heard: unknown[] = [];
    const watch = watches.watch(TOPIC, {
      onSubscribed: (socket) => heard.push(socket),
      onItem: (got) => heard.push(got),
      onEnd: (error) => heard.push(error === null ? 'closed' : error.code),
    });
    return { watch, heard };
  };
  return { opened, join };
};

test('all who watch a topic share one feed, and who comes later gets its socket and its latest message first', async () => {
  const { opened, join } = start();
  const first = join();
  opened[0]?.sink.onSubscribed?.('socket');
  opened[0]?.sink.onItem(item(1));
  opened[0]?.sink.onItem(item(2));
  const second = join();
  await Promise.resolve();
  opened[0]?.sink.onItem(item(3));
  expect(opened).toHaveLength(1);
  expect(first.heard).toEqual(['socket', item(1), item(2), item(3)]);
  expect(second.heard).toEqual(['socket', item(2), item(3)]);
});

test('the feed is closed at once with the last who closes it, and its end is told to who is there', () => {
  const { opened, join } = start();
  const [first, second] = [join(), join()];
  first.watch.close();
  expect(first.heard).toEqual(['closed']);
  expect(opened[0]?.closed).toBe(false);
  second.watch.close();
  expect(opened[0]?.closed).toBe(true);
  const third = join();
  expect(opened).toHaveLength(2);
  opened[1]?.sink.onEnd(new AppError('upstream_unavailable', 'gone'));
  expect(third.heard).toEqual(['upstream_unavailable']);
  join();
  expect(opened).toHaveLength(3);
});

test('the feed of a process that has died is kept for who takes over, and closed where nobody does', () => {
  const { opened, join } = start();
  const first = join();
  first.watch.abandon();
  vi.advanceTimersByTime(2_000);
  const second = join();
  vi.advanceTimersByTime(10_000);
  expect(opened).toHaveLength(1);
  expect(opened[0]?.closed).toBe(false);
  expect(first.heard).toEqual([]);
  second.watch.abandon();
  vi.advanceTimersByTime(3_000);
  expect(opened[0]?.closed).toBe(true);
});
