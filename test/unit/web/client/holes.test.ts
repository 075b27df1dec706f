// What is missing after a break, or at all: fetched, or counted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ProblemError } from '../../../../web/client/rest.js';
import type { Trade } from '../../../../web/client/types.js';
import {
  latest,
  MARKET,
  numbers,
  range,
  read,
  reopen,
  settle,
  streamRig,
  trade,
  TRADES,
  tradesEvent,
} from './fake-socket.js';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

describe('trades after a break', () => {
  test('are not repeated where the first ones reach what was delivered', async () => {
    const { stream, asked } = streamRig();
    const { ids, states } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 5)));
    await reopen();
    latest().say(tradesEvent(range(3, 8)));
    expect(ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(asked).toEqual([]);
    expect(states.at(-1)!.missed).toBe(0);
    stream.close();
  });

  test('are fetched where there is a hole, before those that came meanwhile', async () => {
    const { stream, asked } = streamRig(() => ({ ...MARKET, trades: range(4, 22) }));
    const { ids, states } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 5)));
    await reopen();
    latest().say(tradesEvent(range(15, 20)));
    latest().say(tradesEvent(range(21, 24)));
    await settle();
    expect(ids()).toEqual(range(1, 24).map(({ timestamp }) => timestamp));
    expect(asked).toEqual([{ path: '/v1/markets/trades', query: { ...MARKET, limit: 1000 } }]);
    expect(states.at(-1)!.missed).toBe(0);
    stream.close();
  });

  test.each([
    ['REST does not reach back', () => ({ ...MARKET, trades: range(12, 20) }), 6],
    [
      'REST fails',
      () => {
        throw new Error('no');
      },
      9,
    ],
  ])('are counted as missed where %s', async (_why, answer, missed) => {
    const { stream } = streamRig(answer);
    const { states, ids } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 5)));
    await reopen();
    latest().say(tradesEvent(range(15, 20)));
    await settle();
    expect(states.at(-1)!.missed).toBe(missed);
    expect(ids().at(-1)).toBe(20);
    stream.close();
  });

  test('are not asked for within the time that the server wants', async () => {
    const { stream, asked } = streamRig(() => {
      throw new ProblemError('The exchange cools down.', { status: 429, retryAfterMs: 60_000 });
    });
    const { states } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 5)));
    await reopen();
    latest().say(tradesEvent(range(15, 20)));
    await settle();
    latest().say(tradesEvent(range(22, 23)));
    await settle();
    expect(states.at(-1)!.missed).toBe(10);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(60_000);
    latest().say(tradesEvent(range(25, 26)));
    await settle();
    expect(asked).toHaveLength(2);
    stream.close();
  });

  test('without ids are told apart by what they say', async () => {
    const { stream } = streamRig();
    const { events } = read(stream);
    latest().accept();
    latest().say(tradesEvent([trade(null, 1), trade(null, 2), trade(null, 2)]));
    await reopen();
    latest().say(tradesEvent([trade(null, 2), trade(null, 2), trade(null, 3)]));
    expect(events.map((event) => (event.event_type === 'trades' ? event.trades.length : 0))).toEqual([3, 1]);
    stream.close();
  });

  test('that the server says are lost are fetched, and what REST has not is missed', async () => {
    const { stream } = streamRig(() => ({ ...MARKET, trades: range(4, 8) }));
    const { ids, states } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 5)));
    latest().say({ event_type: 'lost', ...TRADES, count: 5, timestamp: 1 });
    await settle();
    expect(ids()).toEqual(numbers(1, 8));
    latest().say(tradesEvent(range(11, 12)));
    await vi.advanceTimersByTimeAsync(3000);
    expect(ids()).toEqual([...numbers(1, 8), 11, 12]);
    expect(states.at(-1)!.missed).toBe(2);
    stream.close();
  });

  test('are asked for once more where the answer ends before the event, and none is from before the subscription', async () => {
    let until = 8;
    const { stream, asked } = streamRig(() => ({ ...MARKET, trades: range(1, until) }));
    const { ids, states } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(5, 7)));
    await reopen();
    latest().say(tradesEvent(range(12, 13)));
    await settle();
    expect(ids()).toEqual(numbers(5, 8));
    until = 12;
    await vi.advanceTimersByTimeAsync(1100);
    expect(ids()).toEqual(numbers(5, 13));
    expect(asked).toHaveLength(2);
    expect(states.at(-1)!.missed).toBe(0);
    stream.close();
  });

  test('are all there where a second break comes while REST is asked', async () => {
    const answers: ((trades: Trade[]) => void)[] = [];
    const { stream } = streamRig(
      () => new Promise((resolve) => answers.push((trades) => resolve({ ...MARKET, trades }))),
    );
    const { ids, states } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 5)));
    await reopen();
    latest().say(tradesEvent(range(15, 20)));
    await reopen();
    latest().say(tradesEvent(range(41, 42)));
    answers.shift()!(range(4, 20));
    await settle();
    // So many were lost in the second break that REST has not all of them.
    answers.shift()!(range(31, 42));
    await settle();
    expect(ids()).toEqual([...numbers(1, 20), ...numbers(31, 42)]);
    expect(states.at(-1)!.missed).toBe(10);
    stream.close();
  });
});

