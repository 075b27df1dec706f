/** Which ticks are events for whom, and where a client goes on that comes back. */
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClient, START, idOf, tickerBody } from './fakes.js';
import { LINGER_MS, time, venue, market, hub, restartHub, ticker, join, startHub } from './rig.js';

beforeEach(() => {
  startHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
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

  it('make the first event of a client that joined in between apart, and share all that follow', async () => {
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
    restartHub({ deltaThreshold: 0.001, lingerMs: LINGER_MS });
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
