/** Feeds that never speak, and feeds that fall silent. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { type FakeVenue, START, tickerBody, trade } from './fakes.js';
import {
  REST_TICKER,
  IDLE_MS,
  time,
  venue,
  market,
  client,
  open,
  lastStatus,
  unavailable,
  startHub,
} from './rig.js';

beforeEach(() => {
  startHub({ checkSpacingMs: 0, answer: REST_TICKER });
});

const FIRST_MESSAGE_MS = 10_000;

describe('a feed that never speaks', () => {
  it('is given up after the first-message timeout and opened anew, with polls in between', async () => {
    await open();
    venue.answer = tickerBody(105, START + 4000);
    await time.advance(5_000);
    expect(client.states).toEqual(['reconnecting', 'polling']);
    expect(client.prices).toEqual([100, 105]);
    expect(lastStatus()?.['detail']).toBe('The WebSocket feed is down; asking over REST every 2 s.');
    await time.advance(FIRST_MESSAGE_MS - 5_000);
    expect(venue.watches[0]?.closed).toBe(true);
    await time.advance(500);
    expect(venue.watches).toHaveLength(2);
    venue.tick(106);
    expect(client.states).toEqual(['reconnecting', 'polling', 'live']);
    const asked = venue.requests.length;
    await time.advance(20_000);
    expect(venue.requests).toHaveLength(asked);
  });

  it('is live where there is nothing to say: a quiet market of trades', async () => {
    market.answer = { trades: [trade('1', START - 5)] };
    venue.answer = market.answer;
    venue.watchable = ['trades'];
    await open('trades');
    await time.advance(FIRST_MESSAGE_MS);
    expect(venue.watches[0]?.closed).toBe(false);
    expect(client.states.at(-1)).toBe('live');
    expect(lastStatus()?.['detail']).toBe('Quiet market: the venue has nothing newer.');
  });

  it('is given up where REST shows trades that it should have brought', async () => {
    market.answer = { trades: [trade('1', START - 5)] };
    venue.answer = { trades: [trade('1', START - 5)] };
    await open('trades');
    await time.advance(4_000);
    venue.answer = { trades: [trade('1', START - 5), trade('2', START + 4_000)] };
    await time.advance(FIRST_MESSAGE_MS - 4_000 + 1_000);
    expect(venue.watches[0]?.closed).toBe(true);
    const ids = client.ofType('trades').flatMap(({ trades }) => trades as { trade_id: string }[]);
    expect(ids.map((one) => one.trade_id)).toEqual(['1', '2']);
  });

  it('is given up where REST can not tell', async () => {
    market.answer = { trades: [] };
    venue.answer = unavailable();
    await open('trades');
    await time.advance(FIRST_MESSAGE_MS);
    expect(venue.watches[0]?.closed).toBe(true);
  });
});

describe('a feed that falls silent', () => {
  it('stays live while REST has nothing newer: a quiet market', async () => {
    await open();
    venue.tick(101);
    venue.answer = tickerBody(101, START);
    await time.advance(IDLE_MS * 3);
    expect(client.states).toEqual(['live']);
    expect(venue.watches).toHaveLength(1);
    expect(venue.requests).toHaveLength(3);
    expect(venue.requests[0]?.options.priority).toBe('poll');
  });

  it('is not asked about while it speaks', async () => {
    await open();
    for (let step = 0; step < 20; step += 1) {
      venue.tick(101 + step);
      await time.advance(IDLE_MS - 1);
    }
    expect(venue.requests).toHaveLength(0);
  });

  it('is opened anew when REST shows what it missed, and the true price is shown meanwhile', async () => {
    await open();
    venue.tick(101);
    venue.answer = tickerBody(120, START + 20_000);
    await time.advance(IDLE_MS + 1_000);
    expect(lastStatus()).toMatchObject({
      state: 'reconnecting',
      detail: 'The feed is silent although the market moves.',
    });
    expect(venue.watches[0]?.closed).toBe(true);
    expect(client.prices).toEqual([100, 101, 120]);
    await time.advance(500);
    venue.tick(121);
    expect(client.states).toEqual(['live', 'reconnecting', 'live']);
  });

  it('has a moment to bring what REST already shows', async () => {
    await open();
    venue.tick(101);
    venue.answer = tickerBody(120, START + 29_999);
    await time.advance(IDLE_MS + 500);
    venue.tick(120);
    await time.advance(500);
    expect(venue.watches).toHaveLength(1);
    expect(client.states).toEqual(['live']);
    await time.advance(IDLE_MS);
    expect(venue.requests).toHaveLength(2);
  });

  it('is stale while the venue can not be asked, and live again when it speaks', async () => {
    await open();
    venue.tick(101);
    venue.answer = new AppError('upstream_rate_limited', 'binance is cooling down.', {
      retryAfterMs: 60_000,
    });
    await time.advance(IDLE_MS);
    expect(lastStatus()).toMatchObject({
      state: 'stale',
      detail: "The feed is silent and the venue can't be asked: binance is cooling down.",
    });
    // Not one request before the venue allows it.
    await time.advance(59_999);
    expect(venue.requests).toHaveLength(1);
    venue.tick(102);
    expect(lastStatus()).toMatchObject({ state: 'live', detail: 'Live from binance again.' });
    expect(client.prices).toEqual([100, 101, 102]);
  });

  it('is live again when the venue says that nothing happened', async () => {
    await open();
    venue.tick(101);
    venue.answer = unavailable();
    await time.advance(IDLE_MS);
    expect(lastStatus()).toMatchObject({ state: 'stale' });
    venue.answer = tickerBody(101, START);
    await time.advance(5_000);
    expect(client.states).toEqual(['live', 'stale', 'live']);
    expect(venue.watches).toHaveLength(1);
  });

  it('is opened anew when the venue can not be asked for long', async () => {
    await open();
    venue.tick(101);
    venue.answer = unavailable();
    await time.advance(IDLE_MS + 10_000);
    expect(venue.watches[0]?.closed).toBe(true);
    expect(client.states.at(-1)).toBe('stale');
    await time.advance(500);
    venue.tick(102);
    expect(client.states).toEqual(['live', 'stale', 'live']);
  });

  it('is opened anew only after failures in a row: a good answer in between begins the count afresh', async () => {
    await open();
    venue.tick(101);
    venue.answer = unavailable();
    await time.advance(IDLE_MS + 5_000);
    venue.answer = tickerBody(101, START);
    await time.advance(5_000);
    expect(client.states).toEqual(['live', 'stale', 'live']);
    venue.answer = unavailable();
    await time.advance(IDLE_MS + 5_000);
    expect(venue.watches).toHaveLength(1);
    expect(venue.open.closed).toBe(false);
    await time.advance(5_000);
    expect(venue.watches[0]?.closed).toBe(true);
  });

  it('is opened anew only after failures in one silence: a message in between begins the count afresh', async () => {
    await open();
    venue.tick(101);
    venue.answer = unavailable();
    await time.advance(IDLE_MS + 5_000);
    venue.tick(102);
    expect(client.states).toEqual(['live', 'stale', 'live']);
    await time.advance(IDLE_MS + 5_000);
    expect(venue.requests).toHaveLength(4);
    expect(venue.watches).toHaveLength(1);
    await time.advance(5_000);
    expect(venue.watches[0]?.closed).toBe(true);
  });

  it('is not opened anew for the failures that the one before it met', async () => {
    await open();
    venue.tick(101);
    venue.answer = unavailable();
    await time.advance(IDLE_MS + 5_000);
    expect(venue.requests).toHaveLength(2);
    venue.break();
    await time.advance(500);
    venue.tick(102);
    await time.advance(IDLE_MS + 5_000);
    expect(venue.watches).toHaveLength(2);
    expect(venue.open.closed).toBe(false);
  });

  it('is heard while REST is being asked about it', async () => {
    await open();
    venue.tick(101);
    let answer: (value: Awaited<ReturnType<FakeVenue['fetch']>>) => void = () => undefined;
    const real = venue.fetch;
    venue.fetch = () => new Promise((resolve) => (answer = resolve));
    await time.advance(IDLE_MS);
    venue.tick(102);
    venue.answer = tickerBody(103, START + IDLE_MS);
    answer(
      await real(
        { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
        { deadline: 0, priority: 'poll' },
      ),
    );
    await time.advance(2_000);
    expect(venue.watches).toHaveLength(1);
    expect(client.states).toEqual(['live']);
  });

  it('is opened anew where the venue has nothing over REST to compare it with', async () => {
    venue.pollable = false;
    await open();
    venue.tick(101);
    await time.advance(IDLE_MS);
    expect(venue.watches[0]?.closed).toBe(true);
    // And what can not be polled either is stale until the feed is back.
    await time.advance(300);
    venue.break();
    await time.advance(5_000);
    expect(lastStatus()).toMatchObject({ state: 'stale', detail: 'binance has no other source for this.' });
  });

  it('tells a quiet order book from a dead feed by the best prices', async () => {
    const book = (price: number, timestamp: number) => ({
      bids: [{ price, amount: 1 }],
      asks: [{ price: price + 1, amount: 1 }],
      timestamp,
    });
    market.answer = book(100, START - 1);
    await open('orderbook');
    venue.say({ channel: 'orderbook', ...book(101, START) });
    venue.answer = book(101, START + 1);
    await time.advance(IDLE_MS);
    expect(venue.watches).toHaveLength(1);
    venue.answer = book(102, START + 2);
    await time.advance(IDLE_MS + 1_000);
    expect(venue.watches[0]?.closed).toBe(true);
  });
});
