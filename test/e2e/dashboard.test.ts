/** The page in a real browser, in front of the built server: what it shows is what the exchange says, and how good it is. */
import { isDeepStrictEqual } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/chromium.js';
import { axeFindings, openPage, shownBook, shownTicker, tapeOf, WAIT } from './dashboard-rig.js';
import { startRig, startServer, type Rig } from './streams-rig.js';

let rig: Rig;
let browser: Browser;
beforeAll(async () => {
  [rig, browser] = await Promise.all([
    startRig({
      ENABLED_EXCHANGES: 'binance,kraken',
      DASHBOARD_WATCH: 'binance:BTC/USDT,kraken:BTC/USD',
      STREAM_IDLE_TIMEOUT: '2',
    }),
    launchChromium(),
  ]);
  rig.sandbox.control.setTickRate(5);
});
afterEach(() => rig.sandbox.control.clearFaults());
afterAll(async () => {
  await browser.close();
  await rig.close();
});

const MARKET = ['binance', 'BTC/USDT'] as const;
const SELECTED = '#/binance/BTC-USDT/1m';
const ROW = 'binance BTC/USDT';
const LOOKS = 5;
const HOUR_MS = 3_600_000;

test('shows what the exchange says, from one socket, with nothing from elsewhere', async () => {
  const opened = await openPage(browser, { url: rig.url, hash: SELECTED });
  const { page, text } = opened;
  await expect.poll(() => tapeOf(page).then((tape) => tape.length), WAIT).toBeGreaterThan(20);
  await expect.poll(() => page.url(), WAIT).toContain('#/binance/BTC%2FUSDT/1m');
  await page.getByText('500 candles').waitFor(WAIT);
  expect(await text(page.locator('.open-candle'))).toMatch(/^open, \d+ s left$/);
  await page.getByText('SANDBOX').first().waitFor(WAIT);
  expect(await text(page.getByRole('region', { name: 'Health' }))).toMatch(/budget \d+\/\d+/);

  // Whatever is shown at an instant is the truth of the time that it bears, and that never goes back.
  const truth = rig.sandbox.market;
  let latest = 0;
  for (let look = 0; look < LOOKS; look += 1) {
    await expect.poll(async () => (await shownTicker(page, ROW)).timestamp, WAIT).toBeGreaterThan(latest);
    const { timestamp, ...prices } = await shownTicker(page, ROW);
    const { last, bid, ask } = truth.ticker(...MARKET, timestamp);
    expect(prices).toEqual({ last, bid, ask });
    latest = timestamp;
  }
  // A book that came over REST bears the time of its receipt: the next one from the feed has the exchange's.
  await expect
    .poll(async () => {
      const { timestamp: time, ...shown } = await shownBook(page);
      const { bids, asks } = truth.book(...MARKET, { time, depth: 20 });
      return isDeepStrictEqual(shown, { bids, asks });
    }, WAIT)
    .toBe(true);
  const now = Date.now();
  const trades = new Map(
    truth.trades(...MARKET, { from: now - 120_000, to: now }).map((trade) => [trade.id, trade]),
  );
  for (const trade of await tapeOf(page)) expect(trades.get(trade.id)).toMatchObject(trade);

  expect(await axeFindings(page)).toEqual([]);
  expect(opened.sockets()).toBe(1);
  await opened.expectNoFault();
  await page.context().close();
});

test('a market is found and chosen by keys alone', async () => {
  const opened = await openPage(browser, { url: rig.url });
  const { page } = opened;
  await opened.row(ROW).waitFor(WAIT);
  await page.keyboard.press('/');
  await page.keyboard.type('eth/usdt');
  await page.getByRole('option', { name: 'ETH/USDT' }).first().waitFor(WAIT);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect.poll(() => page.url(), WAIT).toContain('#/binance/ETH%2FUSDT/1m');
  await opened.row('binance ETH/USDT').waitFor(WAIT);
  await expect.poll(() => opened.text(opened.row('binance ETH/USDT').locator('.last')), WAIT).toMatch(/\d/);
  await page.keyboard.press('k');
  await expect.poll(() => page.url(), WAIT).toContain('#/kraken/BTC%2FUSD/1m');
  await page.keyboard.press('2');
  await expect.poll(() => page.url(), WAIT).toContain('#/kraken/BTC%2FUSD/5m');
  await opened.expectNoFault();
  await page.context().close();
});

