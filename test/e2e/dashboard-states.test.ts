/** The page in the states that are hard to see by chance: gaps, a cool-down, nothing to show, hidden, hostile names. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/chromium.js';
import { extent } from '../support/extent.js';
import { axeFindings, openPage, WAIT, type OpenPage } from './dashboard-rig.js';
import { startRig, type Rig } from './streams-rig.js';

/** Kept as CI artefacts. */
const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url));
const SELECTED = '#/binance/BTC-USDT/1m';
const ROW = 'binance BTC/USDT';
const HOSTILE = '<img src=x onerror=document.title=1>';

let rig: Rig;
let browser: Browser;
beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true });
  [rig, browser] = await Promise.all([
    startRig({ ENABLED_EXCHANGES: 'binance,kraken', STREAM_IDLE_TIMEOUT: '2' }),
    launchChromium(),
  ]);
  rig.sandbox.control.setTickRate(5);
});
afterEach(() => rig.sandbox.control.clearFaults());
afterAll(async () => {
  await browser.close();
  await rig.close();
});

/** Each state once; in the long form in both themes, on a phone and on a desk. */
const LOOKS = extent({
  short: [{ colorScheme: 'dark', viewport: { width: 1440, height: 900 } }] as const,
  long: (['light', 'dark'] as const).flatMap((colorScheme) =>
    [
      { width: 390, height: 844 },
      { width: 1440, height: 900 },
    ].map((viewport) => ({ colorScheme, viewport })),
  ),
});

const expectAccessible = async ({ page }: OpenPage, name: string): Promise<void> => {
  for (const { colorScheme, viewport } of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    expect(await axeFindings(page), `${name} ${colorScheme} ${viewport.width}`).toEqual([]);
    await page.screenshot({ path: `${ARTIFACTS}dashboard-${name}-${colorScheme}-${viewport.width}.png` });
  }
};

test('with nothing to show it says what to do, and is accessible', async () => {
  const opened = await openPage(browser, { url: rig.url });
  await opened.page.getByText('Nothing is watched yet').waitFor(WAIT);
  await opened.page.getByText('budget').first().waitFor(WAIT);
  expect(rig.sandbox.control.counters().channels).toBe(0);
  await expectAccessible(opened, 'empty');
  await opened.expectNoFault();
  await opened.page.context().close();
});

test('missing candles are said with their times, and not drawn', async () => {
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  const [from, to] = [minute - 30 * 60_000, minute - 20 * 60_000];
  rig.sandbox.control.setFault({ venue: 'binance', fault: { type: 'candles_hole', from, to } });
  const opened = await openPage(browser, { url: rig.url, hash: '#/binance/ETH%2FUSDT/1m' });
  const { page } = opened;
  const iso = (time: number): string => new Date(time).toISOString().replace('.000Z', 'Z');
  const gap = page.getByRole('list', { name: 'Gaps' }).getByText(iso(from));
  await gap.waitFor(WAIT);
  expect(await gap.textContent()).toContain('gap');
  const url = `${rig.url}/v1/markets/ohlcv?exchange=binance&symbol=ETH/USDT&interval=1m&limit=500`;
  const { candles } = (await (await fetch(url)).json()) as { candles: unknown[] };
  // A minute may have begun between the two.
  const shown = Number(await page.locator('[data-candles]').getAttribute('data-candles'));
  expect([0, 1]).toContain(shown - candles.length);
  // Of an exchange that nobody had asked for anything before this page came.
  await page.getByRole('button', { name: '15m', exact: true }).waitFor(WAIT);
  await expectAccessible(opened, 'gap');
  await opened.expectNoFault();
  await page.context().close();
});

test('a market with a hostile name stays text, and the page fits on 320 pixels', async () => {
  const opened = await openPage(browser, { url: rig.url }, { viewport: { width: 320, height: 640 } });
  const { page } = opened;
  await page.evaluate(
    `localStorage.setItem('dashboard.watch', ${JSON.stringify(JSON.stringify([{ exchange: 'binance', symbol: HOSTILE }]))})`,
  );
  await page.reload();
  await page.getByText(HOSTILE).waitFor(WAIT);
  await page.evaluate(`location.hash = ${JSON.stringify(SELECTED)}`);
  for (const name of ['Watch', 'Chart', 'Book', 'Trades', 'Health']) {
    await page.getByRole('button', { name, exact: true }).first().click(WAIT);
    expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(320);
  }
  expect(await page.title()).toBe('Crypto market data');
  await opened.expectNoFault();
  await page.context().close();
});

test('a page that is hidden for half a minute ends its socket, and comes back at once', async () => {
  const opened = await openPage(browser, { url: rig.url, hash: SELECTED });
  const { page, row, text } = opened;
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

test('a cool-down is counted down, and what is old is struck and accessible', async () => {
  const opened = await openPage(browser, { url: rig.url, hash: SELECTED });
  const { page, row, text } = opened;
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
  await opened.expectNoFault();
  await page.context().close();
});
