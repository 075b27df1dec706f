/** A subscription whose first price over REST has to wait begins with its feed. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { LINGER_MS, hub, join, market, startHub, ticker, time, venue } from './rig.js';

beforeEach(() => {
  startHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
});

describe('where REST waits for its turn for longer than a second', () => {
  let answer: () => void;

  beforeEach(() => {
    market.gate = new Promise((resolve) => (answer = resolve));
  });

  it('the feed is opened, and its first event is the first; REST is asked for no more', async () => {
    const joining = join();
    await time.advance(999);
    expect(venue.watches).toHaveLength(0);
    await time.advance(1);
    expect(venue.watches).toHaveLength(1);
    expect(market.signals.map((signal) => signal?.aborted)).toEqual([false]);
    venue.tick(105);
    const { client, subscription } = await joining;
    expect(client.ofType('ticker')).toMatchObject([{ last: 105 }]);
    expect(subscription.via).toBe('websocket');
    expect(market.signals.map((signal) => signal?.aborted)).toEqual([true]);
    expect(venue.watches).toHaveLength(1);
    answer();
    await time.advance(LINGER_MS);
    expect(client.ofType('ticker')).toHaveLength(1);
    subscription.close();
    await time.advance(LINGER_MS);
    expect(hub.stats().topics).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('what REST says first is the first event all the same, on the feed that was opened', async () => {
    const joining = join();
    await time.advance(1_500);
    answer();
    const { client } = await joining;
    expect(client.ofType('ticker')).toMatchObject([{ last: 100 }]);
    expect(venue.watches).toHaveLength(1);
    venue.tick(105);
    expect(client.ofType('ticker')).toHaveLength(2);
  });

  it('a feed that fails leaves the word to REST', async () => {
    const joining = join();
    await time.advance(1_000);
    venue.open.sink.onEnd(new AppError('upstream_unavailable', 'No socket.'));
    await time.advance(100);
    answer();
    const { client } = await joining;
    expect(client.ofType('ticker')).toMatchObject([{ last: 100 }]);
  });

  it('a symbol that the exchange does not have is refused, and leaves no feed behind', async () => {
    market.answer = new AppError('symbol_not_found', 'binance has no BTC/USDT.');
    const joining = join();
    const refused = expect(joining).rejects.toMatchObject({ code: 'symbol_not_found' });
    await time.advance(2_000);
    answer();
    await refused;
    expect(hub.stats().topics).toBe(0);
    expect(venue.watches.map(({ closed }) => closed)).toEqual([true]);
    expect(time.pending).toBe(0);
  });

  it('a symbol that is not on the exchange’s list as it stands is left to REST, which alone knows its spelling', async () => {
    market.listed = ['BTC/USDT:USDT'];
    market.spelling = 'BTC/USDT:USDT';
    const joining = join();
    await time.advance(2_000);
    expect(venue.watches).toHaveLength(0);
    answer();
    const { subscription } = await joining;
    expect(subscription.symbol).toBe('BTC/USDT:USDT');
    expect(hub.stats().feeds.map(({ topic }) => topic.symbol)).toEqual(['BTC/USDT:USDT']);
  });

  it('a client that comes as the one before it leaves has a feed of its own', async () => {
    const leaving = new AbortController();
    const left = join(ticker({ signal: leaving.signal }));
    const refused = expect(left).rejects.toMatchObject({ code: 'invalid_request' });
    await time.advance(1_050);
    leaving.abort();
    const joining = join();
    await time.advance(500);
    answer();
    await refused;
    const { client } = await joining;
    venue.tick(120);
    expect(client.ofType('ticker')).toMatchObject([{ last: 100 }, { last: 120 }]);
    expect(hub.stats()).toMatchObject({ topics: 1, subscribers: 1 });
    expect(venue.watches.filter(({ closed }) => !closed)).toHaveLength(1);
  });

  it('a client that leaves leaves no feed behind', async () => {
    const leaving = new AbortController();
    const joining = join(ticker({ signal: leaving.signal }));
    const refused = expect(joining).rejects.toMatchObject({ code: 'invalid_request' });
    await time.advance(1_000);
    leaving.abort();
    await refused;
    answer();
    await time.advance(0);
    expect(hub.stats().topics).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('is waited for where its answer has what the feed lacks: the trades before', async () => {
    const joining = join(ticker({ topic: { channel: 'trades', exchange: 'binance', symbol: 'BTC/USDT' } }));
    await time.advance(5_000);
    expect(venue.watches).toHaveLength(0);
    market.answer = { trades: [] };
    answer();
    await joining;
    expect(venue.watches).toHaveLength(1);
  });

  it('the server that ends opens nothing more', async () => {
    const joining = join();
    const refused = expect(joining).rejects.toMatchObject({ code: 'shutting_down' });
    await time.advance(500);
    const closing = hub.close();
    await time.advance(1_000);
    expect(venue.watches).toHaveLength(0);
    answer();
    await refused;
    await closing;
    expect(time.pending).toBe(0);
  });
});
