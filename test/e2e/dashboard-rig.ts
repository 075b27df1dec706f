/** The page of the built server in a real browser, watched for what it must never do. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Rig } from './streams-rig.js';

/** Generous: the machine may be busy. */
export const WAIT = { timeout: 60_000 };

/** Counts violations of the policy before any script of the page runs. */
const WATCH_VIOLATIONS = `window.violations = [];
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
  window.violations.push(violatedDirective + ' ' + blockedURI));`;

/** The market and interval that most tests look at. */
export const SELECTED = '#/binance/BTC-USDT/1m';

/** What all tests of the page share. */
export interface Running {
  readonly rig: Rig;
  readonly browser: Browser;
  /** A page at SELECTED for those that leave it as they found it: a page of its own costs each more than what it looks at. */
  readonly live: () => Promise<OpenPage>;
}

export interface OpenPage {
  readonly page: Page;
  /** Requests to other hosts, console errors, exceptions and violations of the policy: there are none. */
  expectNoFault(): Promise<void>;
  /** WebSockets that were ever opened. */
  readonly sockets: () => number;
  /** Addresses of all requests and sockets. */
  readonly urls: readonly string[];
  readonly row: (market: string) => Locator;
  readonly text: (locator: Locator) => Promise<string>;
}

/** Errors that a browser writes to the console of its own accord, where the server cannot be reached. */
const UNREACHABLE = /WebSocket connection to|net::ERR_CONNECTION_REFUSED|Failed to load resource/;

export interface OpenOptions extends BrowserContextOptions {
  /** The server goes away within the test. */
  readonly mayBeUnreachable?: boolean;
  /** Added to the page's wall clock. */
  readonly clockOffMs?: number;
  /** Run before any script of the page, at each load. */
  readonly scripts?: readonly string[];
}

/** Opens `<url>/dashboard/<hash>` in a context of its own. */
export const openPage = async (
  browser: Browser,
  address: { readonly url: string; readonly hash?: string },
  { mayBeUnreachable = false, clockOffMs = 0, scripts = [], ...options }: OpenOptions = {},
): Promise<OpenPage> => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(WAIT.timeout);
  const page = await context.newPage();
  const faults: string[] = [];
  let sockets = 0;
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    if (!mayBeUnreachable || !UNREACHABLE.test(message.text())) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  const urls: string[] = [];
  page.on('websocket', (socket) => {
    sockets += 1;
    urls.push(socket.url());
  });
  page.on('request', (request) => {
    urls.push(request.url());
    if (new URL(request.url()).host !== new URL(address.url).host) faults.push(request.url());
  });
  await page.addInitScript(WATCH_VIOLATIONS);
  await page.addInitScript(`{ const now = Date.now; Date.now = () => now() + ${clockOffMs}; }`);
  for (const script of scripts) await page.addInitScript(script);
  await page.goto(`${address.url}/dashboard/${address.hash ?? ''}`);
  return {
    page,
    sockets: () => sockets,
    urls,
    row: (market) => page.locator(`tr[data-market="${market}"]`),
    text: async (locator) => (await locator.textContent(WAIT)) ?? '',
    async expectNoFault() {
      expect(faults).toEqual([]);
      expect(await page.evaluate('window.violations')).toEqual([]);
    },
  };
};

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const RULES = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }";

/** What axe finds against WCAG 2.2 AA: a line each. By evaluation, since the page's policy lets no script be added. */
export const axeFindings = async (page: Page): Promise<string[]> => {
  await page.evaluate(`${AXE}; undefined`);
  return page.evaluate(`axe.run(document, ${RULES}).then(({ violations }) => violations.flatMap(
    ({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + ' ' + target.join(' ') + ' ' + failureSummary)))`);
};

/** Within the page: a cell's number. */
const NUMBER = "const number = (cell) => Number(cell.textContent.replaceAll(',', ''));";

/** The order book at one instant, best first. */
export const shownBook = (page: Page): Promise<{ timestamp: number; bids: number[][]; asks: number[][] }> =>
  page.evaluate(`(() => {
    ${NUMBER}
    const table = document.querySelector('[aria-label="Order book"] table');
    const levels = (side) =>
      [...table.querySelectorAll('tbody.' + side + ' tr')].map(({ cells }) => [number(cells[0]), number(cells[1])]);
    return { timestamp: Number(table.dataset.timestamp), bids: levels('bid'), asks: levels('ask').reverse() };
  })()`);

/** What the chart says in words: how many candles it has, and what is wrong where it has none. */
export const chartWords = (page: Page): Promise<string> =>
  page.evaluate("document.querySelector('section.chart')?.innerText ?? ''");

/** A page of 500 candles: one less where a period began on the way, more where some have begun since. */
export const LOADED = /\b(?:499|5\d\d) candles/;

/** The trades on the page, newest first. */
export const tapeOf = (page: Page): Promise<{ id: string; price: number; amount: number; side: string }[]> =>
  page.evaluate(`(() => {
    ${NUMBER}
    return [...document.querySelectorAll('[aria-label=Trades] tbody tr')].map(({ dataset, cells }) => ({
      id: dataset.trade,
      price: number(cells[1]),
      amount: number(cells[2]),
      side: cells[3].textContent.split(' ')[1],
    }));
  })()`);

/** Pixels of the chart in the colour of its hatching. */
export const hatchedPixels = (page: Page): Promise<number> =>
  page.evaluate(`(() => {
    const colour = getComputedStyle(document.documentElement).getPropertyValue('--hatch').trim().slice(1);
    const [red, green, blue] = [0, 2, 4].map((at) => parseInt(colour.slice(at, at + 2), 16));
    let count = 0;
    for (const canvas of document.querySelectorAll('.canvas canvas')) {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width || 1, canvas.height || 1);
      for (let at = 0; at < data.length; at += 4)
        if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255) count += 1;
    }
    return count;
  })()`);
