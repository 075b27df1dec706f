// Coinbase Exchange's feed on the wire. https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { THIN_SYMBOL } from '../../../src/sandbox/listings.js';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { createCoinbaseExchangeFeed } from '../../../src/sandbox/venues/coinbase-exchange-feed.js';
import { NOON, sandboxAt } from './ccxt-clients.js';
import { openFeed, type Frame } from './feed-client.js';

const truth = createMarketTruth({ seed: 7, perVenue: undefined });
const feed = createCoinbaseExchangeFeed({ truth });
const STAMP = '2026-03-03T12:00:30.000000Z';

const frames = (key: string, time = NOON, since = time - 1_000): Frame[] =>
  (feed.channel(key)?.update(time, since) ?? []).map((text) => JSON.parse(text) as Frame);
const membersOf = (frame: Frame | undefined): string => Object.keys(frame ?? {}).join(' ');

describe('commands', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    ({ sandbox } = await sandboxAt(NOON));
  });
  afterAll(() => sandbox.close());

  /** The acknowledgement or error of the last message. */
  const answerTo = async (...messages: unknown[]): Promise<Frame> => {
    const client = await openFeed(sandbox, 'ws-feed.exchange.coinbase.com');
    const answers = () => client.frames.filter(({ type }) => type === 'subscriptions' || type === 'error');
    for (const message of messages) client.send(message);
    await expect.poll(() => answers().length, { interval: 3 }).toBe(messages.length);
    client.close();
    return answers().at(-1) ?? {};
  };
  const subscribe = (...channels: unknown[]) => ({
    type: 'subscribe',
    product_ids: ['BTC-USD', 'ETH-USD'],
    channels,
  });
  const told = (...channels: [name: string, ...ids: string[]][]) => ({
    type: 'subscriptions',
    channels: channels.map(([name, ...ids]) => ({ name, product_ids: ids, account_ids: null })),
  });

  test('a channel takes the products of the command, or its own', async () => {
    const own = { name: 'matches', product_ids: ['LTC-USD'] };
    expect(await answerTo(subscribe('ticker', own, { name: 'heartbeat' }))).toEqual(
      told(['ticker', 'BTC-USD', 'ETH-USD'], ['matches', 'LTC-USD'], ['heartbeat', 'BTC-USD', 'ETH-USD']),
    );
  });

  test('what is given up is gone from the subscriptions', async () => {
    const leave = { type: 'unsubscribe', product_ids: ['BTC-USD'], channels: ['ticker'] };
    expect(await answerTo(subscribe('ticker'), leave)).toEqual(told(['ticker', 'ETH-USD']));
    expect(await answerTo(leave)).toEqual(told());
  });

  test.each([
    ['{"type":', 'Malformed message', 'type has to be either subscribe or unsubscribe'],
    [{ type: 'explode' }, 'Malformed message', 'type has to be either subscribe or unsubscribe'],
    [subscribe('weather'), 'Failed to subscribe', 'weather is not a valid channel'],
    [subscribe(null), 'Failed to subscribe', 'undefined is not a valid channel'],
    [
      subscribe('ticker', { name: 'matches', product_ids: ['NO-PE'] }),
      'Failed to subscribe',
      'NO-PE is not a valid product',
    ],
    [
      subscribe('level2'),
      'Failed to subscribe',
      'level2 now requires authentication. https://docs.cdp.coinbase.com/exchange/docs/websocket-auth',
    ],
  ])('%j is refused as a whole', async (message, fault, reason) => {
    expect(await answerTo(message)).toEqual({ type: 'error', message: fault, reason });
    expect(await answerTo(message, subscribe())).toEqual(told());
  });

  test('a command without channels subscribes nothing', async () => {
    expect(await answerTo({ type: 'subscribe', channels: 'ticker' })).toEqual(told());
  });

  test('level2 is there for those who sign, level2_batch for all', async () => {
    const signed = { ...subscribe('level2', 'level2_batch'), product_ids: ['BTC-USD'], signature: 'any' };
    expect(await answerTo(signed)).toEqual(told(['level2', 'BTC-USD'], ['level2_batch', 'BTC-USD']));
  });
});

describe('frames', () => {
  test('tickers have the documented members', () => {
    const [frame] = frames('ticker:BTC-USD');
    expect(frames('ticker_batch:BTC-USD')).toEqual([frame]);
    expect(membersOf(frame)).toBe(
      'type sequence product_id price open_24h volume_24h low_24h high_24h volume_30d best_bid best_bid_size best_ask best_ask_size side time trade_id last_size',
    );
    const { last, bid, tradeId } = truth.ticker('coinbaseexchange', 'BTC/USD', NOON);
    expect(frame).toMatchObject({
      type: 'ticker',
      product_id: 'BTC-USD',
      price: last.toFixed(2),
      time: STAMP,
    });
    expect([Number(frame?.['best_bid']), String(frame?.['trade_id'])]).toEqual([bid, tradeId]);
  });

  test("matches tell the maker's side", () => {
    const matches = frames('matches:BTC-USD');
    const trades = truth.trades('coinbaseexchange', 'BTC/USD', { from: NOON - 900, to: NOON });
    expect(membersOf(matches[0])).toBe(
      'type trade_id maker_order_id taker_order_id side size price product_id sequence time',
    );
    expect(matches.map(({ trade_id: id, side }) => [String(id), side])).toEqual(
      trades.map(({ id, side }) => [id, side === 'buy' ? 'sell' : 'buy']),
    );
  });

  test('updates of a book name side, price and size, size 0 where a level is gone', () => {
    const [frame] = frames('level2:BTC-USD', NOON, NOON - 10_000);
    expect(membersOf(frame)).toBe('type product_id changes time');
    const changes = frame?.['changes'] as string[][];
    expect(new Set(changes.map(([side]) => side))).toEqual(new Set(['buy', 'sell']));
    expect(changes.some(([, , size]) => Number(size) === 0)).toBe(true);
    expect(frames('level2:BTC-USD', NOON + 50, NOON + 10)).toEqual([]);
  });

  test('heartbeats tell the latest trade, or 0 before the first', () => {
    const { tradeId } = truth.ticker('coinbaseexchange', 'BTC/USD', NOON);
    expect(frames('heartbeat:BTC-USD')).toEqual([
      {
        type: 'heartbeat',
        sequence: NOON / 100,
        last_trade_id: Number(tradeId),
        product_id: 'BTC-USD',
        time: STAMP,
      },
    ]);
    const listed = truth.find('coinbaseexchange', THIN_SYMBOL)?.listedAt ?? 0;
    expect(frames('heartbeat:MUSE-USD', listed - 60_000)[0]?.['last_trade_id']).toBe(0);
  });

  test('there is no channel of another name or product', () => {
    expect(feed.channel('weather:BTC-USD')).toBeUndefined();
    expect(feed.channel('ticker:NO-PE')).toBeUndefined();
    expect(feed.channel('')).toBeUndefined();
  });
});