describe('trades without a break', () => {
  test('whose numbers skip some are completed, though nobody has told of a loss', async () => {
    const { stream } = streamRig(() => ({ ...MARKET, trades: range(1, 9) }));
    const { ids } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 3)));
    latest().say(tradesEvent(range(7, 9)));
    await settle();
    expect(ids()).toEqual(numbers(1, 9));
    stream.close();
  });

  test('of a venue whose numbers skip some by themselves are asked for once', async () => {
    const some = (...ids: number[]) => ids.map((id) => trade(id));
    const { stream, asked } = streamRig(() => ({ ...MARKET, trades: some(1, 2, 7, 19) }));
    const { ids, states } = read(stream);
    latest().accept();
    for (const event of [some(1, 2), some(7), some(19), some(33), some(40, 41), some(50)])
      latest().say(tradesEvent(event));
    await settle();
    expect(ids()).toEqual([1, 2, 7, 19, 33, 40, 41, 50]);
    expect(asked).toHaveLength(1);
    expect(states.at(-1)!.missed).toBe(0);
    stream.close();
  });

  test('and without ids are all shown, alike or not', async () => {
    const { stream } = streamRig();
    const { events } = read(stream);
    latest().accept();
    const [one, alike] = [trade(null, 1), trade(null, 1)];
    for (const event of [[one], [alike], [trade(null, 2)]]) latest().say(tradesEvent(event));
    await reopen();
    latest().say(tradesEvent([one, alike, trade(null, 2), trade(null, 2)]));
    expect(events.map((event) => (event.event_type === 'trades' ? event.trades.length : 0))).toEqual([
      1, 1, 1, 1,
    ]);
    stream.close();
  });

  test.each([
    { where: 'REST has them', listed: [1, 2, 3], loss: { count: 2 }, missed: 0 },
    { where: 'REST has some', listed: [1, 2], loss: { count: 3 }, missed: 2 },
    { where: 'REST begins later', listed: [5, 6], loss: { count: 2 }, missed: 1 },
    { where: 'the server has asked REST itself', listed: [], loss: { from: 1, to: 5 }, missed: 1 },
  ])('and without ids that the server lost are counted where $where', async ({ listed, loss, missed }) => {
    const { stream } = streamRig(() => ({ ...MARKET, trades: listed.map((at) => trade(null, at)) }));
    const { states } = read(stream);
    latest().accept();
    latest().say(tradesEvent([trade(null, 1)]));
    latest().say({ event_type: 'lost', ...TRADES, ...loss, timestamp: 1 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(states.at(-1)!.missed).toBe(missed);
    stream.close();
  });

  test('and without ids are compared with REST once their feed has come back', async () => {
    const { stream, asked } = streamRig(() => ({
      ...MARKET,
      trades: [1, 2, 3].map((at) => trade(null, at)),
    }));
    const { events } = read(stream);
    const status = (state: string) => latest().say({ event_type: 'status', ...TRADES, state });
    latest().accept();
    latest().say(tradesEvent([trade(null, 1)]));
    status('reconnecting');
    status('live');
    latest().say(tradesEvent([trade(null, 3)]));
    await settle();
    expect(events.flatMap((event) => (event.event_type === 'trades' ? event.trades : []))).toHaveLength(3);
    expect(asked).toHaveLength(1);
    stream.close();
  });
});

