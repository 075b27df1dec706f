import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { START, tickerBody, tickerItem } from './fakes.js';
import {
  REST_TICKER,
  IDLE_MS,
  MINUTE_MS,
  time,
  venue,
  hub,
  client,
  log,
  setLuck,
  open,
  lastStatus,
  unavailable,
  startHub,
} from './rig.js';

beforeEach(() => {
  startHub({ checkSpacingMs: 0, answer: REST_TICKER });
});

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

  it('whose messages come after its end is ignored', async () => {
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

describe.each([0, 0.5, 0.999])(
  'a venue that refuses its feed for a minute, with the random number %f',
  (chance) => {
    const LATEST_RECONNECT_MS = 30_000;

    /** Open and live, then refused for the minute; `rest` is what REST says meanwhile. */
    const refuse = async (rest: object | Error): Promise<void> => {
      setLuck(chance);
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
  },
);

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
