/** Trades, order books and candles. */
import type { SubscribeRequest } from '../../../src/streams/hub-api.js';
import { beforeEach, describe, expect, it } from 'vitest';
import * as schemas from '../../../src/schemas/stream.js';
import { START, candle, idOf, settle, trade } from './fakes.js';
import { LINGER_MS, time, venue, market, ticker, join, startHub } from './rig.js';

beforeEach(() => {
  startHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
});

describe('other channels', () => {
  const of = (channel: 'trades' | 'orderbook' | 'ohlcv'): SubscribeRequest =>
    ticker({
      topic: {
        channel,
        exchange: 'binance',
        symbol: 'BTC/USDT',
        ...(channel === 'ohlcv' ? { interval: '1m' } : {}),
      },
    });

  it('send every trade once, oldest first, none of them replaceable', async () => {
    market.answer = { trades: [trade('1', START - 2), trade('2', START - 1)] };
    venue.answer = market.answer;
    const { client } = await join(of('trades'));
    venue.say({ channel: 'trades', trades: [trade('2', START - 1), trade('3', START)] });
    await settle();
    const events = client.ofType('trades');
    expect(events.map(({ trades }) => (trades as { trade_id: string }[]).map((one) => one.trade_id))).toEqual(
      [['1', '2'], ['3']],
    );
    expect(schemas.tradesEvent.parse(events[0])).toEqual(events[0]);
    expect(client.received[0]?.conflationKey).toBeNull();
    expect(client.ofType('status')[0]).toMatchObject({ channel: 'trades' });
  });

  it('have an empty first event where nothing was traded yet', async () => {
    market.answer = { trades: [] };
    const { client } = await join(of('trades'));
    expect(client.ofType('trades')).toMatchObject([{ trades: [] }]);
  });

  it('send the book when its top changes, at most every 100 ms, the latest of those in between', async () => {
    const book = (price: number, timestamp: number) => ({
      bids: [{ price, amount: 1 }],
      asks: [{ price: price + 1, amount: 1 }],
      timestamp,
    });
    market.answer = book(100, START - 10);
    const { client } = await join(of('orderbook'));
    venue.say({ channel: 'orderbook', ...book(100, START) });
    for (let step = 1; step <= 9; step += 1) {
      await time.advance(20);
      venue.say({ channel: 'orderbook', ...book(100 + step, START + step * 20) });
    }
    await time.advance(100);
    const events = client.ofType('orderbook');
    const best = events.map(({ bids }) => (bids as { price: number }[])[0]?.price);
    expect(best).toEqual([100, 104, 109]);
    expect(schemas.orderBookEvent.parse(events[0])).toEqual(events[0]);
    expect(client.received[0]?.conflationKey).toBe(client.received.at(-1)?.conflationKey);
  });

  it('send candles as they change, and once more as closed when the next begins', async () => {
    const minute = 60_000;
    market.answer = { candles: [candle(START - minute, 5, { closed: true }), candle(START, 1)] };
    venue.answer = market.answer;
    const { client } = await join(of('ohlcv'));
    venue.say({ channel: 'ohlcv', candles: [candle(START, 2)] });
    venue.say({ channel: 'ohlcv', candles: [candle(START + minute, 3)] });
    await settle();
    const events = client.ofType('ohlcv');
    expect(events.map(({ candles }) => candles)).toEqual([
      [candle(START - minute, 5, { closed: true }), candle(START, 1)],
      [candle(START, 2)],
      [candle(START, 2, { closed: true }), candle(START + minute, 3)],
    ]);
    expect(schemas.ohlcvEvent.parse(events[0])).toEqual(events[0]);
    expect(client.ofType('status')[0]).toMatchObject({ channel: 'ohlcv', interval: '1m' });
    const keys = client.received.filter(({ type }) => type === 'ohlcv').map((event) => event.conflationKey);
    expect(keys).toEqual([null, `ohlcv binance BTC/USDT 1m ${START}`, null]);
  });

  it('skip the first event for a client that has seen it', async () => {
    market.answer = { trades: [trade('1', START - 2)] };
    const { client } = await join(of('trades'));
    const { client: resumed } = await join({ ...of('trades'), lastEventId: idOf(client.received[0]) });
    expect(resumed.ofType('trades')).toEqual([]);
  });
});
