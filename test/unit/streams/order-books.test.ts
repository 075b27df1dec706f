// Live order books that turn out to be wrong: what their readers see, how often they are tried, and what REST says of them.
import { beforeEach, describe, expect, it } from 'vitest';
import { bookFaultOf } from '../../../src/exchanges/refusals.js';
import type { BookFault } from '../../../src/errors.js';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import { type BookSides, differingLevels } from '../../../src/streams/feed/book-cross-check.js';
import { createLocalHub } from '../../support/local-hub.js';
import { silentLog } from '../../../src/log/log.js';
import { FakeClient, FakeMarketData, FakeTime, FakeVenue, START } from './fakes.js';

const POLL_MS = 2_000;
const MINUTE_MS = 60_000;
/** A resubscription comes within this time. */
const SOON_MS = 600;

/** Levels from `best` on in whole steps, 20 a side, each of amount 1 unless `changed`. */
const sides = (changed: Readonly<Record<number, number>> = {}): BookSides => {
  const side = (best: number, step: number) =>
    [
      ...Array.from({ length: 20 }, (_, index) => best + index * step),
      ...Object.keys(changed)
        .map(Number)
        .filter((price) => !Number.isInteger(price) && price > 100 === step > 0),
    ]
      .sort((a, b) => (a - b) * step)
      .map((price) => ({ price, amount: changed[price] ?? 1 }))
      .filter(({ amount }) => amount > 0)
      .slice(0, 20);
  return { bids: side(99, -1), asks: side(101, 1) };
};

let time: FakeTime;
let venue: FakeVenue;
let hub: ReturnType<typeof createLocalHub>;
let client: FakeClient;

beforeEach(() => {
  time = new FakeTime();
  venue = new FakeVenue(time);
  client = new FakeClient();
  venue.answer = { ...sides(), timestamp: START };
  const market = new FakeMarketData(time);
  market.answer = { ...sides(), timestamp: START - 1000 };
  hub = createLocalHub({
    exchanges: venue,
    marketData: () => market,
    settings: { deltaThreshold: 0, lingerMs: 0, idleTimeoutMs: 3_600_000 },
    pollIntervalMs: { ticker: POLL_MS, trades: POLL_MS, orderbook: POLL_MS, ohlcv: POLL_MS },
    sandbox: false,
    log: silentLog,
    now: time.now,
    monotonic: time.monotonic,
    random: () => 0.5,
    timers: time,
  });
});

const open = (symbol = 'BTC/USDT', reader = client) =>
  hub.subscribe({ topic: { channel: 'orderbook', exchange: 'venue', symbol }, name: 'venue' }, reader);

const say = (book: BookSides, symbol = 'BTC/USDT'): void => {
  const item: StreamItem = { channel: 'orderbook', ...book, timestamp: time.now() };
  for (const watch of venue.watches)
    if (!watch.closed && watch.topic.symbol === symbol) watch.sink.onItem(item);
};

const fail = (fault: BookFault): void => venue.break(bookFaultOf('venue', fault));
const lastStatus = (): Record<string, unknown> | undefined => client.ofType('status').at(-1);
const books = (): Record<string, unknown>[] => client.ofType('orderbook');

