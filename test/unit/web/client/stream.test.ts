import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createClient } from '../../../../web/client/client.js';
import type { StreamEvent } from '../../../../web/client/types.js';
import { FakeSocket, latest, MARKET, range, read, streamRig, TRADES, tradesEvent } from './fake-socket.js';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

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

describe('a reader', () => {
  test('is told the state of its feed and the age of the latest event, also where the symbol is spelled otherwise', async () => {
    const { stream } = streamRig();
    const { states, events } = read(stream, { ...MARKET, channel: 'ticker', symbol: 'btc-usdt' });
    latest().accept();
    const [{ req_id }] = latest().sent as [{ req_id: number }];
    latest().say({
      event_type: 'reply',
      method: 'subscribe',
      req_id,
      success: true,
      channel: 'ticker',
      ...MARKET,
    });
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
    let req_id = latest().sent.at(-1)!['req_id'];
    const refuse = (problem: object) =>
      latest().say({ event_type: 'reply', method: 'subscribe', req_id, success: false, problem });
    refuse({ code: 'overloaded', status: 503, retryable: true, retry_after_ms: 2000, detail: 'Later.' });
    await vi.advanceTimersByTimeAsync(2000);
    expect(latest().sent).toHaveLength(2);
    req_id = latest().sent.at(-1)!['req_id'];
    refuse({ code: 'symbol_not_found', status: 400, retryable: false, detail: 'None.' });
    expect(states.at(-1)).toMatchObject({
      state: 'failed',
      error: { code: 'symbol_not_found', status: 400 },
    });
    stream.close();
  });

  test('without a WebSocket is told where to get one', () => {
    vi.stubGlobal('WebSocket', undefined);
    const { stream } = createClient({ url: 'http://server.example' });
    expect(() => stream.subscribe(TRADES, { onEvent: () => undefined })).toThrow('package ws');
    expect(() => stream.iterate(TRADES)).toThrow('package ws');
    expect(vi.getTimerCount()).toBe(0);
    vi.unstubAllGlobals();
  });

  test('has at most 200 topics', () => {
    const { stream } = streamRig();
    for (let index = 0; index < 200; index += 1) read(stream, { ...TRADES, symbol: `A${index}/USDT` });
    expect(() => read(stream)).toThrow('200');
    stream.close();
  });

  test('that throws is told so, and nobody else misses an event', () => {
    const thrown: (() => void)[] = [];
    vi.stubGlobal('queueMicrotask', (task: () => void) => thrown.push(task));
    const { stream } = streamRig();
    stream.subscribe(TRADES, {
      onEvent: () => {
        throw new Error('mine');
      },
    });
    const { ids } = read(stream);
    latest().accept();
    latest().say(tradesEvent(range(1, 2)));
    expect(ids()).toEqual([1, 2]);
    expect(thrown).toHaveLength(1);
    expect(thrown[0]).toThrow('mine');
    stream.close();
    vi.unstubAllGlobals();
  });

  test('that subscribes once more while it is told an event gets it once there too', () => {
    const { stream } = streamRig();
    const second: StreamEvent[] = [];
    const first = stream.subscribe(TRADES, {
      onEvent: () => {
        stream.subscribe(TRADES, { onEvent: (event) => second.push(event) });
        first.unsubscribe();
      },
    });
    latest().accept();
    latest().say(tradesEvent(range(1, 2)));
    expect(second).toHaveLength(1);
    expect(latest().isClosed).toBe(false);
    stream.close();
  });

  test('under another spelling shares the topic of the server, which ends with the last of both', () => {
    const { stream } = streamRig();
    const [one, two] = [read(stream), read(stream, { ...TRADES, symbol: 'btc-usdt' })];
    latest().accept();
    for (const { req_id } of latest().sent)
      latest().say({ event_type: 'reply', method: 'subscribe', req_id, success: true, ...TRADES });
    latest().say(tradesEvent(range(1, 2)));
    expect([one.ids(), two.ids()]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    read(stream, { channel: 'health' });
    one.unsubscribe();
    latest().say(tradesEvent(range(3, 3)));
    expect([one.ids(), two.ids()]).toEqual([
      [1, 2],
      [1, 2, 3],
    ]);
    two.unsubscribe();
    expect(latest().sent.map(({ method }) => method)).toEqual([
      ...['subscribe', 'subscribe', 'subscribe', 'unsubscribe'],
    ]);
    stream.close();
  });

  test('that leaves during a break is not subscribed again, nor told anything after the end of the client', async () => {
    let answer: (body: object) => void = () => undefined;
    const { stream } = streamRig(() => new Promise((resolve) => (answer = resolve)));
    const [one, two] = [read(stream), read(stream, { ...TRADES, symbol: 'ETH/USDT' })];
    latest().accept();
    latest().say(tradesEvent(range(1, 2)));
    latest().drop();
    two.unsubscribe();
    await vi.advanceTimersByTimeAsync(31_000);
    latest().accept();
    expect(latest().sent).toMatchObject([{ method: 'subscribe', params: { symbol: 'BTC/USDT' } }]);
    latest().say(tradesEvent(range(8, 9)));
    const told = one.states.length;
    stream.close();
    stream.close();
    answer({ ...MARKET, trades: range(1, 9) });
    await vi.advanceTimersByTimeAsync(5000);
    one.unsubscribe();
    expect(one.ids()).toEqual([1, 2]);
    expect(one.states).toHaveLength(told);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ['the socket ends with 1008', { event_type: 'error', code: 'unauthorized', status: 401 }],
    [
      'its message is refused',
      { event_type: 'error', method: 'subscribe', code: 'unauthorized', status: 400 },
    ],
  ])('is told why where %s', (_when, error) => {
    const { stream } = streamRig();
    const { states } = read(stream);
    latest().accept();
    const [{ req_id }] = latest().sent as [{ req_id: number }];
    latest().say({ ...error, req_id, detail: 'No.', retryable: false });
    if (error.status === 401) latest().drop(1008);
    expect(states.at(-1)).toMatchObject({ state: 'failed', error: { code: 'unauthorized' } });
    stream.close();
  });
});
