// Binance's streams on the wire. https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { createBinanceFeed } from '../../../src/sandbox/venues/binance-feed.js';
import { NOON, sandboxAt } from './ccxt-clients.js';
import { openFeed, type Frame } from './feed-client.js';

const truth = createMarketTruth({ seed: 7, perVenue: undefined });
const feed = createBinanceFeed({ truth });
const SECOND = 1_000;

/** The frames of a stream for (since, time]. */
const frames = (key: string, time = NOON, since = time - SECOND): Frame[] =>
  (feed.channel(key)?.update(time, since) ?? []).map((text) => JSON.parse(text) as Frame);
const membersOf = (frame: Frame | undefined): string => Object.keys(frame ?? {}).join(' ');

describe('commands', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    ({ sandbox } = await sandboxAt(NOON));
  });
  afterAll(() => sandbox.close());

  const answerTo = async (...messages: unknown[]): Promise<Frame> => {
    const client = await openFeed(sandbox, 'stream.binance.com:9443/ws');
    for (const message of messages) client.send(message);
    await expect.poll(() => client.frames.length, { interval: 3 }).toBe(messages.length);
    client.close();
    return client.frames.at(-1) ?? {};
  };
  const LIST = { method: 'LIST_SUBSCRIPTIONS', id: 9 };
  const subscribe = (...params: unknown[]) => ({ method: 'SUBSCRIBE', params, id: 1 });

  test('subscriptions are acknowledged, listed, and given up', async () => {
    const both = subscribe('btcusdt@ticker', 'ethusdt@trade');
    expect(await answerTo(both)).toEqual({ result: null, id: 1 });
    expect(await answerTo(both, LIST)).toEqual({ result: ['btcusdt@ticker', 'ethusdt@trade'], id: 9 });
    const leave = { method: 'UNSUBSCRIBE', params: ['btcusdt@ticker', 'ltcusdt@ticker'], id: 'two' };
    expect(await answerTo(both, leave)).toEqual({ result: null, id: 'two' });
    expect(await answerTo(both, leave, LIST)).toEqual({ result: ['ethusdt@trade'], id: 9 });
    expect(await answerTo(both, both, LIST)).toMatchObject({ result: { length: 2 } });
  });

  test('streams that do not exist are acknowledged like the others, and never heard of again', async () => {
    const unknown = ['btcusdt@nothing', 'nopeusdt@ticker', 'btcusdt@kline_7m', 'btcusdt', '@ticker'];
    const command = subscribe(...unknown, 'venusdt@ticker', 7);
    expect(await answerTo(command)).toEqual({ result: null, id: 1 });
    expect(await answerTo(command, LIST)).toEqual({ result: [], id: 9 });
    expect(await answerTo({ method: 'SUBSCRIBE', params: 'btcusdt@ticker', id: 2 }, LIST)).toEqual({
      result: [],
      id: 9,
    });
  });

  test.each([
    [{ method: 'EXPLODE', id: 4 }, 4],
    ['{"method":', null],
    ['[]', null],
    ['null', null],
  ])('%j is an error', async (message, id) => {
    expect(await answerTo(message)).toEqual({ error: { code: 2, msg: expect.any(String) as string }, id });
  });

  test('streams named in the URL need no command', async () => {
    const client = await openFeed(sandbox, 'stream.binance.com/stream?streams=btcusdt@ticker/ethusdt@depth');
    client.send(LIST);
    expect(await client.frame({ id: 9 })).toEqual({ result: ['btcusdt@ticker', 'ethusdt@depth'], id: 9 });
    client.close();
    const raw = await openFeed(sandbox, 'stream.binance.com/ws/btcusdt@trade');
    raw.send(LIST);
    expect(await raw.frame({ id: 9 })).toEqual({ result: ['btcusdt@trade'], id: 9 });
    raw.close();
  });
});

describe('frames', () => {
  const ticker = truth.ticker('binance', 'BTC/USDT', NOON);

  test('24hrTicker has the documented members, prices with eight decimals', () => {
    const [frame] = frames('btcusdt@ticker');
    expect(membersOf(frame)).toBe('e E s p P w x c Q b B a A o h l v q O C F L n');
    expect(frame).toMatchObject({
      e: '24hrTicker',
      E: NOON,
      s: 'BTCUSDT',
      c: ticker.last.toFixed(8),
      b: ticker.bid.toFixed(8),
      a: ticker.ask.toFixed(8),
      h: ticker.high.toFixed(8),
      v: ticker.volume.toFixed(8),
    });
  });

  test('24hrMiniTicker and the unnamed book ticker have theirs', () => {
    const [mini] = frames('btcusdt@miniTicker');
    expect(membersOf(mini)).toBe('e E s c o h l v q');
    expect(mini).toMatchObject({ e: '24hrMiniTicker', s: 'BTCUSDT', o: ticker.open.toFixed(8) });
    const [book] = frames('btcusdt@bookTicker');
    expect(membersOf(book)).toBe('u s b B a A');
    expect(book).toMatchObject({ s: 'BTCUSDT', A: ticker.askSize.toFixed(8) });
  });

  test('an aggregate trade joins the fills whose ids lie within f and l, in an id space of its own', () => {
    const aggregates = frames('btcusdt@aggTrade');
    const fills = frames('btcusdt@trade');
    expect(membersOf(aggregates[0])).toBe('e E s a f l p q T m M');
    expect(membersOf(fills[0])).toBe('e E s t p q T m M');
    expect(aggregates).toHaveLength(10);
    expect(fills.length).toBeGreaterThan(aggregates.length);
    expect(aggregates.map(({ a }) => String(a))).toEqual(
      truth.trades('binance', 'BTC/USDT', { from: NOON - 900, to: NOON }).map(({ id }) => id),
    );
    for (const { a, f, l, q, T } of aggregates) {
      const joined = fills.filter(({ t }) => Number(t) >= Number(f) && Number(t) <= Number(l));
      expect(joined.every((fill) => fill['T'] === T && fill['t'] !== a)).toBe(true);
      expect(joined.reduce((sum, fill) => sum + Number(fill['q']), 0)).toBeCloseTo(Number(q), 8);
    }
  });

  test('updates of a book follow one another by their ids, whatever the speed', () => {
    for (const stream of ['depth', 'depth@100ms', 'depth@1000ms']) {
      const [first] = frames(`btcusdt@${stream}`, NOON);
      const [second] = frames(`btcusdt@${stream}`, NOON + SECOND);
      expect(membersOf(first)).toBe('e E s U u b a');
      expect(Number(second?.['U'])).toBe(Number(first?.['u']) + 1);
    }
    expect(frames('btcusdt@depth', NOON + 50, NOON + 10)).toEqual([]);
  });

  test('the last frame of a candle says x, before the first of the next', () => {
    const minute = NOON + 30_000;
    const candles = frames('btcusdt@kline_1m', minute + 500, minute - 500).map(({ k }) => k as Frame);
    expect(candles.map(({ t, x, i }) => [t, x, i])).toEqual([
      [minute - 60_000, true, '1m'],
      [minute, false, '1m'],
    ]);
    expect(membersOf(candles[0])).toBe('t T s i f L o c h l v n x q V Q B');
    expect(candles[0]?.['T']).toBe(minute - 1);
  });

  test('before its listing a market has no candle', () => {
    const listed = truth.find('binance', 'BTC/USDT')?.listedAt ?? 0;
    expect(frames('btcusdt@kline_1m', listed - 90_000)).toEqual([]);
  });
});
