// Kraken's WebSocket v2 on the wire. https://docs.kraken.com/api/docs/websocket-v2/ticker and its siblings
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { createKrakenFeed } from '../../../src/sandbox/venues/kraken-feed.js';
import { NOON, sandboxAt } from './ccxt-clients.js';
import { openFeed, type FeedClient, type Frame } from './feed-client.js';

const truth = createMarketTruth({ seed: 7, perVenue: undefined });
const feed = createKrakenFeed({ truth });
const STAMP = '2026-03-03T12:00:30.000000Z';

interface Data {
  readonly channel: string;
  readonly type: string;
  readonly data: readonly Frame[];
}
const frames = (key: string, time = NOON, since = time - 1_000): Data[] =>
  (feed.channel(key)?.update(time, since) ?? []).map((text) => JSON.parse(text) as Data);
const membersOf = (frame: Frame | undefined): string => Object.keys(frame ?? {}).join(' ');

describe('commands', () => {
  let sandbox: Sandbox;
  let client: FeedClient;
  beforeAll(async () => {
    ({ sandbox } = await sandboxAt(NOON));
    client = await openFeed(sandbox, 'ws.kraken.com/v2');
  });
  afterAll(() => sandbox.close());

  let id = 0;
  const answerTo = async (message: Frame): Promise<Frame> => {
    id += 1;
    client.send({ ...message, req_id: id });
    return client.frame({ req_id: id });
  };
  const subscribe = (params: Frame) => answerTo({ method: 'subscribe', params });
  const TIMES = { time_in: STAMP, time_out: STAMP };

  test('the first frame tells the status', async () => {
    expect(await client.frame({ channel: 'status' })).toMatchObject({
      type: 'update',
      data: [{ system: 'online', api_version: 'v2' }],
    });
  });

  test('a ping gets a pong', async () => {
    expect(await answerTo({ method: 'ping' })).toEqual({ method: 'pong', req_id: id, ...TIMES });
  });

  test('a subscription is acknowledged before its snapshot', async () => {
    const answer = await subscribe({ channel: 'ohlc', symbol: ['BTC/USD'], interval: 5 });
    expect(answer).toEqual({
      method: 'subscribe',
      success: true,
      result: { channel: 'ohlc', symbol: 'BTC/USD', interval: 5, snapshot: true },
      req_id: id,
      ...TIMES,
    });
    const snapshot = await client.frame({ channel: 'ohlc' });
    expect(client.frames.indexOf(answer)).toBeLessThan(client.frames.indexOf(snapshot));
    expect(snapshot).toMatchObject({ type: 'snapshot', data: { length: 60 } });
  });

  test.each([
    [{ method: 'explode' }, 'Method not supported'],
    [{ method: 'subscribe' }, 'Channel not supported'],
    [{ method: 'subscribe', params: { channel: 'weather' } }, 'Channel not supported'],
    [
      { method: 'subscribe', params: { channel: 'ticker', symbol: ['NO/PE'] } },
      'Currency pair not supported NO/PE',
    ],
    [
      { method: 'subscribe', params: { channel: 'ohlc', symbol: ['BTC/USD'], interval: 7 } },
      'OHLC interval not supported',
    ],
    [
      { method: 'subscribe', params: { channel: 'book', symbol: ['BTC/USD'], depth: 7 } },
      'Subscription depth not supported',
    ],
  ])('%j is refused', async (message, error) => {
    expect(await answerTo(message)).toMatchObject({ success: false, error });
  });

  test('what is no JSON object is refused without an id', async () => {
    client.send('{"method":');
    expect(await client.frame({ error: 'Invalid JSON' })).toEqual({ error: 'Invalid JSON', success: false });
  });

  test('defaults are the shortest interval and the least depth, and a subscription can be given up', async () => {
    const channels = () => sandbox.control.listSockets().flatMap(({ channels: names }) => names);
    await subscribe({ channel: 'ohlc', symbol: ['ETH/USD'] });
    await subscribe({ channel: 'book', symbol: ['ETH/USD'] });
    expect(channels()).toEqual(expect.arrayContaining(['ohlc:1:ETH/USD', 'book:10:ETH/USD']));
    const params = { channel: 'book', symbol: ['ETH/USD'] };
    expect(await answerTo({ method: 'unsubscribe', params })).toMatchObject({ success: true });
    expect(channels()).not.toContain('book:10:ETH/USD');
  });
});

describe('frames', () => {
  test('tickers have the documented members', () => {
    const [frame] = frames('ticker:0:BTC/USD');
    expect(frame).toMatchObject({ channel: 'ticker', type: 'update' });
    expect(membersOf(frame?.data[0])).toBe(
      'symbol bid bid_qty ask ask_qty last volume vwap low high change change_pct timestamp',
    );
    const { bid, ask, last } = truth.ticker('kraken', 'BTC/USD', NOON);
    expect(frame?.data[0]).toMatchObject({ symbol: 'BTC/USD', bid, ask, last, timestamp: STAMP });
  });

  test('trades since the last frame come in one, none come in none', () => {
    const [frame, ...more] = frames('trade:0:BTC/USD');
    expect(more).toEqual([]);
    const wanted = truth.trades('kraken', 'BTC/USD', { from: NOON - 900, to: NOON });
    expect(frame?.data.map(({ trade_id: id, side, qty }) => [String(id), side, qty])).toEqual(
      wanted.map(({ id, side, amount }) => [id, side, amount]),
    );
    expect(membersOf(frame?.data[0])).toBe('symbol side price qty ord_type trade_id timestamp');
    expect(frames('trade:0:BTC/USD', NOON + 50, NOON + 10)).toEqual([]);
  });

  test('the last state of a candle comes before the next one, its begin in nanoseconds', () => {
    const minute = NOON + 30_000;
    const [last, next] = frames('ohlc:1:BTC/USD', minute + 500, minute - 500);
    expect(membersOf(last?.data[0])).toBe(
      'symbol open high low close trades volume vwap interval_begin interval timestamp',
    );
    expect(last?.data[0]).toMatchObject({
      interval_begin: '2026-03-03T12:00:00.000000000Z',
      interval: 1,
      timestamp: '2026-03-03T12:01:00.000000Z',
    });
    expect(next?.data[0]).toMatchObject({ interval_begin: '2026-03-03T12:01:00.000000000Z' });
    const listed = truth.find('kraken', 'BTC/USD')?.listedAt ?? 0;
    expect(frames('ohlc:1:BTC/USD', listed - 90_000)[0]?.data).toEqual([]);
  });

  test('a book that has not changed has no update', () => {
    expect(frames('book:10:BTC/USD', NOON + 50, NOON + 10)).toEqual([]);
    const [frame] = frames('book:10:BTC/USD', NOON, NOON - 60_000);
    expect(membersOf(frame?.data[0])).toBe('symbol bids asks checksum timestamp');
  });

  test('a market that is not listed has no channel', () => {
    expect(feed.channel('ticker:0:NO/PE')).toBeUndefined();
    expect(feed.channel('ticker')).toBeUndefined();
  });
});
