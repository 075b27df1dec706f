import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { StreamClient } from '../../../../web/client/stream.js';
import type { TopicState } from '../../../../web/client/topic.js';
import type { StreamEvent, Trade } from '../../../../web/client/types.js';
import { FakeSocket, latest, streamRig } from './fake-socket.js';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

const MARKET = { exchange: 'binance', symbol: 'BTC/USDT' };
const TRADES = { channel: 'trades', ...MARKET } as const;
const trade = (id: number | null, timestamp = Number(id)): Trade => ({
  trade_id: id === null ? null : String(id),
  timestamp,
  price: 1,
  amount: 1,
  side: 'buy',
});
const range = (from: number, to: number): Trade[] =>
  Array.from({ length: to - from + 1 }, (_, index) => trade(from + index));
const tradesEvent = (trades: readonly Trade[]) => ({ event_type: 'trades', ...MARKET, trades });
const settle = () => vi.advanceTimersByTimeAsync(0);

const read = (stream: StreamClient, topic: Parameters<StreamClient['subscribe']>[0] = TRADES) => {
  const events: StreamEvent[] = [];
  const states: TopicState[] = [];
  const subscription = stream.subscribe(topic, {
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
  });
  const ids = () =>
    events
      .flatMap((event) => (event.event_type === 'trades' ? event.trades : []))
      .map(({ trade_id }) => Number(trade_id));
  return { events, states, ids, ...subscription };
};

/** Loses the socket and lets the next one be accepted. */
const reopen = async (code = 1006): Promise<void> => {
  latest().drop(code);
  await vi.advanceTimersByTimeAsync(31_000);
  latest().accept();
};

describe('the socket of a client', () => {
  test('is one for all subscriptions, speaks the credential first, and ends with the last of them', () => {
    const { stream } = streamRig(undefined, 'secret');
    const [one, two, other] = [read(stream), read(stream), read(stream, { ...TRADES, channel: 'ticker' })];
    latest().accept();
    expect(FakeSocket.opened).toHaveLength(1);
    expect(latest().url).toBe('ws://server.example/prefix/ws');
    expect(latest().sent.map(({ method }) => method)).toEqual(['auth', 'subscribe', 'subscribe']);
    one.unsubscribe();
    one.unsubscribe();
    other.unsubscribe();
    expect(latest().isClosed).toBe(false);
    two.unsubscribe();
    expect(latest().isClosed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    [1006, 751],
    [1012, 751],
    [1013, 3251],
  ])('comes back after %i within its jitter', async (code, within) => {
    const { stream } = streamRig();
    const { states } = read(stream);
    latest().accept();
    latest().drop(code);
    expect(states.at(-1)!.state).toBe('disconnected');
    await vi.advanceTimersByTimeAsync(within - 2);
    expect(FakeSocket.opened).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2);
    expect(FakeSocket.opened).toHaveLength(2);
    latest().accept();
    expect(latest().sent).toMatchObject([{ method: 'subscribe', params: TRADES }]);
    stream.close();
  });

  test('waits longer after each refusal, and is not opened again after 1008', async () => {
    const { stream } = streamRig();
    const { states } = read(stream);
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt += 1) {
      latest().drop();
      const at = Date.now();
      await vi.advanceTimersToNextTimerAsync();
      while (FakeSocket.opened.length < attempt + 2) await vi.advanceTimersToNextTimerAsync();
      waits.push(Date.now() - at);
    }
    expect(waits).toEqual([750, 1000, 1500, 2500, 4500, 8500, 15_500, 15_500, 15_500]);
    latest().drop(1008);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(FakeSocket.opened).toHaveLength(10);
    expect(states.at(-1)!.state).toBe('failed');
    stream.close();
  });

  test('that says nothing is asked for a sign of life, then given up', async () => {
    const { stream } = streamRig();
    const { states } = read(stream);
    latest().accept();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(latest().pings.at(-1)).toMatchObject({ method: 'ping' });
    expect(states.at(-1)!.state).toBe('connecting');
    await vi.advanceTimersByTimeAsync(5000);
    expect(FakeSocket.opened[0]!.isClosed).toBe(true);
    expect(states.at(-1)!.state).toBe('disconnected');
    stream.close();
  });

  test('is told no more than 20 messages a second', async () => {
    const { stream } = streamRig();
    for (let index = 0; index < 50; index += 1) read(stream, { ...TRADES, symbol: `A${index}/USDT` });
    latest().accept();
    expect(latest().sent.length).toBeLessThanOrEqual(21);
    await vi.advanceTimersByTimeAsync(3000);
    expect(latest().sent.length).toBe(50);
    stream.close();
  });
});

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
    expect(ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(states.at(-1)!.missed).toBe(2);
    stream.close();
  });
});

