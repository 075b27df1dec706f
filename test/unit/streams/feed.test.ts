import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { createLocalHub } from '../../support/local-hub.js';
import type { Channel } from '../../../src/schemas/stream.js';
import { recordingLog } from '../../support/recording-log.js';
import {
  FakeClient,
  FakeMarketData,
  FakeTime,
  FakeVenue,
  START,
  candle,
  settle,
  tickerBody,
  tickerItem,
  trade,
} from './fakes.js';

const IDLE_MS = 30_000;
const POLL_MS = 2_000;
const FIRST_MESSAGE_MS = 10_000;
const MINUTE_MS = 60_000;

let time: FakeTime;
let venue: FakeVenue;
let market: FakeMarketData;
let hub: ReturnType<typeof createLocalHub>;
let client: FakeClient;
let log: ReturnType<typeof recordingLog>;
/** What chance says of each wait, 0 to 1. */
let luck: number;

const unavailable = (message = 'binance can not be reached.'): AppError =>
  new AppError('upstream_unavailable', message);

beforeEach(() => {
  luck = 0.5;
  time = new FakeTime();
  venue = new FakeVenue(time);
  market = new FakeMarketData(time);
  client = new FakeClient();
  log = recordingLog();
  venue.answer = tickerBody(100, START - 1000);
  hub = createLocalHub({
    exchanges: venue,
    marketData: () => market,
    settings: { deltaThreshold: 0, lingerMs: 0, idleTimeoutMs: IDLE_MS },
    pollIntervalMs: { ticker: POLL_MS, trades: POLL_MS, orderbook: POLL_MS, ohlcv: POLL_MS },
    checkSpacingMs: 0,
    sandbox: false,
    log,
    now: time.now,
    monotonic: time.monotonic,
    random: () => luck,
    timers: time,
  });
});

const open = async (channel: Channel = 'ticker'): Promise<void> => {
  const interval = channel === 'ohlcv' ? { interval: '1m' } : {};
  const topic = { channel, exchange: 'binance', symbol: 'BTC/USDT', ...interval };
  await hub.subscribe({ topic, name: 'binance' }, client);
};

const lastStatus = (): Record<string, unknown> | undefined => client.ofType('status').at(-1);

describe('a feed', () => {
  it('is live with its first message and says so before the price', async () => {
    await open();
    venue.tick(101);
    expect(client.events.slice(1).map(({ event_type }) => event_type)).toEqual(['status', 'ticker']);
    expect(client.states).toEqual(['live']);
    expect(lastStatus()).toMatchObject({ detail: 'Live from binance. Every tick is sent.' });
  });

  it('that breaks says why, is opened anew, and is live again', async () => {
    await open();
    venue.tick(101);
    venue.break(unavailable('The socket was closed.'));
    expect(lastStatus()).toMatchObject({ state: 'reconnecting', detail: 'The socket was closed.' });
    await time.advance(500);
    expect(venue.watches).toHaveLength(2);
    venue.tick(102);
    expect(client.states).toEqual(['live', 'reconnecting', 'live']);
    expect(client.prices).toEqual([100, 101, 102]);
    expect(hub.stats().reconnects).toBe(1);
    expect(log.lines.filter(({ level }) => level !== 'debug').map(({ message }) => message)).toEqual([
      'feeds of an exchange are lost; they reconnect',
      'all feeds of the exchange are live again',
    ]);
  });

  it('that is closed while it is lost leaves no outage behind', async () => {
    await open();
    venue.tick(101);
    venue.break(unavailable());
    await hub.close();
    expect(log.lines.at(-1)).toMatchObject({ level: 'info', details: { exchange: 'binance', feeds: 1 } });
  });

  it('that ends without a fault is opened anew as well', async () => {
    await open();
    venue.tick(101);
    venue.break(null);
    expect(lastStatus()).toMatchObject({ state: 'reconnecting', detail: 'The feed was closed.' });
    await time.advance(500);
    expect(venue.watches).toHaveLength(2);
  });

  it('that breaks again and again is opened ever less often, and quickly again once it was healthy', async () => {
    await open();
    const waits: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      venue.break();
      const before = time.now();
      const opened = venue.watches.length;
      while (venue.watches.length === opened) await time.advance(25);
      waits.push(time.now() - before);
    }
    // Half of the way between a tenth of the bound and the bound: 500, 1000 … 30,000 ms.
    expect(waits).toEqual([275, 550, 1100, 2200, 4400, 8800, 16_500, 16_500, 16_500]);
    venue.tick(101);
    await time.advance(10_000);
    venue.break();
    await time.advance(275);
    expect(venue.watches).toHaveLength(11);
  });

  it('whose words come after its end is not listened to', async () => {
    await open();
    venue.tick(101);
    const old = venue.open;
    venue.break();
    await time.advance(500);
    old.sink.onItem(tickerItem(999, time.now()));
    old.sink.onEnd(null);
    expect(client.prices).toEqual([100, 101]);
    expect(hub.stats().reconnects).toBe(1);
  });

  it('that can not even be opened is tried again', async () => {
    venue.watchThrows = new AppError('upstream_unavailable', 'No worker.');
    await open();
    await time.advance(1_000);
    expect(lastStatus()).toMatchObject({ state: 'reconnecting', detail: 'No worker. Every tick is sent.' });
    venue.watchThrows = null;
    await time.advance(1_000);
    venue.tick(101);
    expect(client.states).toEqual(['reconnecting', 'live']);
  });

  it('is closed where it ends while it is opened', async () => {
    let closed = 0;
    venue.watch = (_topic, sink) => {
      sink.onEnd(unavailable());
      return { close: () => (closed += 1) };
    };
    await open();
    expect(closed).toBe(1);
  });
});

