/** The page in the states that are hard to see by chance: nothing to show, gaps, hidden, hostile names, a cool-down. */
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { expectAccessible } from './dashboard-looks.js';
import {
  chartWords,
  hatchedPixels,
  LOADED,
  openPage,
  SELECTED,
  WAIT,
  type Running,
} from './dashboard-rig.js';

const ROW = 'binance BTC/USDT';
const HOSTILE = '<img src=x onerror=document.title=1>';
const MINUTE_MS = 60_000;

const watching = (markets: readonly { exchange: string; symbol: string }[]): string =>
  `localStorage.setItem('dashboard.watch', ${JSON.stringify(JSON.stringify(markets))})`;

export const testStates = (running: () => Running): void => {
  test('with nothing to show it says what to do, and is accessible', async () => {
    const { rig, browser } = running();
    const opened = await openPage(browser, { url: rig.url }, { scripts: [watching([])] });
    await opened.page.getByText('Nothing is watched yet').waitFor(WAIT);
    await opened.page.getByText('budget').first().waitFor(WAIT);
    expect(rig.sandbox.control.counters().channels).toBe(0);
    await expectAccessible(opened, 'empty');
    await opened.expectNoFault();
    await opened.page.context().close();
  });

  test('missing candles are said with their times, hatched, and not drawn', async () => {
    const { rig, browser } = running();
    const minute = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS;
    const [from, to, priceless] = [30, 20, 40].map((ago) => minute - ago * MINUTE_MS) as [
      number,
      number,
      number,
    ];
    const opened = await openPage(browser, { url: rig.url, hash: '#/binance/BTC-USDT/1m' });
    const { page } = opened;
    await expect.poll(() => chartWords(page), WAIT).toMatch(LOADED);
    expect(await hatchedPixels(page)).toBe(0);
    rig.sandbox.control.setFault({ venue: 'binance', fault: { type: 'candles_hole', from, to } });
    // A candle of which the exchange gives no price, which the sandbox does not have.
    await page.route('**/v1/markets/ohlcv*', async (route) => {
      const response = await route.fetch();
      const body = (await response.json()) as { candles: Record<string, unknown>[] };
      const candles = body.candles.map((candle) =>
        candle['timestamp'] === priceless
          ? { ...candle, open: null, high: null, low: null, close: null }
          : candle,
      );
      await route.fulfill({ response, json: { ...body, candles } });
    });
    await page.evaluate("location.hash = '#/binance/ETH%2FUSDT/1m'");
    const iso = (time: number): string => new Date(time).toISOString().replace('.000Z', 'Z');
    const gaps = page.getByRole('list', { name: 'Gaps' });
    await gaps.getByText(`gap ${iso(from)} – ${iso(to)}`).waitFor(WAIT);
    await gaps
      .getByText(`gap ${iso(priceless)} – ${iso(priceless + MINUTE_MS)}: candle without prices`)
      .waitFor(WAIT);
    const url = `${rig.url}/v1/markets/ohlcv?exchange=binance&symbol=ETH/USDT&interval=1m&limit=500`;
    const { candles } = (await (await fetch(url)).json()) as { candles: unknown[] };
    // A minute may have begun between the two.
    const shown = Number(await page.locator('[data-candles]').getAttribute('data-candles'));
    expect([-1, 0]).toContain(shown - candles.length);
    await expect.poll(() => hatchedPixels(page), WAIT).toBeGreaterThan(100);
    await page.getByRole('button', { name: '15m', exact: true }).waitFor(WAIT);
    await expectAccessible(opened, 'gap');
    await opened.expectNoFault();
    // The page may just be asking for a candle that has closed.
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await page.context().close();
  });

  test('a market with a hostile name stays text, and the page fits on a small phone, where it scrolls by touch', async () => {
    const { rig, browser } = running();
    const small = { viewport: { width: 320, height: 420 }, hasTouch: true, reducedMotion: 'reduce' } as const;
    const scripts = [watching([{ exchange: 'binance', symbol: HOSTILE }])];
    const opened = await openPage(browser, { url: rig.url }, { ...small, scripts });
    const { page } = opened;
    await page.getByText(HOSTILE).first().waitFor(WAIT);
    await page.evaluate(`location.hash = ${JSON.stringify(SELECTED)}`);
    for (const name of ['Watch', 'Book', 'Trades', 'Health', 'Chart']) {
      await page.getByRole('button', { name, exact: true }).first().click(WAIT);
      expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(320);
    }
    expect(await page.title()).toBe('Crypto market data');
    await expect.poll(() => chartWords(page), WAIT).toMatch(LOADED);
    await expect.poll(() => scrolledByTouch(page), WAIT).toBeGreaterThan(0);
    expect(await page.evaluate('document.getAnimations().length')).toBe(0);
    await opened.expectNoFault();
    await page.context().close();
  });
};

