/** A client that comes back with the id of its last event. */
import { beforeEach, describe, expect, it } from 'vitest';
import * as schemas from '../../../src/schemas/stream.js';
import { lostEvent } from '../../../src/schemas/stream-protocol.js';
import type { SubscribeRequest } from '../../../src/streams/hub-api.js';
import { candle, type FakeClient, idOf, settle, START, trade } from './fakes.js';
import { hub, join, LINGER_MS, market, restartHub, startHub, ticker, time, venue } from './rig.js';

const of = (channel: 'trades' | 'orderbook' | 'ohlcv', more: Partial<SubscribeRequest> = {}) =>
  ticker({
    topic: {
      channel,
      exchange: 'binance',
      symbol: 'BTC/USDT',
      ...(channel === 'ohlcv' ? { interval: '1m' } : {}),
    },
    ...more,
  });
const back = (channel: 'trades' | 'orderbook' | 'ohlcv', lastEventId: string | undefined) =>
  join(of(channel, { lastEventId }));
const tradesOf = (client: FakeClient): string[][] =>
  client.ofType('trades').map(({ trades }) => (trades as { trade_id: string }[]).map((one) => one.trade_id));
const typesOf = (client: FakeClient): unknown[] => client.events.map(({ event_type }) => event_type);

let traded = 0;
/** One event of so many trades. */
const sell = (count = 1): void => {
  const trades = Array.from({ length: count }, () => trade(`${(traded += 1)}`, START + traded));
  venue.say({ channel: 'trades', trades });
};

beforeEach(() => {
  startHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
  traded = 0;
});

describe('trades', () => {
  const openTrades = async () => {
    market.answer = { trades: [trade('0', START)] };
    venue.answer = market.answer;
    const joined = await join(of('trades'));
    sell();
    await settle();
    return joined;
  };

  it('go on behind the last event, under the ids that the others have seen, and nothing else comes first', async () => {
    const { client } = await openTrades();
    const seen = idOf(client.received.at(-1));
    sell(2);
    sell();
    const { client: resumed, subscription } = await back('trades', seen);
    expect(typesOf(resumed)).toEqual(['status', 'trades', 'trades']);
    expect(schemas.statusEvent.parse(resumed.events[0])).toMatchObject({
      resumed: 'complete',
      state: 'live',
    });
    expect(resumed.received.slice(1).map(idOf)).toEqual(client.received.slice(-2).map(idOf));
    expect(tradesOf(resumed)).toEqual([['2', '3'], ['4']]);
    expect(subscription.resumedAfter).toBe(seen);
    sell();
    expect(tradesOf(resumed).at(-1)).toEqual(['5']);
  });

  it('bring nothing where nothing came', async () => {
    const { client } = await openTrades();
    const { client: resumed } = await back('trades', idOf(client.received.at(-1)));
    expect(typesOf(resumed)).toEqual(['status']);
  });

  it('are told as lost by their number where more came than is remembered', async () => {
    const { client } = await openTrades();
    const seen = idOf(client.received.at(-1));
    sell(3);
    for (let event = 0; event < 64; event += 1) sell();
    const { client: resumed, subscription } = await back('trades', seen);
    expect(typesOf(resumed).slice(0, 3)).toEqual(['status', 'lost', 'trades']);
    expect(resumed.events[0]).toMatchObject({ resumed: 'partial' });
    expect(lostEvent.parse(resumed.events[1])).toMatchObject({ channel: 'trades', count: 3 });
    expect(tradesOf(resumed).flat()).toEqual(Array.from({ length: 64 }, (_, index) => `${index + 5}`));
    const ids = client.received.map(idOf);
    expect(subscription.resumedAfter).toBe(ids[ids.indexOf(seen) + 1]);
  });

  it('begin anew, and say so, for an id of another life, of another topic, or of nobody', async () => {
    const { client } = await openTrades();
    const other = await join(
      ticker({ topic: { channel: 'trades', exchange: 'binance', symbol: 'ETH/USDT' } }),
    );
    const foreign = idOf(other.client.received[0]);
    const before = idOf(client.received.at(-1));
    for (const id of [foreign, 'garbage', '', '1795350115200-42', `${before}0000`]) {
      const { client: resumed, subscription } = await back('trades', id);
      expect(resumed.events[0]).toMatchObject({ event_type: 'status', resumed: 'none' });
      expect(tradesOf(resumed)).toEqual([['0', '1']]);
      expect(subscription.resumedAfter).toBe('');
    }
    await time.advance(1);
    restartHub({ lingerMs: LINGER_MS });
    const { client: resumed } = await back('trades', before);
    expect(resumed.events[0]).toMatchObject({ resumed: 'none' });
  });

  it('that came to light too late stay lost for who was away when that was told', async () => {
    const { client } = await openTrades();
    const seen = idOf(client.received.at(-1));
    venue.break();
    await time.advance(2_000);
    venue.answer = { trades: [trade('early', START), trade('1', START + 1), trade('2', START + 2)] };
    sell(0);
    await time.advance(100);
    const { client: resumed } = await back('trades', seen);
    expect(client.ofType('lost')).toMatchObject([{ count: 1 }]);
    expect(resumed.ofType('lost')).toMatchObject([{ count: 1 }]);
    expect(resumed.events[0]).toMatchObject({ resumed: 'partial' });
  });
});

it('candles come as they are now, however often they changed meanwhile', async () => {
  const minute = 60_000;
  market.answer = { candles: [candle(START, 1)] };
  venue.answer = market.answer;
  const { client } = await join(of('ohlcv'));
  const seen = idOf(client.received[0]);
  for (let close = 2; close <= 100; close += 1)
    venue.say({ channel: 'ohlcv', candles: [candle(START, close)] });
  venue.say({ channel: 'ohlcv', candles: [candle(START + minute, 3)] });
  await settle();
  const { client: resumed } = await back('ohlcv', seen);
  expect(resumed.events[0]).toMatchObject({ resumed: 'complete', interval: '1m' });
  expect(resumed.ofType('ohlcv').map(({ candles }) => candles)).toEqual([
    [candle(START, 100)],
    [candle(START, 100, { closed: true }), candle(START + minute, 3)],
  ]);
});

it('of order books and tickers the latest follows, where it is a newer one', async () => {
  const levels = (price: number) => ({
    ...{ bids: [{ price, amount: 1 }], asks: [{ price: price + 1, amount: 1 }], timestamp: START },
  });
  market.answer = levels(1);
  const { client } = await join(of('orderbook'));
  const seen = idOf(client.received[0]);
  const same = await back('orderbook', seen);
  expect(typesOf(same.client)).toEqual(['status']);
  venue.say({ channel: 'orderbook', ...levels(2) });
  venue.say({ channel: 'orderbook', ...levels(3) });
  const newer = await back('orderbook', seen);
  expect(newer.client.events[0]).toMatchObject({ resumed: 'complete' });
  expect(newer.client.ofType('orderbook')).toMatchObject([levels(3)]);
  // The book that waits for its turn is the one that it has got already.
  await time.advance(100);
  expect(newer.client.ofType('orderbook')).toHaveLength(1);
  expect(client.ofType('orderbook').at(-1)).toMatchObject(levels(3));
});

it('who names no event is told nothing of it, and gets the status behind its first event as ever', async () => {
  const { client, subscription } = await join();
  venue.tick(100);
  expect(typesOf(client)).toEqual(['ticker', 'status']);
  expect(client.events[1]).not.toHaveProperty('resumed');
  expect(subscription.resumedAfter).toBeUndefined();
  expect(hub.stats().subscribers).toBe(1);
});
