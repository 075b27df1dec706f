/** What the page shows is what the exchange says: prices, book, trades, candles, ages; and how a market is chosen. */
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { recordedPrices, recordPrices } from './dashboard-records.js';
import {
  chartWords,
  LOADED,
  openPage,
  SELECTED,
  shownBook,
  tapeOf,
  WAIT,
  type Running,
} from './dashboard-rig.js';
import { expectAccessible } from './dashboard-looks.js';

const MARKET = ['binance', 'BTC/USDT'] as const;
const ROW = 'binance BTC/USDT';
const PRICES = 15;
const HOUR_MS = 3_600_000;
const LATE_MS = 1000;

export const testTruth = (running: () => Running): void => {
  test('shows what the exchange says, from one socket, with nothing from elsewhere', async () => {
    const { rig, live } = running();
    const opened = await live();
    const { page, text } = opened;
    await recordPrices(page);
    await expect.poll(() => tapeOf(page).then((tape) => tape.length), WAIT).toBeGreaterThan(20);
    await expect.poll(() => page.url(), WAIT).toContain('#/binance/BTC%2FUSDT/1m');
    await expect.poll(() => chartWords(page), WAIT).toMatch(LOADED);
    expect(await text(page.locator('.open-candle'))).toMatch(/^open, \d+ s left$/);
    await page.getByText('SANDBOX').first().waitFor(WAIT);
    expect(await text(page.getByRole('region', { name: 'Health' }))).toMatch(/budget \d+\/\d+/);

    // Whatever is shown at an instant is the truth of the time that it bears, which never goes back and is near.
    const truth = rig.sandbox.market;
    const own = async () => (await recordedPrices(page)).filter(({ market }) => market === ROW);
    await expect.poll(async () => (await own()).length, WAIT).toBeGreaterThan(PRICES);
    const seen = await own();
    for (const [index, { timestamp, last, bid, ask }] of seen.entries()) {
      expect(truth.ticker(...MARKET, timestamp)).toMatchObject({ last, bid, ask });
      expect(timestamp).toBeGreaterThanOrEqual(seen[index - 1]?.timestamp ?? 0);
    }
    const late = seen.map(({ at, timestamp }) => at - timestamp).toSorted((a, b) => a - b);
    expect(late[Math.floor(late.length / 2)]).toBeLessThan(LATE_MS);
    // A book that came over REST bears the time of its receipt: the next one from the feed has the exchange's.
    await expect
      .poll(async () => {
        const { timestamp: time, ...shown } = await shownBook(page);
        const { bids, asks } = truth.book(...MARKET, { time, depth: 20 });
        return Math.abs(Date.now() - time) < LATE_MS && isDeepStrictEqual(shown, { bids, asks });
      }, WAIT)
      .toBe(true);
    const now = Date.now();
    const trades = new Map(
      truth.trades(...MARKET, { from: now - 120_000, to: now }).map((trade) => [trade.id, trade]),
    );
    for (const trade of await tapeOf(page)) expect(trades.get(trade.id)).toMatchObject(trade);

    await expectAccessible(opened, 'live');
    expect(opened.sockets()).toBe(1);
    await opened.expectNoFault();
  });

  test('a candle closes when its period ends, and the next one opens', async () => {
    const { rig, live } = running();
    const opened = await live();
    const { page, text } = opened;
    await page.evaluate("location.hash = '#/binance/BTC-USDT/1s'");
    await page.getByText('BTC/USDT · binance · 1s').waitFor(WAIT);
    await expect.poll(() => chartWords(page), WAIT).toMatch(LOADED);
    await expect.poll(() => text(page.locator('.open-candle')), WAIT).toMatch(/^open, [01] s left$/);
    await expect.poll(() => chartWords(page), WAIT).toMatch(/\b5(0[3-9]|[1-9]\d) candles/);
    await page.getByRole('application').focus();
    // The last but three is closed, and what the chart says of it is what the server does.
    for (const key of ['End', 'ArrowLeft', 'ArrowLeft', 'ArrowLeft']) await page.keyboard.press(key);
    const said = await text(page.locator('.values'));
    const [iso = ''] = said.split(' ');
    const since = Date.parse(iso);
    const url = `${rig.url}/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&interval=1s&since=${since}&limit=1`;
    const { candles } = (await (await fetch(url)).json()) as { candles: Record<string, unknown>[] };
    const [candle] = candles;
    expect(candle).toMatchObject({ timestamp: since, closed: true });
    const of = (name: string): number =>
      Number(new RegExp(`${name} ([\\d,.]+)`).exec(said)?.[1]?.replaceAll(',', ''));
    for (const name of ['open', 'high', 'low', 'close', 'volume'])
      expect(of(name), name).toBe(candle?.[name]);
    await page.evaluate(`location.hash = '${SELECTED}'`);
    await page.getByText('BTC/USDT · binance · 1m').waitFor(WAIT);
    await opened.expectNoFault();
  });

  test('the first market of the list is selected, and others are found and chosen by keys alone', async () => {
    const { rig, browser } = running();
    const opened = await openPage(browser, { url: rig.url });
    const { page } = opened;
    await opened.row(ROW).waitFor(WAIT);
    await expect.poll(() => page.url(), WAIT).toContain('#/binance/BTC%2FUSDT/1m');
    expect(await page.evaluate('history.length')).toBe(2);
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
    await page.getByRole('button', { name: '5m', exact: true }).waitFor(WAIT);
    await page.keyboard.press('2');
    await expect.poll(() => page.url(), WAIT).toContain('#/kraken/BTC%2FUSD/5m');
    await page.getByRole('button', { name: 'Jobs' }).click();
    await page.getByText(/^No backfill was ever asked for\.$|it keeps no candles\.$/).waitFor(WAIT);
    await opened.expectNoFault();
    await page.context().close();
  });

  test('ages are right where the clock of the browser is an hour ahead, which is said', async () => {
    const { rig, browser } = running();
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
};
