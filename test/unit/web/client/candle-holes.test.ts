import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ProblemError } from '../../../../web/client/rest.js';
import { latest, MARKET, read, reopen, settle, streamRig } from './fake-socket.js';

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

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

  test('are not read within the time that the server wants', async () => {
    const { stream, asked } = streamRig(() => {
      throw new ProblemError('The exchange cools down.', { status: 429, retryAfterMs: 60_000 });
    });
    const { events } = read(stream, TOPIC);
    latest().accept();
    latest().say(event(candle(60, true), candle(120, false)));
    await reopen();
    for (let count = 0; count < 3; count += 1) {
      latest().say(event(candle(180, false)));
      latest().say({ event_type: 'lost', ...TOPIC, from: 60, to: 120, timestamp: 1 });
      await settle();
    }
    expect(asked).toHaveLength(1);
    expect(events).toHaveLength(4);
    await vi.advanceTimersByTimeAsync(60_000);
    latest().say(event(candle(180, false)));
    await settle();
    expect(asked).toHaveLength(2);
    stream.close();
  });

  test('are read page by page, and again where the answer knows less than the event', async () => {
    const pages = [
      { candles: [candle(60, true), candle(120, true)], next_since: 180 },
      { candles: [candle(180, true), candle(240, false)] },
      { candles: [candle(240, true), candle(300, false)] },
    ];
    const { stream, asked } = streamRig(() => pages.shift() ?? {});
    const { events } = read(stream, TOPIC);
    latest().accept();
    latest().say(event(candle(60, true)));
    await reopen();
    latest().say(event(candle(300, false)));
    await settle();
    latest().say(event(candle(300, false)));
    await vi.advanceTimersByTimeAsync(1000);
    latest().say(event(candle(300, false)));
    await settle();
    expect(asked.map(({ query }) => (query as { since: number }).since)).toEqual([60, 180, 240]);
    expect(
      events.map((each) =>
        each.event_type === 'ohlcv' ? each.candles.map(({ timestamp }) => timestamp) : [],
      ),
    ).toEqual([[60], [60, 120], [180, 240], [300], [300], [240, 300], [300]]);
    stream.close();
  });

  test('are read again where the server says that some are lost', async () => {
    const { stream, asked } = streamRig(() => ({ candles: [candle(60, true), candle(120, false)] }));
    const { events } = read(stream, TOPIC);
    latest().accept();
    latest().say({ event_type: 'lost', ...TOPIC, count: 1, timestamp: 1 });
    latest().say(event(candle(120, false)));
    latest().say({ event_type: 'lost', ...TOPIC, from: 60, to: 120, timestamp: 1 });
    await settle();
    expect(asked).toMatchObject([{ query: { since: 60 } }]);
    expect(events).toHaveLength(2);
    stream.close();
  });
});