describe('candles after a break', () => {
  const candle = (timestamp: number, closed: boolean) => ({
    ...{ timestamp, closed, open: 1, high: 1, low: 1, close: 1, volume: 1 },
  });
  const event = (...candles: object[]) => ({ event_type: 'ohlcv', ...MARKET, interval: '1m', candles });
  const TOPIC = { channel: 'ohlcv', ...MARKET, interval: '1m' } as const;

  test('are read again from the last closed one; a failure is made good with the next event', async () => {
    let works = false;
    const { stream, asked } = streamRig(() => {
      if (!works) throw new Error('no');
      return { candles: [candle(60, true), candle(120, true), candle(180, false)] };
    });
    const { events } = read(stream, TOPIC);
    latest().accept();
    latest().say(event(candle(60, true), candle(120, false)));
    await reopen();
    latest().say(event(candle(180, false)));
    await settle();
    works = true;
    latest().say(event(candle(180, false)));
    await settle();
    expect(asked.map(({ query }) => query)).toEqual(
      Array(2).fill({ ...MARKET, interval: '1m', since: 60, limit: 2000 }),
    );
    expect(
      events.map((each) =>
        each.event_type === 'ohlcv' ? each.candles.map(({ timestamp }) => timestamp) : [],
      ),
    ).toEqual([[60, 120], [180], [60, 120, 180], [180]]);
    stream.close();
  });
});

describe('a reader', () => {
  test('is told the state of its feed and the age of the latest event, also where the symbol is spelled otherwise', async () => {
    const { stream } = streamRig();
    const { states, events } = read(stream, { ...MARKET, channel: 'ticker', symbol: 'btc-usdt' });
    latest().accept();
    latest().say({ event_type: 'ticker', ...MARKET, last: 1 });
    latest().say({ event_type: 'status', ...MARKET, state: 'stale' });
    expect(events).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(3000);
    expect(states.at(-1)).toEqual({ state: 'stale', age: 3000, missed: 0, error: undefined });
    const late = read(stream, { ...MARKET, channel: 'ticker', symbol: 'btc-usdt' });
    expect(late.events).toEqual(events);
    stream.close();
  });

  test('of a refused subscription is told why; one that may be tried again is', async () => {
    const { stream } = streamRig();
    const { states } = read(stream);
    latest().accept();
    const [{ req_id }] = latest().sent as [{ req_id: string }];
    const refuse = (problem: object) =>
      latest().say({ event_type: 'reply', method: 'subscribe', req_id, success: false, problem });
    refuse({ code: 'overloaded', status: 503, retryable: true, retry_after_ms: 2000, detail: 'Later.' });
    await vi.advanceTimersByTimeAsync(2000);
    expect(latest().sent).toHaveLength(2);
    refuse({ code: 'symbol_not_found', status: 400, retryable: false, detail: 'None.' });
    expect(states.at(-1)).toMatchObject({
      state: 'failed',
      error: { code: 'symbol_not_found', status: 400 },
    });
    stream.close();
  });

  test('that iterates gets each event, and the end with the client', async () => {
    const { stream } = streamRig();
    const iterator = stream.iterate({ channel: 'health' });
    latest().accept();
    const next = iterator.next();
    latest().say({ event_type: 'health', version: '1' });
    expect((await next).value).toMatchObject({ version: '1' });
    const last = iterator.next();
    stream.close();
    expect(await last).toEqual({ done: true, value: undefined });
    expect(vi.getTimerCount()).toBe(0);
    expect(() => stream.iterate({ channel: 'health' })).toThrow('closed');
  });

  test('that iterates over what is refused is told so', async () => {
    const { stream } = streamRig();
    const iterator = stream.iterate(TRADES);
    latest().accept();
    const next = iterator.next();
    latest().drop(1008);
    await expect(next).rejects.toThrow('refused');
  });

  test('without a WebSocket is told where to get one', () => {
    const none = {
      url: 'http://x',
      WebSocket: undefined,
      rest: (() => undefined) as never,
      random: () => 0,
      now: () => 0,
    };
    expect(() => new StreamClient(none).subscribe(TRADES, { onEvent: () => undefined })).toThrow(
      'package ws',
    );
  });

  test('has at most 200 topics', () => {
    const { stream } = streamRig();
    for (let index = 0; index < 200; index += 1) read(stream, { ...TRADES, symbol: `A${index}/USDT` });
    expect(() => read(stream)).toThrow('200');
    stream.close();
  });
});
