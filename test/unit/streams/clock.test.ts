import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/log/log.js';
import type { Channel } from '../../../src/schemas/stream.js';
import { createLocalHub } from '../../support/local-hub.js';
import { FakeClient, FakeMarketData, FakeTime, FakeVenue, START, tickerBody, trade } from './fakes.js';

const HOUR_MS = 3_600_000;
const IDLE_MS = 30_000;
const LEVELS = { bids: [{ price: 1, amount: 1 }], asks: [{ price: 2, amount: 1 }] };

const start = () => {
  const time = new FakeTime();
  const venue = new FakeVenue(time);
  const market = new FakeMarketData(time);
  const client = new FakeClient();
  const hub = createLocalHub({
    exchanges: venue,
    marketData: () => market,
    settings: { deltaThreshold: 0, lingerMs: 0, idleTimeoutMs: IDLE_MS },
    sandbox: false,
    log: silentLog,
    now: time.now,
    monotonic: time.monotonic,
    random: () => 0.5,
    timers: time,
  });
  const open = async (channel: Channel): Promise<void> => {
    await hub.subscribe(
      { topic: { channel, exchange: 'binance', symbol: 'BTC/USDT' }, name: 'binance' },
      client,
    );
  };
  return { time, venue, market, client, open };
};

describe.each([
  ['an hour back', -HOUR_MS],
  ['an hour ahead', HOUR_MS],
])('when the wall clock is set %s, a stream', (_how, by) => {
  it('of order books goes on at its pace', async () => {
    const { time, venue, market, client, open } = start();
    market.answer = { ...LEVELS, timestamp: START };
    await open('orderbook');
    await time.advance(100);
    const book = (price: number) =>
      venue.say({
        channel: 'orderbook',
        bids: [{ price, amount: 1 }],
        asks: [{ price: price + 1, amount: 1 }],
        timestamp: time.now(),
      });
    book(10);
    time.set(time.now() + by);
    book(11);
    await time.advance(100);
    expect(client.ofType('orderbook')).toHaveLength(3);
    time.set(time.now() - by);
    await time.advance(100);
    book(12);
    expect(client.ofType('orderbook')).toHaveLength(4);
  });

  it('that falls silent is still checked in time, and one that speaks is not', async () => {
    const { time, venue, client, open } = start();
    venue.answer = tickerBody(101, START);
    await open('ticker');
    venue.tick(101, START);
    time.set(time.now() + by);
    await time.advance(IDLE_MS - 1);
    expect(venue.requests).toHaveLength(0);
    await time.advance(1);
    expect(venue.requests).toHaveLength(1);
    venue.answer = tickerBody(150, START + IDLE_MS);
    time.set(time.now() - by);
    await time.advance(IDLE_MS + 1_000);
    expect(client.states.at(-1)).toBe('reconnecting');
    expect(client.prices.at(-1)).toBe(150);
  });

  it('that breaks is opened anew as soon as always', async () => {
    const { time, venue, client, open } = start();
    await open('ticker');
    venue.tick(101);
    venue.break();
    time.set(time.now() + by);
    await time.advance(500);
    expect(venue.watches).toHaveLength(2);
    venue.tick(102, START + 500);
    expect(client.states.at(-1)).toBe('live');
    expect(client.prices.at(-1)).toBe(102);
  });

  it('of a venue that stamps nothing, so that each tick has the time of its receipt, shows the next one', async () => {
    const { time, venue, client, open } = start();
    await open('ticker');
    venue.tick(101);
    time.set(time.now() + by);
    venue.tick(102);
    time.set(time.now() - by);
    venue.tick(103);
    expect(client.prices.slice(1)).toEqual([101, 102, 103]);
  });

  it('asks REST with time enough for an answer', async () => {
    const { time, venue, market, open } = start();
    market.answer = { trades: [trade('1', START)] };
    venue.answer = { trades: [trade('1', START)] };
    await open('trades');
    time.set(time.now() + by);
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await time.advance(0);
    expect(venue.requests.at(-1)!.options.deadline - time.monotonic()).toBe(10_000);
  });
});

describe('a tick from the future', () => {
  it('does not silence the ordinary ones after it', async () => {
    const { time, venue, client, open } = start();
    await open('ticker');
    venue.tick(101, 1_999_000_000_000);
    venue.tick(102, time.now());
    venue.tick(103, time.now() + 1);
    expect(client.prices).toEqual([100, 101, 102, 103]);
    expect(client.states.at(-1)).toBe('live');
  });

  it('does not make every later trade a lost one', async () => {
    const { time, venue, market, client, open } = start();
    market.answer = { trades: [trade('1', START)] };
    venue.answer = { trades: [trade('1', START)] };
    await open('trades');
    venue.say({ channel: 'trades', trades: [trade('2', 1_999_000_000_000)] });
    await time.advance(0);
    venue.break();
    venue.answer = { trades: [trade('1', START), trade('3', START + 5)] };
    await time.advance(500);
    venue.say({ channel: 'trades', trades: [trade('4', START + 10)] });
    await time.advance(0);
    const ids = client.ofType('trades').flatMap(({ trades }) => trades as { trade_id: string }[]);
    expect(ids.map((one) => one.trade_id)).toEqual(['1', '2', '3', '4']);
    expect(client.ofType('lost')).toEqual([]);
  });
});