/**
 * How far the page is scrolled after a finger has moved up over the chart. One that rests for a quarter of a second, as this one
 * does where the page is kept busy, points at a candle instead, until the next tap.
 */
const scrolledByTouch = async (page: Page): Promise<unknown> => {
  const { x = 0, y = 0, width = 0 } = (await page.locator('.canvas').boundingBox()) ?? {};
  const session = await page.context().newCDPSession(page);
  const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', up = 0) => {
    const touchPoints = type === 'touchEnd' ? [] : [{ x: x + width / 2, y: y + 90 - up }];
    return session.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
  await touch('touchStart');
  await touch('touchEnd');
  await touch('touchStart');
  for (const up of [20, 40, 60, 80]) await touch('touchMove', up);
  await touch('touchEnd');
  await session.detach();
  return page.evaluate('scrollY');
};

/** The last one to have the page that all share: its clock is another one from here on. */
export const testHidden = (running: () => Running): void => {
  test('a page that is hidden for half a minute ends its socket, and comes back at once', async () => {
    const { rig, live } = running();
    const { page, row, text } = await live();
    await expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);
    const see = (state: 'hidden' | 'visible') =>
      page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));`);
    const sockets = (): Promise<number> => rig.metric('stream_clients');
    const before = await sockets();
    expect(before).toBeGreaterThan(0);
    await page.clock.install();
    await see('hidden');
    await page.clock.fastForward(31_000);
    await expect.poll(sockets, WAIT).toBeLessThan(before);
    await see('visible');
    await expect.poll(sockets, WAIT).toBe(before);
    await page.context().close();
  });
};

/** Last: the exchange is asked nothing for a minute. */
export const testCoolDown = (running: () => Running): void => {
  test('a cool-down is counted down, and what is old is struck and accessible', async () => {
    const { rig, browser } = running();
    // What is missing is asked for in a cool-down too, since the server may know it without the exchange; what is refused is
    // not asked for again before the time that the refusal names. A browser writes each 429 to the console.
    const opened = await openPage(browser, { url: rig.url, hash: SELECTED }, { mayBeUnreachable: true });
    const { page, row, text } = opened;
    const refused: string[] = [];
    page.on('response', (response) => {
      if (response.status() === 429) refused.push(new URL(response.url()).pathname);
    });
    await expect.poll(() => text(row(ROW).locator('.last')), WAIT).toMatch(/\d/);
    const { control } = rig.sandbox;
    control.setFault({ venue: 'binance', match: 'websocket', fault: { type: 'status', status: 503 } });
    control.setFault({ venue: 'binance', fault: { type: 'status', status: 429, retryAfter: 60 } });
    control.sockets('binance', { action: 'terminate' });
    const health = page.locator('tr[data-exchange=binance]');
    await expect.poll(() => text(health), WAIT).toMatch(/cooling down, \d+ s left/);
    const [, left] = /cooling down, (\d+) s left/.exec(await text(health)) ?? [];
    const status = (await (await fetch(`${rig.url}/v1/status`)).json()) as {
      exchanges: { id: string; cooldown_ms: number }[];
    };
    const known = (status.exchanges.find(({ id }) => id === 'binance')?.cooldown_ms ?? 0) / 1000;
    expect(Math.abs(Number(left) - known)).toBeLessThan(3);
    await row(ROW).locator('s.last').waitFor(WAIT);
    const word = row(ROW).getByText('stale');
    await word.waitFor(WAIT);
    const { x = 0, width = 0 } = (await word.boundingBox()) ?? {};
    const list = await page.locator('.watch').boundingBox();
    expect(x + width).toBeLessThanOrEqual(list?.width ?? 0);
    await expectAccessible(opened, 'stale');
    expect(refused.filter((path) => path.endsWith('/trades')).length).toBeLessThanOrEqual(1);
    await opened.expectNoFault();
    await page.context().close();
  });
};