describe.each([0, 0.5, 0.999])('a venue that refuses its feed for a minute, with luck %f', (chance) => {
  const LATEST_RECONNECT_MS = 30_000;

  /** Open and live, then refused for the minute; `rest` is what REST says meanwhile. */
  const refuse = async (rest: object | Error): Promise<void> => {
    luck = chance;
    await open();
    venue.tick(101);
    venue.answer = rest;
    venue.watchThrows = unavailable();
    venue.break();
    await time.advance(MINUTE_MS);
  };

  const recover = async (): Promise<void> => {
    venue.watchThrows = null;
    const opened = venue.watches.length;
    const backAt = time.now();
    while (venue.watches.length === opened) await time.advance(100);
    expect(time.now() - backAt).toBeLessThanOrEqual(LATEST_RECONNECT_MS);
    venue.tick(200);
  };

  const states = () =>
    client
      .ofType('status')
      .slice(1)
      .map(({ state, timestamp }) => [state, Number(timestamp) - START]);

  it('is polled after 5 s, and live again within 30 s of its return', async () => {
    await refuse(tickerBody(150, START + 4_000));
    expect(states()).toEqual([
      ['reconnecting', 0],
      ['polling', 5_000],
    ]);
    await recover();
    expect(states().slice(2)).toEqual([['live', time.now() - START]]);
    expect(client.prices).toEqual([100, 101, 150, 200]);
  });

  it('and cannot be polled either is stale after the idle timeout to the second, and live again as soon', async () => {
    await refuse(unavailable());
    expect(states()).toEqual([
      ['reconnecting', 0],
      ['stale', IDLE_MS],
    ]);
    expect(lastStatus()?.['detail']).toBe('binance can not be reached.');
    await recover();
    expect(states().slice(2)).toEqual([['live', time.now() - START]]);
    expect(client.prices).toEqual([100, 101, 200]);
    await time.advance(IDLE_MS - 1);
    expect(states()).toHaveLength(3);
  });
});

describe('a tick', () => {
  it('that is older than the last one is not shown', async () => {
    await open();
    venue.tick(101, START + 10);
    venue.tick(90, START + 9);
    venue.tick(102, START + 11);
    expect(client.prices).toEqual([100, 101, 102]);
  });

  it('that repeats the last one is not shown, but one of the same time with other figures is', async () => {
    await open();
    venue.tick(101, START + 10);
    venue.tick(101, START + 10);
    venue.tick(102, START + 10);
    expect(client.prices).toEqual([100, 101, 102]);
  });

  it('is shown again once many in a row say that it was the clock that was set back', async () => {
    await open();
    venue.tick(101, START + 50_000);
    for (let step = 0; step < 25; step += 1) venue.tick(110 + step, START + step);
    expect(client.prices.slice(0, 2)).toEqual([100, 101]);
    expect(client.prices.at(-1)).toBe(134);
    expect(client.prices).toHaveLength(2 + 6);
  });
});

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

