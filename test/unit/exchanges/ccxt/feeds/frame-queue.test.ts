/** Frames of subscriptions on their way to a socket. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import {
  followFrames,
  isFollowed,
  shareAnswers,
  withdraw,
  type Frame,
} from '../../../../../src/exchanges/ccxt/feeds/frame-queue.js';
import { watchQuirks } from '../../../../../src/exchanges/venues/watch-quirks.js';
import { FakeTime } from '../../../streams/fakes.js';

const { frames: RULES } = watchQuirks('binance');
/** Five units of 50 ms. */
const PACE_MS = 250;

let time: FakeTime;
let left: Frame[];
let seen: unknown[];

beforeEach(() => {
  time = new FakeTime();
  left = [];
  seen = [];
});

interface Venue {
  readonly options: object;
  readonly rateLimit: number;
  readonly handleMessage: (client: unknown, message: unknown) => void;
  handle?: (client: { subscriptions: Frame[] }, message: { id: number }) => void;
  indexBy?: (table: readonly Frame[], key: string) => Record<string, Frame>;
}

const open = (rules = RULES) => {
  const client: Record<string, unknown> = {
    send: (frame: Frame) => {
      left.push(frame);
      return Promise.resolve('sent');
    },
    throttle: () => new Promise(() => undefined),
  };
  const venue: Venue = {
    options: { ws: { cost: 5 } },
    rateLimit: 50,
    handleMessage: (client, message) => {
      seen.push(message);
      venue.handle?.(client as never, message as never);
    },
  };
  const instance = venue as unknown as CcxtExchange;
  if (rules !== null) shareAnswers(instance);
  followFrames(instance, client, { rules, timers: time, monotonic: time.monotonic });
  // A second time changes nothing.
  followFrames(instance, client, { rules, timers: time, monotonic: time.monotonic });
  const send = client['send'] as (frame: unknown) => Promise<unknown>;
  return { client, venue, send, answer: (message: unknown) => venue.handleMessage(client, message) };
};

const subscribe = (id: number): Frame => ({ method: 'SUBSCRIBE', params: [`s${id}`], id });
const unsubscribe = (id: number): Frame => ({ method: 'UNSUBSCRIBE', params: [`s${id}`], id });
const streams = (): unknown[] => left.map(({ params }) => params);

describe('frames that wait for one socket', () => {
  it('leave as one, a hundred at most, at the pace of the venue', async () => {
    const { send } = open();
    const frames = Array.from({ length: 250 }, (_, id) => subscribe(id));
    for (const frame of frames) void send(frame);
    expect(left).toEqual([]);
    await time.advance(0);
    expect(left).toMatchObject([{ method: 'SUBSCRIBE', id: 0, params: { length: 100 } }]);
    await time.advance(PACE_MS - 1);
    expect(left).toHaveLength(1);
    await time.advance(1);
    expect(left).toHaveLength(2);
    await time.advance(PACE_MS);
    expect(streams().flat()).toEqual(frames.map((_, id) => `s${id}`));
    expect(time.pending).toBe(0);
    // After a pause the next need not wait.
    await time.advance(PACE_MS);
    void send(subscribe(250));
    await time.advance(0);
    expect(left.at(-1)).toEqual(subscribe(250));
  });

  it('keep their order: what undoes a subscription never overtakes it', async () => {
    const { send } = open();
    for (const frame of [subscribe(1), subscribe(2), unsubscribe(1), unsubscribe(2), subscribe(1)])
      void send(frame);
    await time.advance(3 * PACE_MS);
    expect(left).toEqual([
      { method: 'SUBSCRIBE', params: ['s1', 's2'], id: 1 },
      { method: 'UNSUBSCRIBE', params: ['s1', 's2'], id: 1 },
      subscribe(1),
    ]);
  });

  it('leave with those of their kind also where others are between, but for what those undo', async () => {
    const { send } = open();
    for (let id = 0; id < 20; id += 1) {
      void send(unsubscribe(id));
      void send(subscribe(100 + id));
    }
    void send(subscribe(0));
    void send(unsubscribe(100));
    await time.advance(3 * PACE_MS);
    expect(left.map(({ method, params }) => [method, (params as string[]).length])).toEqual([
      ['UNSUBSCRIBE', 20],
      ['SUBSCRIBE', 21],
      ['UNSUBSCRIBE', 1],
    ]);
  });

  it('do not leave once they are withdrawn, nor hold others up', async () => {
    const { send } = open();
    const frames = [1, 2, 3].map(subscribe);
    for (const frame of frames) void send(frame);
    expect(withdraw(frames[0]!)).toBe(true);
    await time.advance(0);
    expect(streams()).toEqual([['s2', 's3']]);
    expect(withdraw(frames[1]!)).toBe(false);
    expect(await send(frames[0])).toBeNull();
    const last = subscribe(4);
    void send(last);
    withdraw(last);
    await time.advance(PACE_MS);
    expect(left).toHaveLength(1);
    expect(time.pending).toBe(0);
  });

  it('do not hold up what is no subscription, nor CCXT, whose throttle would', async () => {
    const { client, send } = open();
    void send(subscribe(1));
    expect(await send({ method: 'PING' })).toBe('sent');
    expect(await send('ping')).toBe('sent');
    expect(left).toEqual([{ method: 'PING' }, 'ping']);
    await expect((client['throttle'] as () => Promise<void>)()).resolves.toBeUndefined();
  });
});

