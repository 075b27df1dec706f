/** Topics: their clients come and go, and REST reads their last tick. */
import { NO_STATS } from '../../../src/schemas/market.js';
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { FakeClient, START, settle, tickerItem } from './fakes.js';
import { LINGER_MS, time, venue, market, hub, restartHub, ticker, join, startHub } from './rig.js';

beforeEach(() => {
  startHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
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
    restartHub({ deltaThreshold: 0.001, lingerMs: 0 });
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
          reconnects: 0,
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
      stats: NO_STATS,
      rawJson: '{"p":100.5}',
      receivedAt: START + 10,
    });
    venue.break();
    expect(hub.latest('binance', 'BTC/USDT')).toBeUndefined();
    expect(hub.latest('binance', 'ETH/USDT')).toBeUndefined();
  });

  it('count a tick that only repeats what REST gave as a message of the feed', async () => {
    await join();
    await time.advance(10);
    venue.say(tickerItem(100, START - 1000));
    expect(hub.latest('binance', 'BTC/USDT')).toMatchObject({ last: 100, receivedAt: START + 10 });
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

  it('refuses clients that wait for the first message of a feed', async () => {
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
  it('aborts its snapshot, where no other client waits for the same', async () => {
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

  it('leaves a feed that no client joins running for the linger only', async () => {
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