describe('polling', () => {
  it('is all there is where the venue has no feed, and says so from the start', async () => {
    venue.watchable = [];
    await open();
    expect(client.states).toEqual(['polling']);
    expect(lastStatus()?.['detail']).toBe(
      'binance has no WebSocket feed for this; asking over REST every 2 s. Every tick is sent.',
    );
    venue.answer = tickerBody(105, START + 500);
    await time.advance(POLL_MS);
    venue.answer = tickerBody(106, START + 2_500);
    await time.advance(POLL_MS);
    expect(client.prices).toEqual([100, 105, 106]);
    expect(venue.watches).toHaveLength(0);
    expect(hub.latest('binance', 'BTC/USDT')).toBeUndefined();
  });

  it('repeats nothing, also where the venue gives no time and each answer has the time of its receipt', async () => {
    venue.watchable = [];
    await open();
    const { fetch } = venue;
    venue.fetch = async (request, options) => {
      // Two looks at the clock need not see the same millisecond.
      venue.answer = tickerBody(105, time.now() - 1);
      return { ...(await fetch(request, options)), untimed: true };
    };
    await time.advance(POLL_MS * 5);
    expect(client.prices).toEqual([100, 105]);
  });

  it('orders ticks by the venue’s time, also where one is that of its receipt', async () => {
    venue.watchable = [];
    await open();
    const { fetch } = venue;
    venue.fetch = (request, options) => {
      venue.answer = tickerBody(105, time.now());
      return fetch(request, options);
    };
    await time.advance(POLL_MS);
    venue.fetch = (request, options) => {
      venue.answer = tickerBody(104, time.now() - POLL_MS - 1);
      return fetch(request, options);
    };
    await time.advance(POLL_MS);
    expect(client.prices).toEqual([100, 105]);
  });

  it('gives way while the venue or the budget refuses, and comes back to its interval', async () => {
    venue.watchable = [];
    await open();
    venue.answer = new AppError('upstream_budget_exhausted', 'No budget.', { retryAfterMs: 7_000 });
    await time.advance(POLL_MS);
    expect(venue.requests).toHaveLength(1);
    await time.advance(6_999);
    expect(venue.requests).toHaveLength(1);
    await time.advance(1);
    expect(venue.requests).toHaveLength(2);
    await time.advance(7_999);
    expect(venue.requests).toHaveLength(2);
    venue.answer = tickerBody(105, START + 1);
    await time.advance(1);
    expect(venue.requests).toHaveLength(3);
    await time.advance(4_000 + 2_000 + 2_000);
    expect(venue.requests).toHaveLength(6);
    expect(client.states).toEqual(['polling']);
  });

  it('never waits longer than a minute', async () => {
    venue.watchable = [];
    await open();
    venue.answer = new AppError('upstream_rate_limited', 'No.', { retryAfterMs: 3_600_000 });
    await time.advance(POLL_MS);
    await time.advance(60_000);
    expect(venue.requests).toHaveLength(2);
  });

  it('that brings nothing for long is stale, and says why', async () => {
    venue.watchable = [];
    await open();
    venue.answer = unavailable();
    await time.advance(IDLE_MS - 1_000);
    expect(client.states).toEqual(['polling']);
    await time.advance(10_000);
    expect(lastStatus()).toMatchObject({ state: 'stale', detail: 'binance can not be reached.' });
    venue.answer = tickerBody(105, START + 1);
    await time.advance(60_000);
    expect(client.states).toEqual(['polling', 'stale', 'polling']);
  });

  it('starts at once where the venue refuses the feed itself', async () => {
    await open();
    venue.answer = tickerBody(105, START + 1);
    venue.break(new AppError('not_supported_by_exchange', 'No such feed.'));
    await time.advance(0);
    expect(client.states).toEqual(['polling']);
    // And the feed is not asked for again quickly.
    await time.advance(16_000);
    expect(venue.watches).toHaveLength(1);
    await time.advance(1_000);
    expect(venue.watches).toHaveLength(2);
  });

  it('goes on while the feed fails again and again', async () => {
    await open();
    venue.break();
    await time.advance(5_000);
    venue.break();
    expect(client.states).toEqual(['reconnecting', 'polling']);
    await time.advance(POLL_MS);
    expect(client.states).toEqual(['reconnecting', 'polling']);
  });

  it('ends with its topic, also while an answer is on its way', async () => {
    venue.watchable = [];
    const other = new FakeClient();
    const topic = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    const subscription = await hub.subscribe({ topic, name: 'binance' }, other);
    let answer: () => void = () => undefined;
    let signal: AbortSignal | undefined;
    venue.fetch = (_request, options) => {
      signal = options.signal;
      return new Promise((_resolve, reject) => (answer = () => reject(unavailable())));
    };
    await time.advance(POLL_MS);
    subscription.close();
    await time.advance(0);
    expect(signal?.aborted).toBe(true);
    answer();
    await settle();
    expect(time.pending).toBe(0);
  });
});

