/** Many feeds at the pace that an exchange takes: CCXT would send Binance a frame for each, four a second. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StreamTopic } from '../../../src/exchanges/exchange-client.js';
import { startRig, watchRejections, type Rig } from './rig.js';

const PATIENT = { timeout: 60_000, interval: 20 };
const [SOCKETS, SYMBOLS] = [4, 60];
/** Each asks REST for half a second of its pace. */
const BOOKS = 3;
/** Of Kraken. */
const TICKERS = 30;

let rig: Rig;
let rejections: ReturnType<typeof watchRejections>;

beforeAll(async () => {
  rejections = watchRejections();
  rig = await startRig({ rateLimit: null, sandbox: { marketsPerVenue: 80, weightLimit: Infinity } });
});

afterAll(async () => {
  await rig.close();
  rejections.stop();
  expect(rejections.seen).toEqual([]);
});

test('of Binance are subscribed and unsubscribed with a few frames, and each brings its items', async () => {
  const { market, control } = rig.sandbox;
  const symbols = market.markets('binance').filter(({ active, thin }) => active && !thin);
  const topics = (['ticker', 'trades', 'orderbook'] as const).flatMap((channel) =>
    symbols
      .slice(0, channel === 'orderbook' ? BOOKS : SYMBOLS)
      .map(({ symbol }): StreamTopic => ({ channel, exchange: 'binance', symbol })),
  );
  const channels = (): number => control.listSockets().flatMap((socket) => socket.channels).length;
  const feeds = topics.map((topic) => rig.watch(topic));
  await expect.poll(() => feeds.filter(({ heard }) => heard.items.length === 0).length, PATIENT).toBe(0);
  expect(channels()).toBe(topics.length);
  const frames = control.counters().framesReceived;
  // What one socket gets while it is being opened and after it leaves in one or two frames.
  expect(frames).toBeLessThanOrEqual(3 * SOCKETS);

  for (const { handle } of feeds.slice(1)) handle.close();
  await expect.poll(channels, PATIENT).toBe(1);
  expect(control.counters().framesReceived - frames).toBeLessThanOrEqual(3 * SOCKETS);
  // Those that stay are not touched, and what was left can be had again.
  const again = topics.slice(1).map((topic) => rig.watch(topic));
  await feeds[0]!.heard.more(2);
  await expect.poll(() => again.filter(({ heard }) => heard.items.length === 0).length, PATIENT).toBe(0);
  for (const { handle } of [feeds[0]!, ...again]) handle.close();
}, 120_000);

test('of Kraken do not wait for prices of REST, which takes one request a second', async () => {
  const { market, control } = rig.sandbox;
  const tickers = market.markets('kraken').filter(({ active, thin }) => active && !thin);
  const requests = (): number =>
    control.requestLog().filter(({ venue, kind }) => venue === 'kraken' && kind === 'ticker').length;
  const joined = await Promise.all(
    tickers
      .slice(0, TICKERS)
      .map(({ symbol }) => rig.join({ channel: 'ticker', exchange: 'kraken', symbol })),
  );
  // By REST alone it would have taken as many.
  expect(requests()).toBeLessThan(TICKERS / 2);
  for (const { client, subscription } of joined) {
    expect(client.ofType('ticker').length).toBeGreaterThan(0);
    subscription.close();
  }
}, 120_000);