test('ages are right where the clock of the browser is an hour ahead, which is said', async () => {
  const opened = await openPage(browser, { url: rig.url, hash: SELECTED }, { clockOffMs: HOUR_MS });
  const { page, row, text } = opened;
  await expect.poll(() => text(page.locator('.head')), WAIT).toMatch(/clock here \+(3599|3600|3601) s/);
  await expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);
  const [, age] = /^([\d.]+) s$/.exec(await text(row(ROW).locator('.age'))) ?? [];
  expect(Number(age)).toBeLessThan(20);
  const [, left] = /^open, (\d+) s left$/.exec(await text(page.locator('.open-candle'))) ?? [];
  expect(Number(left)).toBeGreaterThanOrEqual(0);
  expect(Number(left)).toBeLessThanOrEqual(61);
  await opened.expectNoFault();
  await page.context().close();
});

test('a feed that is lost is said to be, and so is one that is silent', async () => {
  const opened = await openPage(browser, { url: rig.url, hash: SELECTED });
  const { page, row, text } = opened;
  await expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);
  await expect.poll(() => text(row(ROW)), WAIT).not.toMatch(/reconnecting|stale|polling/);
  const { control } = rig.sandbox;
  control.setFault({ venue: 'binance', match: 'websocket', fault: { type: 'status', status: 503 } });
  control.sockets('binance', { action: 'terminate' });
  await expect.poll(() => text(row(ROW)), WAIT).toMatch(/reconnecting|polling/);
  control.setFault({ venue: 'binance', fault: { type: 'status', status: 503 } });
  await expect.poll(() => text(row(ROW)), WAIT).toMatch(/stale/);
  const struck = row(ROW).locator('s.last');
  await struck.waitFor(WAIT);
  expect(await text(struck)).toMatch(/\d/);
  await expect.poll(() => text(page.getByRole('region', { name: 'Health' })), WAIT).toMatch(/\d stale/);
  control.clearFaults();
  await expect.poll(() => text(row(ROW)), { timeout: 60_000 }).not.toMatch(/reconnecting|stale|polling/);
  await opened.expectNoFault();
  await page.context().close();
});

test('without the server the page says so, keeps its values, and comes back by itself', async () => {
  const server = await startServer({ SANDBOX: rig.sandbox.url, DASHBOARD_WATCH: 'binance:BTC/USDT' });
  const opened = await openPage(browser, { url: server.url, hash: SELECTED }, { mayBeUnreachable: true });
  const { page, row, text } = opened;
  await expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);
  await expect.poll(() => tapeOf(page).then(({ length }) => length), WAIT).toBeGreaterThan(0);
  const tape = await tapeOf(page);
  await server.close();
  await expect.poll(() => text(page.locator('.connection')), WAIT).toBe('reconnecting');
  expect(await text(row(ROW))).toContain('reconnecting');
  expect(await text(row(ROW).locator('.last'))).toMatch(/\d/);
  const again = await startServer({ SANDBOX: rig.sandbox.url, PORT: new URL(server.url).port });
  await expect.poll(() => text(page.locator('.connection')), WAIT).toBe('live');
  await expect.poll(() => text(row(ROW)), WAIT).not.toContain('reconnecting');
  // Trades of the time without a server are fetched; the sandbox numbers them without holes.
  const before = new Set(tape.map(({ id }) => id));
  await expect
    .poll(async () => (await tapeOf(page)).filter(({ id }) => !before.has(id)).length, WAIT)
    .toBeGreaterThan(0);
  const ids = (await tapeOf(page)).map(({ id }) => Number(id));
  expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) - index));
  expect(await page.getByRole('list', { name: 'Gaps' }).count()).toBe(0);
  await opened.expectNoFault();
  await page.context().close();
  await again.close();
});