describe('after a break', () => {
  it('trades that were missed are fetched and come first, and none comes twice', async () => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    venue.break();
    venue.answer = { trades: ['1', '2', '3', '4'].map((id) => trade(id, START + Number(id) - 1)) };
    await time.advance(500);
    venue.say({ channel: 'trades', trades: [trade('2', START + 1), trade('5', START + 4)] });
    await settle();
    const ids = client
      .ofType('trades')
      .map(({ trades }) => (trades as { trade_id: string }[]).map((one) => one.trade_id));
    expect(ids).toEqual([['1'], ['2'], ['3', '4'], ['5']]);
  });

  describe('trades that come while REST is asked for those before', () => {
    let answers: ((body: object | Error) => void)[];
    const say = (id: number, tradeId: string | null = String(id)): void => {
      venue.say({ channel: 'trades', trades: [trade(tradeId, START + id)] });
    };
    const times = (): number[] =>
      client
        .ofType('trades')
        .flatMap(({ trades }) =>
          (trades as { timestamp: number }[]).map(({ timestamp }) => timestamp - START),
        );

    const lost = () => client.ofType('lost');

    beforeEach(async () => {
      market.answer = { trades: [trade('1', START + 1)] };
      await open('trades');
      answers = [];
      const { fetch } = venue;
      venue.fetch = async (request, options) => {
        venue.answer = await new Promise<object | Error>((resolve) => answers.push(resolve));
        return fetch(request, options);
      };
    });

    it('wait for them, each shown once also without an id', async () => {
      say(3, null);
      say(4, null);
      await settle();
      expect(times()).toEqual([1]);
      answers[0]?.({ trades: [trade('1', START + 1), ...[2, 3, 4].map((id) => trade(null, START + id))] });
      await settle();
      say(4, null);
      say(5, null);
      expect(times()).toEqual([1, 2, 3, 4, 5]);
      await time.advance(10_000);
      expect(times()).toHaveLength(5);
    });

    it.each([
      { cause: 'REST fails', happens: () => answers[0]?.(unavailable()) },
      { cause: 'REST is past its deadline', happens: () => time.advance(10_000) },
      {
        cause: 'the feed breaks',
        happens: () => {
          venue.break();
        },
      },
    ])('wait no longer where $cause', async ({ happens }) => {
      say(3);
      say(4);
      await settle();
      expect(times()).toEqual([1]);
      await happens();
      await settle();
      expect(times()).toEqual([1, 3, 4]);
    });

    it('are held up to a bound', async () => {
      for (let id = 2; id <= 1000; id += 1) say(id);
      await settle();
      expect(times()).toEqual([1]);
      say(1001);
      say(1002);
      expect(times()).toEqual(Array.from({ length: 1002 }, (_, i) => i + 1));
    });

    it('are not held for the answer to an earlier break', async () => {
      say(3);
      venue.break();
      await time.advance(500);
      say(6);
      answers[0]?.({ trades: [1, 2, 3].map((id) => trade(String(id), START + id)) });
      await settle();
      expect(times()).toEqual([1, 3]);
      expect(lost()).toMatchObject([{ channel: 'trades', symbol: 'BTC/USDT', count: 1 }]);
      answers[1]?.({ trades: [2, 3, 4, 5].map((id) => trade(String(id), START + id)) });
      await settle();
      expect(times()).toEqual([1, 3, 4, 5, 6]);
      expect(lost()).toHaveLength(1);
    });

    it.each([
      { when: 'the hold is over', happens: () => time.advance(10_000) },
      {
        when: 'more came than is held',
        happens: () => {
          for (let more = 0; more < 1000; more += 1) say(4, `4-${more}`);
          return settle();
        },
      },
    ])('are never followed by older ones where REST answers when $when', async ({ happens }) => {
      say(4);
      await settle();
      await happens();
      say(6);
      answers[0]?.({ trades: [1, 2, 3, 4, 5, 20].map((id) => trade(String(id), START + id)) });
      await settle();
      // Trade 20 the feed has yet to bring.
      say(20);
      say(21);
      expect(times()).toEqual([...times()].sort((a, b) => a - b));
      expect(times().slice(0, 2)).toEqual([1, 4]);
      expect(times().slice(-2)).toEqual([20, 21]);
      expect(lost()).toMatchObject([{ event_type: 'lost', exchange: 'binance', count: 3 }]);
      // A newcomer gets all in their order.
      const newcomer = new FakeClient();
      const topic = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } as const;
      await hub.subscribe({ topic, name: 'binance' }, newcomer);
      const [{ trades } = {}] = newcomer.ofType('trades');
      const seen = (trades as { timestamp: number }[]).map(({ timestamp }) => timestamp);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
    });

    it('leave no doubt about what came since when the next break is bridged', async () => {
      say(3);
      answers[0]?.({ trades: [1, 2].map((id) => trade(String(id), START + id)) });
      await settle();
      say(50);
      venue.break();
      await time.advance(500);
      say(60);
      answers[1]?.({ trades: [50, 55].map((id) => trade(String(id), START + id)) });
      await settle();
      expect(times()).toEqual([1, 2, 3, 50, 55, 60]);
      expect(client.ofType('status').map(({ detail }) => detail)).not.toContainEqual(
        expect.stringContaining('missing'),
      );
    });
  });

  it('as many trades as REST gives are asked for once, and no more than before by every poll', async () => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.break();
    await time.advance(5_000);
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    expect(venue.requests.map(({ request }) => 'limit' in request && request.limit)).toEqual([100, 1000]);
  });

  it.each([
    { rest: 'does not reach back', answer: () => ({ trades: [trade('9', START + 90)] }) },
    { rest: 'cannot be asked', answer: () => unavailable() },
  ])('a client is told that trades may be missing where REST $rest', async ({ answer }) => {
    market.answer = { trades: [trade('1', START)] };
    venue.answer = market.answer;
    await open('trades');
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    await settle();
    expect(client.ofType('status').map(({ detail }) => detail)).not.toContainEqual(
      expect.stringContaining('missing'),
    );
    venue.break();
    venue.answer = answer();
    await time.advance(500);
    venue.say({ channel: 'trades', trades: [trade('10', START + 100)] });
    await settle();
    expect(client.ofType('status').at(-1)).toMatchObject({
      state: 'live',
      channel: 'trades',
      detail: expect.stringContaining('some trades') as string,
    });
  });

  it('a candle is not called closed on what was known before', async () => {
    market.answer = { candles: [candle(START, 1)] };
    venue.answer = market.answer;
    await open('ohlcv');
    venue.say({ channel: 'ohlcv', candles: [candle(START, 2)] });
    await settle();
    venue.break();
    venue.answer = unavailable();
    await time.advance(500);
    venue.say({ channel: 'ohlcv', candles: [candle(START + MINUTE_MS, 3)] });
    await settle();
    expect(client.ofType('ohlcv').at(-1)).toMatchObject({ candles: [candle(START + MINUTE_MS, 3)] });
  });

  it('a candle that ended meanwhile comes with the figures that REST has', async () => {
    market.answer = { candles: [candle(START, 1)] };
    venue.answer = market.answer;
    await open('ohlcv');
    venue.say({ channel: 'ohlcv', candles: [candle(START, 2)] });
    await settle();
    venue.break();
    venue.answer = { candles: [candle(START, 7, { closed: true }), candle(START + MINUTE_MS, 3)] };
    await time.advance(500);
    venue.say({ channel: 'ohlcv', candles: [candle(START + MINUTE_MS, 3)] });
    await settle();
    expect(client.ofType('ohlcv').at(-1)).toMatchObject({
      candles: [candle(START, 7, { closed: true }), candle(START + MINUTE_MS, 3)],
    });
  });

  it('an answer that comes after the end is not shown', async () => {
    market.answer = { trades: [trade('1', START)] };
    const topic = { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    const subscription = await hub.subscribe({ topic, name: 'binance' }, client);
    let answer: () => void = () => undefined;
    venue.fetch = () => new Promise((_resolve, reject) => (answer = () => reject(unavailable())));
    venue.say({ channel: 'trades', trades: [trade('2', START + 1)] });
    subscription.close();
    await time.advance(0);
    answer();
    await settle();
    expect(client.ofType('trades')).toHaveLength(1);
  });
});