describe('readers of an order book that is found to be wrong', () => {
  it('are told, see no book of it any more, also none that was about to be sent, and then a new one', async () => {
    await open();
    say(sides());
    await time.advance(10);
    // Waits for its turn: books leave at most every 100 ms.
    say(sides({ 99: 5 }));
    const before = books().length;
    fail('sequence');
    expect(lastStatus()).toMatchObject({ state: 'reconnecting', channel: 'orderbook' });
    expect(lastStatus()?.['detail']).toMatch(/^book_integrity: venue's order book feed lost an update/);
    await time.advance(SOON_MS);
    expect(books()).toHaveLength(before);
    expect(venue.watches).toHaveLength(2);
    say(sides({ 99: 7 }));
    expect(lastStatus()).toMatchObject({ state: 'live' });
    expect(books().at(-1)).toMatchObject({ book_integrity: 'sequence' });
  });

  it('and new subscribers do not get the last book that was shown', async () => {
    await open();
    say(sides({ 99: 666 }));
    fail('crossed');
    const newcomer = new FakeClient();
    await open('BTC/USDT', newcomer);
    expect(newcomer.ofType('orderbook')).toHaveLength(1);
    expect(JSON.stringify(newcomer.events)).not.toContain('666');
  });

  it('are served by polling after the third time in a minute, are told why, and get the live book later', async () => {
    await open();
    for (let round = 0; round < 3; round += 1) {
      say(sides({ 99: round + 2 }));
      fail('crossed');
      await time.advance(SOON_MS * 2 ** round);
    }
    expect(lastStatus()).toMatchObject({ state: 'polling' });
    expect(lastStatus()?.['detail']).toMatch(/^book_integrity: .*crossed.*asking over REST every 2 s\.$/);
    venue.answer = { ...sides({ 99: 8 }), timestamp: time.now() };
    await time.advance(POLL_MS);
    expect(books().at(-1)).toMatchObject({ book_integrity: 'snapshot' });
    expect(venue.watches).toHaveLength(3);
    await time.advance(MINUTE_MS - 15_000);
    expect(venue.watches).toHaveLength(4);
    say(sides({ 99: 9 }));
    expect(lastStatus()).toMatchObject({ state: 'live' });
    // It is not trusted yet: the next failure makes it polled at once, and for longer.
    fail('crossed');
    await time.advance(POLL_MS);
    expect(lastStatus()).toMatchObject({ state: 'polling' });
    await time.advance(MINUTE_MS);
    expect(venue.watches).toHaveLength(4);
    await time.advance(MINUTE_MS / 2);
    expect(venue.watches).toHaveLength(5);
  });

  it('are subscribed anew each time where it happens once in a while', async () => {
    await open();
    for (let round = 0; round < 6; round += 1) {
      say(sides({ 99: round + 2 }));
      await time.advance(40_000);
      fail('sequence');
      await time.advance(SOON_MS);
    }
    expect(client.states).not.toContain('polling');
    expect(hub.stats().bookResyncs).toEqual([{ exchange: 'venue', reason: 'sequence', count: 6 }]);
  });

  it('are told nothing of book integrity where only the connection broke', async () => {
    await open();
    say(sides());
    venue.break();
    expect(lastStatus()?.['detail']).not.toMatch(/book_integrity/);
    expect(hub.stats().bookResyncs).toEqual([]);
  });
});

describe('order books of which nothing can be checked', () => {
  beforeEach(() => {
    venue.bookIntegrity = 'crosscheck';
  });

  it('are known to be wrong within a minute of a level that REST does not have', async () => {
    await open();
    say(sides());
    await time.advance(2 * MINUTE_MS);
    expect(client.states).toEqual(['live']);
    say(sides({ 98.5: 3 }));
    await time.advance(MINUTE_MS);
    expect(client.states).toEqual(['live', 'reconnecting', 'polling']);
    expect(client.ofType('status').at(-2)?.['detail']).toMatch(/^book_integrity: .*REST/);
    expect(hub.stats().bookResyncs).toEqual([{ exchange: 'venue', reason: 'crosscheck', count: 1 }]);
  });

  it('cost at most two requests a minute and exchange, however many they are', async () => {
    const symbols = Array.from({ length: 30 }, (_, index) => `C${index}/USDT`);
    for (const symbol of symbols) await open(symbol, new FakeClient());
    for (const symbol of symbols) say(sides(), symbol);
    venue.requests.length = 0;
    await time.advance(30 * MINUTE_MS);
    expect(venue.requests.length).toBeLessThanOrEqual(45);
    expect(venue.requests.every(({ options }) => options.priority === 'poll')).toBe(true);
    expect(new Set(venue.requests.map(({ request }) => request.symbol)).size).toBe(30);
  });

  it('are left alone where REST is late by some seconds, or can not be asked', async () => {
    await open();
    let tick = 1;
    for (let second = 0; second < 180; second += 1) {
      // The best ten levels change all the time; REST shows them as they were two seconds ago.
      const old = sides(Object.fromEntries([99, 98, 97, 101, 102].map((price) => [price, tick])));
      venue.answer = { ...old, timestamp: time.now() };
      tick += 1;
      say(sides(Object.fromEntries([99, 98, 97, 101, 102].map((price) => [price, tick + 1]))));
      await time.advance(1_000);
    }
    venue.answer = new Error('no');
    await time.advance(3 * MINUTE_MS);
    expect(client.states).toEqual(['live']);
  });

  it('are renewed once only where REST never agrees with them', async () => {
    venue.answer = { ...sides({ 99: 50, 98: 50, 97: 50 }), timestamp: START };
    await open();
    for (let minute = 0; minute < 10; minute += 1) {
      say(sides());
      await time.advance(MINUTE_MS);
      if (client.states.at(-1) !== 'live') await time.advance(SOON_MS);
    }
    expect(hub.stats().bookResyncs).toEqual([{ exchange: 'venue', reason: 'crosscheck', count: 1 }]);
  });

  it('are not compared any more once their last client has left', async () => {
    const subscription = await open();
    say(sides());
    subscription.close();
    await time.advance(10);
    venue.requests.length = 0;
    await time.advance(3 * MINUTE_MS);
    expect(venue.requests).toEqual([]);
    expect(time.pending).toBe(0);
  });
});

describe('levels that differ', () => {
  const LIVE = sides();
  const count = (rest: BookSides, live: readonly BookSides[] = [LIVE]): number =>
    differingLevels(rest, live, 20);

  it('are none in the same book, whatever stands behind the tenth level', () => {
    expect(count(LIVE)).toBe(0);
    expect(count(sides({ 85: 7, 115: 7 }))).toBe(0);
    expect(count({ bids: [], asks: [] }, [{ bids: [], asks: [] }])).toBe(0);
    expect(count(LIVE, [])).toBe(0);
  });

  it('are one for another amount, and none where REST rounds it', () => {
    expect(count(sides({ 97: 3 }))).toBe(1);
    expect(count(sides({ 97: 1.004 }))).toBe(0);
  });

  it('are all behind one that only one of the two has', () => {
    expect(count(LIVE, [sides({ 98.5: 1 })])).toBe(9);
    expect(count(sides({ 98.5: 1 }))).toBe(9);
    expect(count(LIVE, [sides({ 101: 0 })])).toBe(10);
  });

  it('are not those that moved meanwhile', () => {
    expect(count(sides({ 99: 2 }), [LIVE, sides({ 99: 4 })])).toBe(0);
    expect(count(sides({ 98.5: 1 }), [LIVE, sides({ 98.5: 2 }), LIVE])).toBe(0);
  });

  it('are seen in short books as well', () => {
    const one = { bids: [{ price: 99, amount: 1 }], asks: [] };
    expect(count({ bids: [], asks: [] }, [one])).toBe(1);
    expect(count(one, [{ bids: [], asks: [] }])).toBe(1);
  });
});
