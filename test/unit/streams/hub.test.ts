import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import * as schemas from '../../../src/schemas/stream.js';
import { silentLog } from '../../../src/log/log.js';
import { createLocalHub } from '../../support/local-hub.js';
import { MAX_TOPICS } from '../../../src/streams/topic-table.js';
import type { SubscribeRequest, Subscription } from '../../../src/streams/hub-api.js';
import {
  FakeClient,
  FakeMarketData,
  FakeTime,
  FakeVenue,
  START,
  candle,
  idOf,
  settle,
  tickerBody,
  tickerItem,
  trade,
} from './fakes.js';

const LINGER_MS = 10_000;
const IDLE_MS = 30_000;

let time: FakeTime;
let venue: FakeVenue;
let market: FakeMarketData;
let hub: ReturnType<typeof createLocalHub>;

const makeHub = (options: { sandbox?: boolean; lingerMs?: number } = {}) =>
  createLocalHub({
    exchanges: venue,
    marketData: () => market,
    settings: { deltaThreshold: 0.001, lingerMs: options.lingerMs ?? LINGER_MS, idleTimeoutMs: IDLE_MS },
    sandbox: options.sandbox ?? false,
    log: silentLog,
    now: time.now,
    monotonic: time.monotonic,
    random: () => 0.5,
    timers: time,
  });

const ticker = (rest: Partial<SubscribeRequest> = {}): SubscribeRequest => ({
  topic: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
  name: 'binance',
  ...rest,
});

const join = async (
  request: SubscribeRequest = ticker(),
): Promise<{ client: FakeClient; subscription: Subscription }> => {
  const client = new FakeClient();
  const subscription = await hub.subscribe(request, client);
  return { client, subscription };
};

beforeEach(() => {
  time = new FakeTime();
  venue = new FakeVenue(time);
  market = new FakeMarketData(time);
  hub = makeHub();
});