describe('a client that comes back names its latest event', () => {
  const said = (id: string, trades: readonly Trade[]) => ({ ...tradesEvent(trades), id });
  const status = (resumed: string) => ({
    ...{ event_type: 'status', channel: 'trades', ...MARKET, state: 'live' },
    resumed,
  });
  const subscribed = () => latest().sent.find(({ method }) => method === 'subscribe')!['params'];

  test('what the server knows completely is not fetched, even where nothing else would tell', async () => {
    const { stream, asked } = streamRig();
    const { events, states } = read(stream);
    latest().accept();
    expect(subscribed()).not.toHaveProperty('since');
    latest().say(said('u1.7', [trade(null, 1), trade(null, 2)]));
    await reopen();
    expect(subscribed()).toEqual({ ...TRADES, since: 'u1.7' });
    latest().say(status('complete'));
    // Of the same values as one before, which is another trade.
    latest().say(said('u1.8', [{ ...trade(null, 2) }, trade(null, 9)]));
    await settle();
    expect(events.flatMap((event) => (event.event_type === 'trades' ? event.trades : []))).toHaveLength(4);
    expect(asked).toEqual([]);
    expect(states.at(-1)).toMatchObject({ state: 'live', missed: 0 });
    await reopen();
    expect(subscribed()).toMatchObject({ since: 'u1.8' });
    stream.close();
  });

  test('what the server has lost of it is fetched before the rest', async () => {
    const { stream, asked } = streamRig(() => ({ ...MARKET, trades: range(1, 9) }));
    const { ids, states } = read(stream);
    latest().accept();
    latest().say(said('u1.7', range(1, 5)));
    await reopen();
    latest().say(status('partial'));
    latest().say({ event_type: 'lost', channel: 'trades', ...MARKET, count: 2 });
    latest().say(said('u1.9', range(8, 12)));
    await settle();
    expect(ids()).toEqual(numbers(1, 12));
    expect(asked).toHaveLength(1);
    expect(states.at(-1)!.missed).toBe(0);
    stream.close();
  });

  test('where it knows no such event, what is missing is fetched as ever', async () => {
    const { stream, asked } = streamRig(() => ({ ...MARKET, trades: range(1, 9) }));
    const { ids } = read(stream);
    latest().accept();
    latest().say(said('u1.7', range(1, 5)));
    await reopen();
    latest().say(status('none'));
    latest().say(said('u2.1', range(8, 12)));
    await settle();
    expect(ids()).toEqual(numbers(1, 12));
    expect(asked).toHaveLength(1);
    await reopen();
    expect(subscribed()).toMatchObject({ since: 'u2.1' });
    stream.close();
  });

  test('a doubt from before the break stays, whatever the server knows of what came after it', async () => {
    const { stream, asked } = streamRig(() => ({ ...MARKET, trades: [trade(null, 1), trade(null, 3)] }));
    const { events } = read(stream);
    latest().accept();
    latest().say(said('u1.7', [trade(null, 1)]));
    const feed = { event_type: 'status', channel: 'trades', ...MARKET };
    latest().say({ ...feed, state: 'reconnecting' });
    latest().say({ ...feed, state: 'live' });
    await reopen();
    latest().say(status('complete'));
    latest().say(said('u1.8', [trade(null, 5)]));
    await settle();
    expect(asked).not.toEqual([]);
    expect(events.length).toBeGreaterThan(1);
    stream.close();
  });

  test('candles that the server knows completely are not read again', async () => {
    const { stream, asked } = streamRig(() => ({ ...MARKET, interval: '1m', candles: [] }));
    const topic = { channel: 'ohlcv', ...MARKET, interval: '1m' } as const;
    const { events } = read(stream, topic);
    const candle = (timestamp: number) => ({
      ...{ timestamp, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true },
    });
    const candles = (id: string, at: number) => ({
      event_type: 'ohlcv',
      ...topic,
      id,
      candles: [candle(at)],
    });
    latest().accept();
    latest().say(candles('u1.7', 60_000));
    await reopen();
    expect(subscribed()).toEqual({ ...topic, since: 'u1.7' });
    latest().say({ ...status('complete'), channel: 'ohlcv', interval: '1m' });
    latest().say(candles('u1.8', 120_000));
    await settle();
    expect([events.length, asked]).toEqual([2, []]);
    stream.close();
  });
});