describe('an answer to frames that left as one', () => {
  it('makes CCXT look through the subscriptions of the connection once', async () => {
    const { client, venue, send, answer } = open();
    const found: unknown[] = [];
    let looked = 0;
    const indexBy = (table: readonly Frame[], key: string) => {
      if (table === client['subscriptions']) looked += 1;
      return Object.fromEntries(table.map((row) => [String(row[key]), row]));
    };
    const handle = (asked: { subscriptions: Frame[] }, { id }: { id: number }) => {
      found.push(venue.indexBy?.(asked.subscriptions, 'id')[id], venue.indexBy?.([{ id: 'other' }], 'id'));
    };
    Object.assign(venue, { indexBy, handle });
    client['subscriptions'] = Array.from({ length: 50 }, (_, id) => subscribe(id));
    for (const frame of client['subscriptions'] as Frame[]) void send(frame);
    await time.advance(0);
    answer({ result: null, id: 0 });
    expect(seen).toHaveLength(50);
    expect(found.filter((_row, at) => at % 2 === 0)).toEqual(client['subscriptions']);
    expect(found[1]).toEqual({ other: { id: 'other' } });
    expect(looked).toBe(1);
    // Later answers are looked up among what is subscribed by then.
    expect(venue.indexBy).toBe(indexBy);
  });

  it('is an answer to each of them', async () => {
    const { send, answer } = open();
    for (const id of [7, 8, 9]) void send(subscribe(id));
    await time.advance(0);
    answer({ result: null, id: 7 });
    expect(seen).toEqual([7, 8, 9].map((id) => ({ result: null, id })));
    // Nobody waits for it any more.
    answer({ result: null, id: 7 });
    answer({ e: 'trade', id: null });
    answer('pong');
    expect(seen).toHaveLength(6);
  });

  it('that refuses them is not shown: each is asked for by itself', async () => {
    const { send, answer } = open();
    for (const id of [1, 2]) void send(subscribe(id));
    await time.advance(0);
    answer({ error: { code: 2, msg: 'Invalid request' }, id: 1 });
    expect(seen).toEqual([]);
    void send(subscribe(3));
    await time.advance(4 * PACE_MS);
    expect(streams()).toEqual([['s1', 's2'], ['s1'], ['s2'], ['s3']]);
    answer({ error: { code: 2 }, id: 1 });
    answer({ result: null, id: 2 });
    expect(seen).toEqual([
      { error: { code: 2 }, id: 1 },
      { result: null, id: 2 },
    ]);
  });

  it('that refuses them brings none back whose feed has ended meanwhile', async () => {
    const { send, answer } = open();
    const frames = [1, 2].map(subscribe);
    for (const frame of frames) void send(frame);
    await time.advance(0);
    expect(withdraw(frames[0]!)).toBe(false);
    answer({ error: { code: 2 }, id: 1 });
    await time.advance(4 * PACE_MS);
    expect(streams()).toEqual([['s1', 's2'], ['s2']]);
  });

  it('is not taken for that to what ended some of them before it came', async () => {
    const { send, answer } = open();
    for (const id of [1, 2, 3]) void send(subscribe(id));
    await time.advance(0);
    for (const id of [1, 3]) void send(unsubscribe(id));
    await time.advance(PACE_MS);
    expect(left).toHaveLength(2);
    answer({ result: null, id: 1 });
    expect(seen).toEqual([1, 2, 3].map((id) => ({ result: null, id })));
    answer({ result: null, id: 1 });
    expect(seen.slice(3)).toEqual([1, 3].map((id) => ({ result: null, id })));
  });
});

it('where frames cannot be put together they are only followed, and CCXT keeps its throttle', async () => {
  const { client, send } = open(null);
  const { throttle } = client;
  const frame = subscribe(1);
  expect(isFollowed(client)).toBe(true);
  expect(await send(frame)).toBe('sent');
  expect([left, withdraw(frame), client['throttle']]).toEqual([[frame], false, throttle]);
  expect(time.pending).toBe(0);
  const other = {};
  followFrames({} as CcxtExchange, other, { rules: null, timers: time, monotonic: time.monotonic });
  followFrames({} as CcxtExchange, undefined, { rules: null, timers: time, monotonic: time.monotonic });
  expect(isFollowed(other)).toBe(false);
});