describe('the first event', () => {
  it('is the REST ticker at once, with percent 0, and after a second the state of a feed that says nothing', async () => {
    const { client, subscription } = await join();
    expect(subscription.symbol).toBe('BTC/USDT');
    await time.advance(999);
    expect(client.events.map(({ event_type }) => event_type)).toEqual(['ticker']);
    await time.advance(1);
    expect(client.events).toEqual([
      {
        event_type: 'ticker',
        exchange: 'binance',
        symbol: 'BTC/USDT',
        bid: 99,
        ask: 101,
        last: 100,
        timestamp: START - 1000,
        price_change_percent: 0,
      },
      {
        event_type: 'status',
        exchange: 'binance',
        symbol: 'BTC/USDT',
        state: 'reconnecting',
        timestamp: START,
        detail:
          'Connecting to binance for the first time. A ticker is sent when last has moved by 0.1 % since the one before; threshold=0 sends every tick.',
      },
    ]);
    expect(schemas.tickerEvent.parse(client.events[0])).toEqual(client.events[0]);
    expect(schemas.statusEvent.parse(client.events[1])).toEqual(client.events[1]);
  });

  it('is followed by no reconnecting where the feed speaks within a second, but by what else a first status says', async () => {
    const { client } = await join();
    await time.advance(999);
    venue.tick(100.05);
    await time.advance(10_000);
    expect(client.ofType('status')).toMatchObject([
      {
        state: 'live',
        detail:
          'Live from binance. A ticker is sent when last has moved by 0.1 % since the one before; threshold=0 sends every tick.',
      },
    ]);
  });

  it('is followed by the state at once for a client that joins later', async () => {
    await join();
    await time.advance(1_000);
    const { client } = await join();
    expect(client.states).toEqual(['reconnecting']);
    venue.tick(200);
    expect(client.states).toEqual(['reconnecting', 'live']);
  });

  it('is followed by the state once for each of those who wait, and for nobody who left', async () => {
    const clients = [await join(), await join(), await join()];
    clients[1]?.subscription.close();
    await time.advance(5_000);
    expect(clients.map(({ client }) => client.states)).toEqual([['reconnecting'], [], ['reconnecting']]);
  });

  it('is followed by nothing where the topic ends before', async () => {
    const { client } = await join();
    await hub.close();
    await time.advance(5_000);
    expect(client.states).toEqual([]);
    expect(time.pending).toBe(0);
  });

  it('never is a CoinMarketCap quote', async () => {
    await join();
    expect(market.queries).toEqual([
      { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT', fallback: false },
    ]);
  });

  it('is the latest tick for a client that joins a running topic, which costs the venue nothing', async () => {
    await join();
    venue.tick(100.05);
    const { client } = await join();
    expect(client.prices).toEqual([100.05]);
    expect(client.percents).toEqual([0]);
    expect(client.states).toEqual(['live']);
    expect(market.queries).toHaveLength(1);
    expect(venue.watches).toHaveLength(1);
  });

  it('carries the name that was asked for and the symbol in the spelling of the venue', async () => {
    market.spelling = 'kPEPE/USDC';
    const topic = { channel: 'ticker', exchange: 'coinbaseexchange', symbol: 'KPEPE/USDC' } as const;
    const { client, subscription } = await join(ticker({ topic, name: 'coinbasepro' }));
    expect(subscription.symbol).toBe('kPEPE/USDC');
    expect(client.events[0]).toMatchObject({ exchange: 'coinbasepro', symbol: 'kPEPE/USDC' });
    await time.advance(1_000);
    expect(client.events[1]).toMatchObject({
      event_type: 'status',
      detail: expect.stringMatching(/^Connecting to coinbasepro for the first time\. /) as string,
    });
    expect(venue.open.topic).toEqual({
      channel: 'ticker',
      exchange: 'coinbaseexchange',
      symbol: 'kPEPE/USDC',
    });
    // Another spelling of the same symbol is the same topic.
    await join(ticker({ topic, name: 'coinbasepro' }));
    expect(venue.watches).toHaveLength(1);
    expect(hub.stats().topics).toBe(1);
  });

  it('and every later one is marked in the sandbox', async () => {
    hub = makeHub({ sandbox: true });
    const { client } = await join();
    venue.tick(200);
    expect(client.events.map(({ sandbox }) => sandbox)).toEqual([true, true, true]);
  });
});

describe('a subscription that can not be served', () => {
  it('is refused with the fault of REST before anything was sent, and leaves no feed behind', async () => {
    market.answer = new AppError('symbol_not_found', 'binance has no FOO/BAR.');
    const client = new FakeClient();
    await expect(hub.subscribe(ticker(), client)).rejects.toMatchObject({ code: 'symbol_not_found' });
    expect(client.received).toEqual([]);
    expect(venue.watches).toEqual([]);
    expect(hub.stats().topics).toBe(0);
  });

  it('is refused in the words of each who asked, although they share its opening', async () => {
    market.answer = new AppError('symbol_not_found', 'coinbaseexchange has no FOO/BAR.');
    const topic = { channel: 'ticker', exchange: 'coinbaseexchange', symbol: 'FOO/BAR' } as const;
    const faults = ['coinbasepro', 'coinbaseexchange'].map((name) =>
      hub.subscribe(ticker({ topic, name }), new FakeClient()).catch((thrown: unknown) => thrown),
    );
    expect(await Promise.all(faults)).toMatchObject([
      { message: 'coinbasepro has no FOO/BAR.' },
      { message: 'coinbaseexchange has no FOO/BAR.' },
    ]);
    expect(market.queries).toHaveLength(1);
  });

  it('is opened over WebSocket alone while only REST fails', async () => {
    market.answer = new AppError('upstream_rate_limited', 'Too many requests.');
    const joining = join();
    await settle();
    venue.tick(123);
    const { client } = await joining;
    expect(client.prices).toEqual([123]);
    expect(client.states).toEqual(['live']);
  });

  it('is refused with the fault of REST when the feed fails as well', async () => {
    market.answer = new AppError('upstream_unavailable', 'binance can not be reached.');
    const joining = join();
    await settle();
    venue.break();
    await expect(joining).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(hub.stats().topics).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('is refused at once when the feed fails while it is opened', async () => {
    market.answer = new AppError('upstream_unavailable', 'binance can not be reached.');
    venue.watchThrows = new AppError('upstream_unavailable', 'No worker.');
    await expect(join()).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  it('is refused at once where REST fails and the venue has no feed', async () => {
    venue.watchable = [];
    market.answer = new AppError('upstream_unavailable', 'binance can not be reached.');
    await expect(join()).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  it('is refused where the venue offers the channel in no way', async () => {
    venue.watchable = ['ticker'];
    venue.pollable = false;
    market.answer = { trades: [] };
    const topic = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    await expect(join(ticker({ topic }))).rejects.toMatchObject({ code: 'not_supported_by_exchange' });
  });

  it('is refused for candles without an interval', async () => {
    const topic = { channel: 'ohlcv', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    await expect(join(ticker({ topic }))).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('is refused with the fault of a venue that can not be described', async () => {
    venue.describeFault = new AppError('exchange_not_enabled', 'no');
    await expect(join()).rejects.toMatchObject({ code: 'exchange_not_enabled' });
  });

  it('is refused as overloaded once the topics are full', { timeout: 60_000 }, async () => {
    market.gate = new Promise(() => undefined);
    for (let index = 0; index < MAX_TOPICS; index += 1) {
      const topic = { channel: 'ticker', exchange: 'binance', symbol: `C${index}/USDT` } as const;
      void hub.subscribe(ticker({ topic }), new FakeClient());
    }
    await expect(join()).rejects.toMatchObject({ code: 'overloaded' });
  });
});

describe('views', () => {
  it('send an event when last has moved by the threshold since the last event, with its signed percent', async () => {
    const { client } = await join();
    for (const last of [100.05, 100.1, 100.15, 100.21, 99.9]) {
      await time.advance(10);
      venue.tick(last);
    }
    expect(client.prices).toEqual([100, 100.1, 100.21, 99.9]);
    expect(client.percents[1]).toBeCloseTo(0.1, 7);
    expect(client.percents[2]).toBeCloseTo(0.10989, 5);
    expect(client.percents[3]).toBeCloseTo(-0.30935, 5);
  });

  it('send every tick at threshold 0, also those that moved nothing but bid or ask', async () => {
    const { client } = await join(ticker({ threshold: 0 }));
    venue.tick(100.001);
    await time.advance(1);
    venue.tick(100.001);
    expect(client.prices).toEqual([100, 100.001, 100.001]);
    expect(client.percents).toEqual([0, 0.001, 0]);
  });

  it('treat a price that is missing as no move and the first price as one', async () => {
    market.answer = tickerBody(null, START - 1000);
    const { client } = await join();
    await time.advance(1);
    venue.tick(100);
    await time.advance(1);
    venue.tick(null);
    await time.advance(1);
    venue.tick(100.2);
    expect(client.prices).toEqual([null, 100, 100.2]);
    expect(client.percents[1]).toBe(0);
    expect(client.percents[2]).toBeCloseTo(0.2, 7);
  });

  it('keep the last known price as the base over a tick without one', async () => {
    const { client } = await join(ticker({ threshold: 0 }));
    venue.tick(null);
    await time.advance(1);
    venue.tick(110);
    expect(client.percents[1]).toBe(0);
    expect(client.percents[2]).toBeCloseTo(10, 7);
  });

  it('share one event object among all clients that asked the same way', async () => {
    const { client: a } = await join();
    const { client: b } = await join();
    const { client: other } = await join(ticker({ threshold: 0.5 }));
    venue.tick(101);
    expect(b.received[0]).toBe(a.received[0]);
    expect(a.received.at(-1)).toBe(b.received.at(-1));
    expect(a.received.at(-1)?.frame).toBe(b.received.at(-1)?.frame);
    expect(other.prices).toEqual([100]);
    expect(hub.stats()).toMatchObject({ topics: 1, subscribers: 3, eventsOut: 2 });
  });

  it('word the first shared event for a client that joined in between, and share all that follow', async () => {
    const { client: early } = await join();
    venue.tick(100.08);
    const { client: late } = await join();
    const { client: alsoLate } = await join();
    await time.advance(1);
    venue.tick(100.2);
    await time.advance(1);
    venue.tick(100.5);
    expect(early.prices).toEqual([100, 100.2, 100.5]);
    expect(late.prices).toEqual([100.08, 100.2, 100.5]);
    expect(early.percents[1]).toBeCloseTo(0.2, 7);
    // The move since the tick that this client saw, not since an event that it never got.
    expect(late.percents[1]).toBeCloseTo((100.2 / 100.08 - 1) * 100, 7);
    expect(late.received.at(-2)).toBe(alsoLate.received.at(-2));
    expect(late.received.at(-2)).not.toBe(early.received.at(-1));
    expect(late.received.at(-1)).toBe(early.received.at(-1));
  });

  it('judge the threshold for each client from the last event of its own stream', async () => {
    const { client: early } = await join(ticker({ threshold: 0.01 }));
    venue.tick(100.9);
    const { client: late } = await join(ticker({ threshold: 0.01 }));
    await time.advance(1);
    venue.tick(101);
    await time.advance(1);
    venue.tick(99.8);
    await time.advance(1);
    venue.tick(99.9);
    expect(early.prices).toEqual([100, 101, 99.8]);
    // 101 is 0.1 % from what this client saw: no event for it.
    expect(late.prices).toEqual([100.9, 99.8]);
    expect(late.percents[1]).toBeCloseTo((99.8 / 100.9 - 1) * 100, 7);
    await time.advance(1);
    venue.tick(102);
    // They moved at the same tick, so that they share its bytes and all that follow.
    expect(late.received.at(-1)).toBe(early.received.at(-1));
    expect(hub.stats().eventsOut).toBe(5);
  });

  it('send a client that came in between what the others had no reason to see', async () => {
    const { client: early } = await join(ticker({ threshold: 0.01 }));
    venue.tick(100.9);
    const { client: late, subscription } = await join(ticker({ threshold: 0.01 }));
    await time.advance(1);
    venue.tick(99.5);
    expect(early.prices).toEqual([100]);
    expect(late.prices).toEqual([100.9, 99.5]);
    subscription.close();
    await time.advance(1);
    venue.tick(101);
    expect(early.prices).toEqual([100, 101]);
    expect(late.prices).toEqual([100.9, 99.5]);
  });

  it.each([
    { olds: 1, news: 2 },
    { olds: 2, news: 1 },
  ])('unite $olds clients with $news others to whose price they come', async ({ olds, news }) => {
    const joinMany = async (count: number) => {
      const joined = Array.from({ length: count }, () => join(ticker({ threshold: 0.01 })));
      return (await Promise.all(joined)).map(({ client }) => client);
    };
    const early = await joinMany(olds);
    venue.tick(100.9);
    const late = await joinMany(news);
    for (const price of [101, 99.9, 100.9, 103]) {
      await time.advance(1);
      venue.tick(price);
    }
    for (const client of early) expect(client.prices).toEqual([100, 101, 99.9, 100.9, 103]);
    for (const client of late) expect(client.prices).toEqual([100.9, 103]);
    expect(new Set([...early, ...late].map(({ received }) => received.at(-1))).size).toBe(1);
  });

  it('go on for the others when a client throws or leaves while it is handed an event', async () => {
    const { client: first } = await join();
    const leaver = new FakeClient();
    const leaving = await hub.subscribe(ticker(), leaver);
    leaver.onEvent = () => {
      leaving.close();
      throw new Error('a bug of the connection');
    };
    const { client: last } = await join();
    venue.tick(200);
    await time.advance(1);
    venue.tick(300);
    expect(first.prices).toEqual([100, 200, 300]);
    expect(last.prices).toEqual([100, 200, 300]);
    expect(hub.stats().subscribers).toBe(2);
  });
});

describe('event ids', () => {
  it('let a client resume without its first event when it has seen the last event of its stream', async () => {
    const { client } = await join();
    venue.tick(101);
    const seen = idOf(client.received.at(-1));
    await time.advance(5);
    venue.tick(101.05);
    const { client: resumed } = await join(ticker({ lastEventId: seen }));
    expect(resumed.prices).toEqual([]);
    expect(resumed.states).toEqual(['live']);
    await time.advance(5);
    venue.tick(102);
    await time.advance(5);
    venue.tick(103);
    expect(resumed.prices).toEqual([102, 103]);
    // In step with the others: the very same events.
    expect(resumed.received.at(-1)).toBe(client.received.at(-1));
    expect(resumed.received.at(-2)).toBe(client.received.at(-2));
  });

  it('let a client resume that saw nothing but its own first event', async () => {
    await join();
    venue.tick(100.05);
    const { client } = await join();
    const seen = idOf(client.received[0]);
    const { client: resumed } = await join(ticker({ lastEventId: seen }));
    expect(resumed.prices).toEqual([]);
    await time.advance(1);
    venue.tick(101);
    expect(resumed.percents[0]).toBeCloseTo((101 / 100.05 - 1) * 100, 7);
  });

  it('bring a client that missed something the latest tick', async () => {
    const { client } = await join();
    venue.tick(101);
    const seen = idOf(client.received.at(-1));
    await time.advance(1);
    venue.tick(105);
    const { client: resumed } = await join(ticker({ lastEventId: seen }));
    expect(resumed.prices).toEqual([105]);
    expect(resumed.percents).toEqual([0]);
  });

  it('mean nothing after a restart, also where the sequence is the same', async () => {
    const { client } = await join();
    const seen = idOf(client.received[0]);
    await time.advance(1);
    hub = makeHub();
    const { client: resumed } = await join(ticker({ lastEventId: seen }));
    expect(resumed.prices).toEqual([100]);
    expect(idOf(resumed.received[0])).not.toBe(seen);
  });

  it('differ from event to event across topics', async () => {
    const { client: a } = await join();
    const { client: b } = await join(
      ticker({ topic: { channel: 'ticker', exchange: 'kraken', symbol: 'ETH/USD' }, name: 'kraken' }),
    );
    const ids = [...a.received, ...b.received].map(idOf).filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(2);
  });

  it('are absent from status events, so that a resumed client keeps the id of its last price', async () => {
    const { client } = await join();
    expect(idOf(client.received[1])).toBeUndefined();
  });
});

describe('topics', () => {
  it('open one upstream for clients that come at the same time', async () => {
    const joined = await Promise.all([join(), join(), join()]);
    expect(venue.watches).toHaveLength(1);
    expect(market.queries).toHaveLength(1);
    expect(joined.map(({ client }) => client.prices)).toEqual([[100], [100], [100]]);
  });

  it('outlive their last client by the linger, then end, and are opened anew later', async () => {
    const { subscription } = await join();
    subscription.close();
    subscription.close();
    await time.advance(LINGER_MS - 1);
    expect(venue.open.closed).toBe(false);
    expect(hub.stats().subscribers).toBe(0);
    await time.advance(1);
    expect(venue.watches[0]?.closed).toBe(true);
    expect(hub.stats().topics).toBe(0);
    expect(time.pending).toBe(0);
    await join();
    expect(venue.watches).toHaveLength(2);
  });

  it('are kept by a client that comes back within the linger', async () => {
    const { subscription } = await join();
    subscription.close();
    await time.advance(LINGER_MS - 1);
    venue.tick(150);
    const { client } = await join();
    expect(client.prices).toEqual([150]);
    await time.advance(LINGER_MS * 2);
    expect(venue.watches).toHaveLength(1);
    expect(venue.open.closed).toBe(false);
  });

  it('end at once with their last client where there is no linger', async () => {
    hub = makeHub({ lingerMs: 0 });
    const { subscription, client } = await join();
    venue.tick(150);
    expect(client.prices).toEqual([100, 150]);
    subscription.close();
    await time.advance(1);
    expect(hub.stats().topics).toBe(0);
  });

  it('tell in their statistics what runs, in which state, and when it last spoke', async () => {
    await join();
    await time.advance(50);
    venue.tick(100.001);
    const stats = hub.stats();
    expect(stats).toEqual({
      topics: 1,
      subscribers: 1,
      eventsIn: 2,
      eventsOut: 0,
      reconnects: 0,
      bookResyncs: [],
      feeds: [
        {
          topic: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
          state: 'live',
          subscribers: 1,
          lastItemAt: START + 50,
        },
      ],
    });
  });
});

describe('live tickers for REST', () => {
  it('are the last tick of a feed that is live, and nothing else', async () => {
    expect(hub.latest('binance', 'BTC/USDT')).toBeUndefined();
    await join();
    // So far it is REST's own answer.
    expect(hub.latest('binance', 'BTC/USDT')).toBeUndefined();
    await time.advance(10);
    venue.tick(100.5);
    expect(hub.latest('binance', 'BTC/USDT')).toEqual({
      symbol: 'BTC/USDT',
      bid: 99.5,
      ask: 101.5,
      last: 100.5,
      timestamp: START + 10,
      rawJson: '{"p":100.5}',
      receivedAt: START + 10,
    });
    venue.break();
    expect(hub.latest('binance', 'BTC/USDT')).toBeUndefined();
    expect(hub.latest('binance', 'ETH/USDT')).toBeUndefined();
  });

  it('count a tick that only repeats what REST said as the word of the feed', async () => {
    await join();
    await time.advance(10);
    venue.say(tickerItem(100, START - 1000));
    expect(hub.latest('binance', 'BTC/USDT')).toMatchObject({ last: 100, receivedAt: START + 10 });
  });
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

describe('closing', () => {
  it('ends all feeds and timers and refuses further clients', async () => {
    const { subscription } = await join();
    venue.tick(120);
    await hub.close();
    expect(venue.watches[0]?.closed).toBe(true);
    expect(time.pending).toBe(0);
    subscription.close();
    await time.advance(LINGER_MS);
    expect(hub.stats().topics).toBe(0);
    await expect(join()).rejects.toMatchObject({ code: 'shutting_down' });
  });

  it('refuses clients that wait for their topic to open', async () => {
    let release = (): void => undefined;
    market.gate = new Promise((resolve) => {
      release = resolve;
    });
    const joining = join();
    const closing = hub.close();
    release();
    await expect(joining).rejects.toMatchObject({ code: 'shutting_down' });
    await closing;
    expect(venue.watches).toEqual([]);
  });

  it('refuses clients that wait for the first word of a feed', async () => {
    market.answer = new AppError('upstream_timeout', 'binance did not answer in time.');
    const joining = join();
    await settle();
    const closing = hub.close();
    await expect(joining).rejects.toMatchObject({ code: 'shutting_down' });
    await closing;
    expect(time.pending).toBe(0);
  });
});

describe('a client that leaves before its subscription has begun', () => {
  it('takes its snapshot with it, where nobody else waits for the same', async () => {
    const seen: (AbortSignal | undefined)[] = [];
    const never = new Promise<never>(() => undefined);
    market.get = (_query: unknown, signal?: AbortSignal) => {
      seen.push(signal);
      return never;
    };
    const [alone, together, stays] = [1, 2, 3].map(() => new AbortController());
    const left = hub
      .subscribe(ticker({ signal: alone!.signal }), new FakeClient())
      .catch((error: unknown) => AppError.from(error).code);
    await settle();
    alone!.abort();
    expect(await left).toBe('invalid_request');
    expect(seen[0]?.aborted).toBe(true);
    void hub.subscribe(ticker({ signal: together!.signal }), new FakeClient()).catch(() => undefined);
    void hub.subscribe(ticker({ signal: stays!.signal }), new FakeClient()).catch(() => undefined);
    await settle();
    together!.abort();
    await settle();
    expect(seen).toHaveLength(2);
    expect(seen[1]?.aborted).toBe(false);
    stays!.abort();
    expect(seen[1]?.aborted).toBe(true);
    expect(venue.watches).toEqual([]);
  });

  it('leaves a feed that nobody joins running for the linger only', async () => {
    market.answer = new AppError('upstream_timeout', 'binance did not answer in time.');
    const gone = new AbortController();
    const left = hub.subscribe(ticker({ signal: gone.signal }), new FakeClient());
    await settle();
    gone.abort();
    await expect(left).rejects.toMatchObject({ code: 'invalid_request' });
    venue.tick(101);
    await time.advance(LINGER_MS - 1);
    expect(venue.open.closed).toBe(false);
    await time.advance(1);
    expect(venue.watches.map(({ closed }) => closed)).toEqual([true]);
    expect(hub.stats()).toMatchObject({ topics: 0, subscribers: 0 });
  });

  it('keeps neither the next client nor the end of the hub waiting', async () => {
    market.answer = new AppError('upstream_timeout', 'binance did not answer in time.');
    const gone = new AbortController();
    hub.subscribe(ticker({ signal: gone.signal }), new FakeClient()).catch(() => undefined);
    await settle();
    gone.abort();
    const stays = new FakeClient();
    const joining = hub.subscribe(ticker(), stays);
    await settle();
    venue.tick(101);
    await joining;
    expect(stays.prices).toEqual([101]);
    expect(venue.watches).toHaveLength(1);
    await hub.close();
  });
});

describe('clients who spell one symbol differently while only the feed can answer', () => {
  const both = async () => {
    market.answer = new AppError('upstream_timeout', 'binance did not answer in time.');
    const clients = [new FakeClient(), new FakeClient()];
    const joining = ['BTC/USDT', 'btc-usdt'].map((symbol, i) =>
      hub.subscribe(ticker({ topic: { channel: 'ticker', exchange: 'binance', symbol } }), clients[i]!),
    );
    await settle();
    return { clients, joining: Promise.allSettled(joining) };
  };

  it('are both answered by its first message', async () => {
    const { clients, joining } = await both();
    venue.tick(101);
    expect((await joining).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    expect(clients.map(({ prices }) => prices)).toEqual([[101], [101]]);
    expect(venue.watches).toHaveLength(1);
  });

  it('are both refused when it fails, and its one loss is counted once', async () => {
    const { joining } = await both();
    venue.break();
    expect((await joining).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(hub.stats()).toMatchObject({ topics: 0, reconnects: 1 });
  });
});
