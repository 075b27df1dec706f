/** No ticker's time goes back, whoever stamped it, and no clock that is wrong silences the ticks after it. */
import { describe, expect, it } from 'vitest';
import type { ItemOrigin } from '../../../src/streams/channels/channel-state.js';
import { TickerState } from '../../../src/streams/channels/latest-state.js';
import { START, tickerItem } from './fakes.js';

/** The feed's ticks bear the venue's time; REST tickers of some venues the time of their receipt. */
const FEED: ItemOrigin = { via: 'feed', timed: true };
const REST: ItemOrigin = { via: 'rest', timed: true };
const UNTIMED_REST: ItemOrigin = { via: 'rest', timed: false };
const UNTIMED_FEED: ItemOrigin = { via: 'feed', timed: false };

const received = (origin: ItemOrigin, at: number): ItemOrigin => ({ ...origin, receivedAt: START + at });

const start = () => {
  const state = new TickerState();
  /** What is shown of a tick of START + `at`. */
  const say = (price: number, at: number, origin = FEED): [number | null, number] | string => {
    const { receivedAt = START + at } = origin;
    const judgement = state.accept(tickerItem(price, START + at), { ...origin, receivedAt });
    if (typeof judgement === 'string') return judgement;
    if (judgement.channel !== 'ticker') throw new Error('no ticker');
    return [judgement.last, judgement.timestamp - START];
  };
  return { state, say };
};

describe('a tick of the feed behind a REST ticker with the time of its receipt', () => {
  it('is late, by one millisecond too, and changes nothing that is known', () => {
    const { state, say } = start();
    expect(say(100, 1_000, UNTIMED_REST)).toEqual([100, 1_000]);
    expect(say(99, 997, received(FEED, 1_001))).toBe('late');
    expect(say(98, 999, received(FEED, 1_002))).toBe('late');
    expect(state.snapshot()).toMatchObject({ last: 100, timestamp: START + 1_000 });
    expect(say(101, 1_000, received(FEED, 1_003))).toEqual([101, 1_000]);
    expect(say(102, 1_004)).toEqual([102, 1_004]);
  });

  it('is late too where the REST ticker came in the midst of ticks', () => {
    const { say } = start();
    say(100, 1_000);
    expect(say(101, 1_500, UNTIMED_REST)).toEqual([101, 1_500]);
    expect(say(99, 1_400, received(FEED, 1_501))).toBe('late');
    expect(say(102, 1_501)).toEqual([102, 1_501]);
  });

  it('is shown after twenty in a row: the clocks differ by seconds, and the feed is right', () => {
    const { say } = start();
    say(100, 30_000, UNTIMED_REST);
    const shown = Array.from({ length: 21 }, (_, index) =>
      say(101 + index, 10 * index, received(FEED, 30_001)),
    );
    expect(shown.filter((one) => one === 'late')).toHaveLength(19);
    expect(shown.slice(-2)).toEqual([
      [120, 190],
      [121, 200],
    ]);
  });

  it('is shown from the second on where it is minutes behind: this machine’s clock is wrong', () => {
    const { say } = start();
    say(100, 300_000, UNTIMED_REST);
    // One may be an old tick, as a venue sends it at the beginning.
    expect(say(101, 0, received(FEED, 300_001))).toBe('late');
    expect(say(102, 1_000, received(FEED, 301_001))).toEqual([102, 1_000]);
    expect(say(103, 2_000, received(FEED, 302_001))).toEqual([103, 2_000]);
  });
});

describe('a ticker with the time of its receipt', () => {
  it('is shown behind a newer time of the venue, with that time', () => {
    const { state, say } = start();
    say(100, 1_000);
    expect(say(101, 400, UNTIMED_REST)).toEqual([101, 1_000]);
    expect(state.snapshot()).toMatchObject({ last: 101, timestamp: START + 1_000 });
    expect(say(102, 1_001)).toEqual([102, 1_001]);
  });

  it('keeps the time of the one before while the wall clock is set back by seconds', () => {
    const { say } = start();
    say(100, 10_000, UNTIMED_FEED);
    expect(say(101, 2_000, UNTIMED_FEED)).toEqual([101, 10_000]);
    expect(say(102, 11_000, UNTIMED_FEED)).toEqual([102, 11_000]);
  });

  it('that repeats the prices is no new tick', () => {
    const { say } = start();
    say(100, 1_000);
    expect(say(100, 1_400, UNTIMED_REST)).toBe('repeated');
    expect(say(100, 400, UNTIMED_REST)).toBe('repeated');
  });

  it('hides no later tick of the same feed, whose order is that of its connection', () => {
    const { say } = start();
    say(100, 1_000);
    expect(say(101, 1_100, UNTIMED_FEED)).toEqual([101, 1_100]);
    expect(say(102, 1_080, received(FEED, 1_101))).toEqual([102, 1_100]);
    expect(say(103, 1_090, received(FEED, 1_102))).toEqual([103, 1_100]);
    expect(say(104, 1_101)).toEqual([104, 1_101]);
    expect(say(99, 1_050, FEED)).toBe('late');
  });

  it('of the feed makes an older REST ticker late', () => {
    const { say } = start();
    say(101, 1_100, UNTIMED_FEED);
    expect(say(100, 1_080, received(REST, 1_101))).toBe('late');
  });

  it('far ahead of now, since the wall clock was set back, hides nothing', () => {
    const { say } = start();
    say(100, 3_600_000, UNTIMED_REST);
    expect(say(101, 5, UNTIMED_REST)).toEqual([101, 5]);
    say(100, 3_600_000, UNTIMED_REST);
    expect(say(102, 10)).toEqual([102, 10]);
  });
});

it('no time goes back, whatever comes in whatever order', () => {
  const { say } = start();
  let seed = 7;
  const random = (): number => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  let [shownAt, count] = [-Infinity, 0];
  for (let now = 100; now < 200_000; now += 100) {
    const origin = [FEED, FEED, REST, UNTIMED_REST, UNTIMED_FEED][Math.floor(random() * 5)]!;
    // The venue's time lies up to 300 ms back; that of receipt does not.
    const at = origin.timed ? now - Math.floor(random() * 300) : now;
    const shown = say(now, at, received(origin, now));
    if (typeof shown === 'string') continue;
    count += 1;
    expect(shown[1]).toBeGreaterThanOrEqual(shownAt);
    shownAt = shown[1];
  }
  expect(count).toBeGreaterThan(1_000);
});
