/** A subscription begins with what is known, or is refused. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import * as schemas from '../../../src/schemas/stream.js';
import { MAX_TOPICS } from '../../../src/streams/topic-table.js';
import { FakeClient, START, settle } from './fakes.js';
import { LINGER_MS, time, venue, market, hub, restartHub, ticker, join, startHub } from './rig.js';

beforeEach(() => {
  startHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
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

  it('is followed by the state once for each client that waits, and for none that left', async () => {
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
    restartHub({ deltaThreshold: 0.001, sandbox: true });
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
